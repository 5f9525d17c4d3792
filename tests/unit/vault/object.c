#include "vault/object.h"

#include <criterion/criterion.h>

#define ID "https://v.vault.azure.net/secrets/db/0123456789abcdef0123456789abcdef"
#define KID "https://v.vault.azure.net/keys/k/0123456789abcdef0123456789abcdef"
#define CID "https://v.vault.azure.net/certificates/c/0123456789abcdef0123456789abcdef"

static struct vault_object *parse(enum vault_kind kind, const char *body)
{
        _cleanup_err_ struct err e = {0};
        struct vault_object *o = NULL;

        int r = vault_object_parse(kind, body, strlen(body), &o, &e);
        cr_assert(r == 0, "%s: %s", body, err_text(&e));
        return o;
}

static void expect_error(enum vault_kind kind, const char *body, const char *text)
{
        _cleanup_err_ struct err e = {0};
        struct vault_object *o = NULL;

        int r = vault_object_parse(kind, body, strlen(body), &o, &e);
        cr_expect(r == -EBADMSG, "%s: %d", body, r);
        cr_expect_null(o);
        cr_expect(strstr(err_text(&e), text), "%s: %s, not %s", body, err_text(&e), text);
        cr_expect(e.cause == ERR_SERVICE);
}

Test(object, kinds_have_their_words)
{
        cr_expect_str_eq(vault_kind_name(VAULT_SECRET), "secret");
        cr_expect_str_eq(vault_kind_name(VAULT_KEY), "key");
        cr_expect_str_eq(vault_kind_name(VAULT_CERT), "cert");
        cr_expect_str_eq(vault_kind_segment(VAULT_SECRET), "secrets");
        cr_expect_str_eq(vault_kind_segment(VAULT_KEY), "keys");
        cr_expect_str_eq(vault_kind_segment(VAULT_CERT), "certificates");
}

Test(object, reads_a_whole_secret)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o = parse(VAULT_SECRET,
                "{\"value\":\"s3cret\\n\",\"contentType\":\"text/plain\",\"id\":\"" ID "\","
                "\"managed\":true,\"attributes\":{\"enabled\":false,\"nbf\":1,\"exp\":4294967296,"
                "\"created\":32503680000,\"updated\":1529957220,\"recoverableDays\":90},"
                "\"tags\":{\"a\":\"b\"},\"kid\":\"" KID "\",\"more\":[1,{\"x\":null}]}");

        cr_expect_eq(o->kind, VAULT_SECRET);
        cr_expect_str_eq(o->id, ID);
        cr_expect_str_eq(o->name, "db");
        cr_expect_str_eq(o->version, "0123456789abcdef0123456789abcdef");
        cr_expect_str_eq(o->content_type, "text/plain");
        cr_expect_str_eq(o->kid, KID);
        cr_expect_eq(sec_len(o->value), 7);
        cr_expect(memcmp(sec_bytes(o->value), "s3cret\n", 7) == 0);
        cr_expect(!o->enabled);
        cr_expect_eq(o->not_before, 1);
        cr_expect_eq(o->expires, INT64_C(4294967296));
        cr_expect_eq(o->created, INT64_C(32503680000));
        cr_expect_eq(o->updated, 1529957220);
        cr_expect_null(o->n);
}

Test(object, absent_members_have_their_defaults)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o = parse(VAULT_SECRET,
                " {\"id\":\"" ID "\",\"contentType\":null,\"value\":\"\",\"attributes\":null} ");

        cr_expect_eq(sec_len(o->value), 0);
        cr_expect_str_eq(o->content_type, "");
        cr_expect_str_eq(o->kid, "");
        cr_expect(o->enabled);
        cr_expect_eq(o->created, VAULT_NO_TIME);
        cr_expect_eq(o->expires, VAULT_NO_TIME);
}

Test(object, values_hold_any_bytes)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o =
                parse(VAULT_SECRET, "{\"value\":\"a\\u0000\\u00e9\\u0000\",\"id\":\"" ID "\"}");

        cr_expect_eq(sec_len(o->value), 5);
        cr_expect(memcmp(sec_bytes(o->value), "a\0\xc3\xa9\0", 5) == 0);
}

