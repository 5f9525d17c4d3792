#include "vault/challenge.h"

#include <criterion/criterion.h>

#define TENANT "11111111-2222-3333-4444-555555555555"

static void expect(
        const char *header, const char *authorization, const char *resource, const char *scope)
{
        _cleanup_(challenge_done) struct challenge c = {0};

        cr_assert(challenge_parse(header, &c) == 0, "%s", header);
        cr_expect_str_eq(c.authorization, authorization);
        cr_expect_str_eq(c.resource, resource);
        cr_expect_str_eq(c.scope, scope);
}

Test(challenge, reads_what_vaults_send)
{
        expect("Bearer authorization=\"https://login.microsoftonline.com/" TENANT
               "\", resource=\"https://vault.azure.net\"",
                "https://login.microsoftonline.com/" TENANT, "https://vault.azure.net",
                "https://vault.azure.net");
        expect("Bearer authorization=\"https://login.windows.net/" TENANT
               "\", resource=\"https://managedhsm.azure.net\"",
                "https://login.windows.net/" TENANT, "https://managedhsm.azure.net",
                "https://managedhsm.azure.net");
}

Test(challenge, reads_what_the_rfc_allows)
{
        expect("bearer RESOURCE = \"https://a\\\"b\"", "", "https://a\"b", "https://a\"b");
        expect("Basic realm=\"x, y=z\", Bearer resource=https://v.net,authorization=https://l/t",
                "https://l/t", "https://v.net", "https://v.net");
        expect("Negotiate, Bearer scope=\"https://v.net/.default\", resource=\"https://v.net\"", "",
                "https://v.net", "https://v.net/.default");
        expect("Bearer resource=\"first\", resource=\"second\"", "", "first", "first");
        expect("Bearer resource=\"a\", Digest resource=\"b\"", "", "a", "a");
        expect("Bearer", "", "", "");
        expect("Bearer error=\"insufficient_claims\", claims=\"e30=\"", "", "", "");
}

Test(challenge, refuses_what_it_cannot_read)
{
        struct challenge c;
        char *long_header = malloc(CHALLENGE_MAX + 2);

        memset(long_header, 'a', CHALLENGE_MAX + 1);
        long_header[CHALLENGE_MAX + 1] = '\0';
        cr_expect(challenge_parse(long_header, &c) == -E2BIG);
        free(long_header);
        cr_expect(challenge_parse("", &c) == -ENOENT);
        cr_expect(challenge_parse(" , ", &c) == -ENOENT);
        cr_expect(challenge_parse("Basic realm=\"x\"", &c) == -ENOENT);
        cr_expect(challenge_parse("Bearer resource=\"x", &c) == -EBADMSG);
        cr_expect(challenge_parse("Bearer resource=\"x\\", &c) == -EBADMSG);
        cr_expect(challenge_parse("Bearer resource=", &c) == -EBADMSG);
        cr_expect(challenge_parse("Bearer resource=\"a\nb\"", &c) == -EBADMSG);
        cr_expect(challenge_parse("\"Bearer\"", &c) == -EBADMSG);
}

static int scope_of(const char *sent, const char *host, char **ret)
{
        _cleanup_free_ char *header = NULL;
        _cleanup_(challenge_done) struct challenge c = {0};

        cr_assert(xasprintf(&header, "Bearer resource=\"%s\"", sent) == 0);
        cr_assert(challenge_parse(header, &c) == 0);
        return challenge_scope(&c, host, ret);
}

Test(challenge, scope_is_of_the_vaults_own_domain)
{
        static const struct {
                const char *sent, *host, *scope;
        } cases[] = {
                {"https://vault.azure.net", "v.vault.azure.net",
                        "https://vault.azure.net/.default"},
                {"https://managedhsm.azure.net", "h.managedhsm.azure.net",
                        "https://managedhsm.azure.net/.default"},
                {"https://vault.azure.net/.default", "v.vault.azure.net",
                        "https://vault.azure.net/.default"},
                {"https://VAULT.azure.net", "v.vault.azure.net",
                        "https://VAULT.azure.net/.default"},
                {"https://vault.azure.net/", "v.vault.azure.net",
                        "https://vault.azure.net//.default"},
                {"https://vault.azure.net", "vault.azure.net", NULL},
                {"https://vault.azure.net", "evilvault.azure.net", NULL},
                {"https://management.azure.com", "v.vault.azure.net", NULL},
                {"https://graph.microsoft.com", "v.vault.azure.net", NULL},
                {"https://net", "v.vault.azure.net", NULL},
                {"http://vault.azure.net", "v.vault.azure.net", NULL},
                {"https://vault.azure.net:443", "v.vault.azure.net", NULL},
                {"https://x@vault.azure.net", "v.vault.azure.net", NULL},
                {"vault.azure.net", "v.vault.azure.net", NULL},
                {"https://", "v.vault.azure.net", NULL},
                {"https://vault.azure.net", "", NULL},
                {"https://vault.azure.net/a b", "v.vault.azure.net", NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *scope = NULL;
                int r = scope_of(cases[i].sent, cases[i].host, &scope);
                if (!cases[i].scope) {
                        cr_expect(r == -EPERM && !scope, "%s for %s", cases[i].sent, cases[i].host);
                        continue;
                }
                cr_assert(r == 0, "%s for %s", cases[i].sent, cases[i].host);
                cr_expect_str_eq(scope, cases[i].scope);
        }
}

Test(challenge, names_the_tenant)
{
        static const struct {
                const char *authorization, *tenant;
        } cases[] = {
                {"https://login.microsoftonline.com/" TENANT, TENANT},
                {"https://login.windows.net/contoso.com", "contoso.com"},
                {"https://login.windows.net/", NULL},
                {"https://login.windows.net", NULL},
                {"https://login.windows.net/a/b", NULL},
                {"https://login.windows.net/a b", NULL},
                {"", NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct challenge c = {.authorization = (char *)cases[i].authorization};
                cr_expect(streq_ptr(challenge_tenant(&c), cases[i].tenant), "%s",
                        cases[i].authorization);
        }
}
