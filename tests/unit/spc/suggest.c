#include <criterion/criterion.h>

#include "spc/parameters.h"
#include "spc/rules.h"

Test(suggest, the_nearest_name_is_found)
{
        static const struct {
                const char *word, *name;
        } cases[] = {
                {"objectname", "objectName"},
                {"objectNane", "objectName"},
                {"ojbectType", "objectType"},
                {"objectVersions", "objectVersion"},
                {"objectversionhistory", "objectVersionHistory"},
                {"filePermissions", "filePermission"},
                {"FilePermision", "filePermission"},
                {"alias", "objectAlias"},
                {"Encoding", "objectEncoding"},
                {"permission", "filePermission"},
                {"type", "objectType"},
                {"mode", NULL},
                {"", NULL},
                {"x", NULL},
                {"name", "objectName"},
                {"history", "objectVersionHistory"},
                {"objectTags", NULL},
                {"description", NULL},
                {"a-word-so-long-that-it-cannot-be-anything-that-was-meant", NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *got = suggest(cases[i].word, object_field_names);
                cr_expect(streq_ptr(got, cases[i].name), "%s: %s", cases[i].word, got);
        }
        cr_expect_str_eq(suggest("keyVaultName", parameter_names), "keyvaultName");
        cr_expect_str_eq(suggest("tenant", parameter_names), "tenantID");
        cr_expect_str_eq(suggest("TENANTID", parameter_names), "tenantID");
        cr_expect_str_eq(suggest("useVmManagedIdentity", parameter_names), "useVMManagedIdentity");
        cr_expect_str_eq(
                suggest("userAssignedIdentityId", parameter_names), "userAssignedIdentityID");
        cr_expect_str_eq(suggest("cloud", parameter_names), "cloudName");
        cr_expect_str_eq(suggest("vault", parameter_names), "keyvaultName");
}