Test(object, says_what_a_secret_lacks)
{
        expect_error(VAULT_SECRET, "{\"id\":\"" ID "\"}", "secret value is nil");
        expect_error(VAULT_SECRET, "{\"value\":null}", "secret value is nil");
        expect_error(VAULT_SECRET, "{\"value\":\"x\"}", "secret id is nil");
        expect_error(VAULT_SECRET, "{\"value\":1,\"id\":\"" ID "\"}", "value is not a string");
        expect_error(VAULT_SECRET, "{\"value\":\"x\",\"id\":{}}", "id is not a string");
        expect_error(
                VAULT_SECRET, "{\"value\":\"x\",\"id\":\"" KID "\"}", "secret id is not a URL");
        expect_error(VAULT_SECRET, "{\"value\":\"x\",\"id\":\"" ID "\",\"contentType\":7}",
                "contentType is not a string");
        expect_error(VAULT_SECRET, "{\"value\":\"x\",\"id\":\"" ID "\",\"kid\":[]}",
                "kid is not a string");
        expect_error(VAULT_SECRET,
                "{\"value\":\"x\",\"id\":\"" ID "\",\"contentType\":\"\\u0000\"}",
                "contentType is not a string");
        expect_error(VAULT_SECRET,
                "{\"value\":\"x\",\"id\":\"" ID "\",\"attributes\":{\"exp\":\"soon\"}}",
                "attribute exp is not a time");
        expect_error(VAULT_SECRET,
                "{\"value\":\"x\",\"id\":\"" ID "\",\"attributes\":{\"created\":1.5}}",
                "attribute created is not a time");
        expect_error(VAULT_KEY, "{}", "key value is nil");
        expect_error(VAULT_KEY, "{\"key\":[]}", "key value is not an object");
        expect_error(VAULT_KEY, "{\"key\":{\"kty\":\"RSA\"}}", "key id is nil");
        expect_error(VAULT_KEY, "{\"key\":{\"kid\":\"" KID "\",\"n\":5}}", "key member n");
        expect_error(VAULT_KEY, "{\"key\":{\"kid\":\"" KID "\",\"n\":\"a b\"}}", "not base64url");
        expect_error(VAULT_CERT, "{\"cer\":\"AA==\"}", "certificate id is nil");
        expect_error(VAULT_CERT, "{\"cer\":\"!\",\"id\":\"" CID "\"}", "value is not base64");
        expect_error(VAULT_CERT, "{\"cer\":\"\",\"id\":\"" CID "\"}", "value is empty");
        expect_error(VAULT_CERT, "{\"cer\":1,\"id\":\"" CID "\"}", "value is not a string");
}

Test(object, refuses_what_is_no_object)
{
        const char *const bodies[] = {"", "null", "[]", "\"x\"", "{", "{} {}", "OK",
                "<!DOCTYPE html>", "{\"value\":\"x\"", "{\"a\":\"\\u00zz\"}"};

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++)
                expect_error(VAULT_SECRET, bodies[i], "not a JSON object");
        char *deep = malloc(3001);
        memset(deep, '[', 3000);
        deep[3000] = '\0';
        expect_error(VAULT_SECRET, deep, "not a JSON object");
        free(deep);
}

Test(object, refuses_more_than_an_answer_may_be)
{
        size_t n = VAULT_OBJECT_MAX + 1;
        char *big = malloc(n + 1);

        memset(big, ' ', n);
        big[n] = '\0';
        expect_error(VAULT_SECRET, big, "longer than");
        free(big);
}

Test(object, a_certificate_in_creation_is_told_apart)
{
        _cleanup_err_ struct err e = {0};
        struct vault_object *o = NULL;
        const char *body = "{\"id\":\"" CID "\",\"attributes\":{\"enabled\":false},"
                           "\"pending\":{\"id\":\"" CID "/pending\"}}";

        cr_expect(vault_object_parse(VAULT_CERT, body, strlen(body), &o, &e) == -EBADMSG);
        cr_expect(strstr(e.text, "certificate value is nil"));
        cr_expect(strstr(e.text, "not issued"));
        cr_expect(strstr(e.hint, "https://v.vault.azure.net/certificates/c/pending"), "%s", e.hint);
        body = "{\"id\":\"https://v.vault.azure.net/certificates/c\"}";
        cr_expect(vault_object_parse(VAULT_CERT, body, strlen(body), &o, &e) == -EBADMSG);
        cr_expect(strstr(e.hint, "https://v.vault.azure.net/certificates/c/pending"), "%s", e.hint);
}

