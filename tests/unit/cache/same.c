#include "cache/same.h"

#include <criterion/criterion.h>

static struct vault_object object(void)
{
        struct vault_object o = {.kind = VAULT_SECRET,
                .id = (char *)"https://one.vault.example/secrets/db/1",
                .name = (char *)"db",
                .version = (char *)"1",
                .enabled = true,
                .created = 1,
                .updated = 2,
                .expires = 3,
                .not_before = 4,
                .content_type = (char *)"text/plain",
                .kid = (char *)"",
                .kty = (char *)"",
                .crv = (char *)""};

        cr_assert_eq(sec_new("hunter2", 7, &o.value), 0);
        return o;
}

static struct sec *other(void)
{
        struct sec *s;

        cr_assert_eq(sec_new("hunter3", 7, &s), 0);
        return s;
}

Test(same, equal_answers_are_the_same)
{
        struct vault_object a = object(), b = object();

        cr_assert(same_object(&a, &b));
        a.value = b.value = NULL;
        cr_assert(same_object(&a, &b));
}

#define DIFFERS(what)                                                       \
        do {                                                                \
                struct vault_object a = object(), b = object();             \
                b.what;                                                     \
                cr_expect_not(same_object(&a, &b), "differs in %s", #what); \
                cr_expect_not(same_object(&b, &a), "differs in %s", #what); \
        } while (0)

Test(same, each_member_counts)
{
        DIFFERS(kind = VAULT_KEY);
        DIFFERS(id = (char *)"https://one.vault.example/secrets/db/2");
        DIFFERS(id = NULL);
        DIFFERS(name = (char *)"DB");
        DIFFERS(version = (char *)"2");
        DIFFERS(enabled = false);
        DIFFERS(created = 0);
        DIFFERS(updated = VAULT_NO_TIME);
        DIFFERS(expires = VAULT_NO_TIME);
        DIFFERS(not_before = 5);
        DIFFERS(content_type = (char *)"");
        DIFFERS(kid = (char *)"k");
        DIFFERS(kty = (char *)"RSA");
        DIFFERS(crv = (char *)"P-256");
        DIFFERS(value = other());
        DIFFERS(value = NULL);
        DIFFERS(n = other());
        DIFFERS(e = other());
        DIFFERS(x = other());
        DIFFERS(y = other());
}