Test(object, numbers_of_keys_lose_what_means_nothing)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o = parse(VAULT_KEY,
                "{\"key\":{\"kid\":\"" KID "\",\"kty\":\"RSA-HSM\",\"key_ops\":[\"sign\"],"
                "\"n\":\"AP-_\",\"e\":\"AAEAAQ\",\"x\":\"AAAA\"},\"attributes\":{\"created\":5}}");

        cr_expect_str_eq(o->kty, "RSA-HSM");
        cr_expect_str_eq(o->crv, "");
        cr_expect_str_eq(o->kid, KID);
        cr_expect_str_eq(o->name, "k");
        cr_expect(sec_len(o->n) == 2 && memcmp(sec_bytes(o->n), "\xff\xbf", 2) == 0);
        cr_expect(sec_len(o->e) == 3 && memcmp(sec_bytes(o->e), "\x01\x00\x01", 3) == 0);
        cr_expect_eq(sec_len(o->x), 0);
        cr_expect_null(o->y);
        cr_expect_null(o->value);
        cr_expect_eq(o->created, 5);
}

Test(object, a_certificate_is_its_der)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o =
                parse(VAULT_CERT, "{\"cer\":\"MAA=\",\"id\":\"" CID "\",\"x5t\":\"\"}");

        cr_expect(sec_len(o->value) == 2 && memcmp(sec_bytes(o->value), "\x30\x00", 2) == 0);
        cr_expect_str_eq(o->name, "c");
}

Test(object, ids_are_split)
{
        static const struct {
                const char *id, *name, *version; /* name NULL: refused */
        } cases[] = {
                {"https://v/secrets/a/b", "a", "b"},
                {"https://v/secrets/a", "a", ""},
                {"https://v/secrets/a/", "a", ""},
                {"https://v/prefix/secrets/a/b", "a", "b"},
                {"https://v/prefix/secrets/a", "a", ""},
                {"https://v/secrets/secrets/secrets", "secrets", "secrets"},
                {"https://v/secrets/secrets", "secrets", ""},
                {"https://v:8443/secrets/a/b", "a", "b"},
                {"https://v/keys/a/b", NULL, NULL},
                {"https://v/secrets", NULL, NULL},
                {"https://v/secrets/", NULL, NULL},
                {"https://v/secrets//b", NULL, NULL},
                {"https://v", NULL, NULL},
                {"", NULL, NULL},
                {"/secrets/a/b", NULL, NULL},
                {"https://v/secrets/a/b?x", NULL, NULL},
                {"https://v/secrets/a\n/b", NULL, NULL},
                {"https://v/secrets/caf\xc3\xa9/b", NULL, NULL},
                {"https://vsecrets/a/b", NULL, NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *name, *version;
                size_t len;
                int r = vault_id_split(VAULT_SECRET, cases[i].id, &name, &len, &version);
                if (!cases[i].name) {
                        cr_expect(r == -EBADMSG, "%s", cases[i].id);
                        continue;
                }
                cr_assert(r == 0, "%s", cases[i].id);
                cr_expect(len == strlen(cases[i].name) && !strncmp(name, cases[i].name, len), "%s",
                        cases[i].id);
                cr_expect_str_eq(version, cases[i].version);
        }
}

Test(object, is_shared)
{
        struct vault_object *o = parse(VAULT_SECRET, "{\"value\":\"x\",\"id\":\"" ID "\"}");
        struct vault_object *same = vault_object_ref(o);

        cr_expect_eq(same, o);
        cr_expect_null(vault_object_unref(o));
        cr_expect_str_eq(same->name, "db");
        cr_expect_null(vault_object_unref(same));
        cr_expect_null(vault_object_unref(NULL));
        cr_expect_null(vault_object_ref(NULL));
}
