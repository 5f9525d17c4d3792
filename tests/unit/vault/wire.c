/* Every recording of the real services goes through the client's parsers, or is named here with the
 * reason why it does not. A recording that no row knows fails the test. */
#include "support/wire.h"

#include <criterion/criterion.h>
#include <fnmatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include "vault/base64.h"
#include "vault/challenge.h"
#include "vault/list.h"
#include "vault/vault.h"

struct row;
typedef void (*check_fn)(const struct row *row, const char *file, struct wire *w);
struct row {
        const char *pattern;
        check_fn check;
        enum vault_kind kind;
        enum err_cause cause;
        const char *expect; /* in the error's text; or the tenant; or the reason */
        const char *hint;
};

static struct vault_object *parse(const struct row *row, const char *file, const char *body)
{
        _cleanup_err_ struct err e = {0};
        struct vault_object *o = NULL;

        int r = vault_object_parse(row->kind, body, strlen(body), &o, &e);
        cr_assert(r == 0, "%s: %s", file, err_text(&e));
        return o;
}

static int64_t time_of(const cJSON *attributes, const char *name)
{
        const cJSON *j = cJSON_GetObjectItem(attributes, name);

        return j ? (int64_t)j->valuedouble : VAULT_NO_TIME;
}

/* What is common to all kinds, against the recording's own members. */
static void check_common(
        const char *file, const struct vault_object *o, const cJSON *body, const char *id)
{
        const cJSON *attributes = json_get(body, "attributes");

        cr_expect_str_eq(o->id, id, "%s", file);
        cr_expect_str_eq(o->version, strrchr(id, '/') + 1, "%s", file);
        cr_expect_eq(strlen(o->version), 32, "%s", file);
        cr_expect(strstr(id, o->name), "%s", file);
        cr_expect_eq(o->enabled, json_bool(attributes, "enabled", true), "%s", file);
        cr_expect_eq(o->created, time_of(attributes, "created"), "%s", file);
        cr_expect_eq(o->updated, time_of(attributes, "updated"), "%s", file);
        cr_expect_eq(o->expires, time_of(attributes, "exp"), "%s", file);
        cr_expect_eq(o->not_before, time_of(attributes, "nbf"), "%s", file);
}

static void secret(const struct row *row, const char *file, struct wire *w)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o = parse(row, file, w->body);
        _cleanup_json_ cJSON *body = NULL;
        _cleanup_sec_ struct sec *out = NULL;
        const struct vault_render how = {0};

        cr_assert(json_parse(w->body, w->body_len, &body) == 0);
        const char *value = json_string(body, "value"), *type = json_string(body, "contentType");
        check_common(file, o, body, json_string(body, "id"));
        cr_expect_str_eq(o->content_type, type ? type : "", "%s", file);
        cr_expect_str_eq(o->kid, "", "%s", file);
        cr_assert(vault_render(o, &how, &out, NULL) == 0, "%s", file);
        cr_expect(sec_len(out) == strlen(value) && !memcmp(sec_bytes(out), value, strlen(value)),
                "%s", file);
}

/* The same certificate as two files and as a folder. */
static void several_files(const char *file, const struct vault_object *o, const struct sec *pem)
{
        const struct vault_render separate = {.files = VAULT_FILES_SEPARATE},
                                  folder = {.files = VAULT_FILES_FOLDER};
        struct vault_file got[VAULT_FILES_MAX];
        _cleanup_sec_ struct sec *der = NULL;
        _cleanup_err_ struct err e = {0};
        const char *text = sec_bytes(pem);
        size_t n = 0;

        cr_assert(vault_render_files(o, &separate, got, &n, &e) == 0, "%s: %s", file, err_text(&e));
        cr_assert_eq(n, 3);
        size_t key_len = sec_len(got[1].bytes);
        cr_expect(key_len + sec_len(got[0].bytes) == sec_len(pem) &&
                          !memcmp(sec_bytes(got[1].bytes), text, key_len) &&
                          !memcmp(sec_bytes(got[0].bytes), text + key_len, sec_len(pem) - key_len),
                "%s", file);
        cr_expect(sec_equal(got[2].bytes, pem), "%s", file);
        while (n > 0)
                sec_unref(got[--n].bytes);

        cr_assert(vault_render_files(o, &folder, got, &n, &e) == 0, "%s: %s", file, err_text(&e));
        cr_assert_eq(n, 6);
        cr_assert(base64_decode(sec_bytes(o->value), sec_len(o->value), &der, NULL) == 0);
        for (size_t i = 0; i < n; i++) {
                if (streq(got[i].suffix, "/combined.pem"))
                        cr_expect(sec_equal(got[i].bytes, pem), "%s", file);
                if (streq(got[i].suffix, "/cert.pfx"))
                        cr_expect(sec_equal(got[i].bytes, der), "%s", file);
                sec_unref(got[i].bytes);
        }
}

static void pfx(const struct row *row, const char *file, struct wire *w)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o = parse(row, file, w->body);
        _cleanup_err_ struct err e = {0};
        _cleanup_sec_ struct sec *pem = NULL, *same = NULL;
        const struct vault_render as_pem = {0}, as_is = {.format = VAULT_FORMAT_PFX};

        cr_expect_str_eq(o->content_type, "application/x-pkcs12", "%s", file);
        cr_expect(startswith(o->kid, "https://"), "%s", file);
        cr_assert(vault_render(o, &as_is, &same, &e) == 0);
        cr_expect(sec_equal(same, o->value), "%s", file);
        cr_assert(vault_render(o, &as_pem, &pem, &e) == 0, "%s: %s", file, err_text(&e));
        BIO *bio = BIO_new_mem_buf(sec_bytes(pem), (int)sec_len(pem));
        cr_expect(sec_len(pem) > 28 && !memcmp(sec_bytes(pem), "-----BEGIN PRIVATE KEY-----\n", 28),
                "%s", file);
        EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        cr_assert(key && cert, "%s", file);
        cr_expect(X509_check_private_key(cert, key) == 1, "%s", file);
        cr_expect(BIO_eof(bio), "%s has more than a key and a certificate", file);
        X509_free(cert);
        EVP_PKEY_free(key);
        BIO_free(bio);
        several_files(file, o, pem);
}

static void expect_number(
        const char *file, EVP_PKEY *key, const char *name, const cJSON *jwk, const char *member)
{
        const char *coded = json_string(jwk, member);
        _cleanup_sec_ struct sec *bytes = NULL;
        BIGNUM *bn = NULL;

        cr_assert(base64_decode_any(coded, strlen(coded), &bytes) == 0, "%s", file);
        cr_assert(EVP_PKEY_get_bn_param(key, name, &bn), "%s", file);
        BIGNUM *want = BN_bin2bn(sec_bytes(bytes), (int)sec_len(bytes), NULL);
        cr_expect(BN_cmp(bn, want) == 0, "%s: %s", file, member);
        BN_free(want);
        BN_free(bn);
}

static void check_key(const struct row *row, const char *file, const char *text)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o = parse(row, file, text);
        _cleanup_json_ cJSON *body = NULL;
        _cleanup_sec_ struct sec *pem = NULL;
        _cleanup_err_ struct err e = {0};
        const struct vault_render how = {0};

        cr_assert(json_parse(text, strlen(text), &body) == 0);
        const cJSON *jwk = json_get(body, "key");
        check_common(file, o, body, json_string(jwk, "kid"));
        cr_expect_str_eq(o->kty, json_string(jwk, "kty"), "%s", file);
        cr_assert(vault_render(o, &how, &pem, &e) == 0, "%s: %s", file, err_text(&e));
        BIO *bio = BIO_new_mem_buf(sec_bytes(pem), (int)sec_len(pem));
        EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        cr_assert(key, "%s", file);
        if (startswith(o->kty, "RSA")) {
                expect_number(file, key, OSSL_PKEY_PARAM_RSA_N, jwk, "n");
                expect_number(file, key, OSSL_PKEY_PARAM_RSA_E, jwk, "e");
        } else {
                expect_number(file, key, OSSL_PKEY_PARAM_EC_PUB_X, jwk, "x");
                expect_number(file, key, OSSL_PKEY_PARAM_EC_PUB_Y, jwk, "y");
        }
        EVP_PKEY_free(key);
        BIO_free(bio);
}

static void key(const struct row *row, const char *file, struct wire *w)
{
        check_key(row, file, w->body);
}

/* The recorder of this one dropped the slash behind the host, which makes its id no id; the rest is
 * read with the slash put back. */
static void damaged_key(const struct row *row, const char *file, struct wire *w)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_free_ char *mended = NULL;
        struct vault_object *o = NULL;
        const char *at = strstr(w->body, "netkeys/");

        cr_expect(vault_object_parse(VAULT_KEY, w->body, w->body_len, &o, &e) == -EBADMSG);
        cr_expect(strstr(err_text(&e), "key id is not a URL"), "%s", err_text(&e));
        cr_assert_not_null(at);
        cr_assert(xasprintf(&mended, "%.*s/%s", (int)(at + 3 - w->body), w->body, at + 3) == 0);
        check_key(row, file, mended);
}

static void symmetric_key(const struct row *row, const char *file, struct wire *w)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o = parse(row, file, w->body);
        _cleanup_err_ struct err e = {0};
        const struct vault_render how = {0};
        struct sec *out = NULL;

        cr_expect(vault_render(o, &how, &out, &e) == -EOPNOTSUPP);
        cr_expect_str_eq(
                err_text(&e), "failed to get key. key type 'oct-HSM' currently not supported");
}

static void certificate(const struct row *row, const char *file, struct wire *w)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o = parse(row, file, w->body);
        _cleanup_json_ cJSON *body = NULL;
        _cleanup_sec_ struct sec *pem = NULL, *thumbprint = NULL;
        const struct vault_render how = {0};
        unsigned char *der = NULL, sha1[SHA_DIGEST_LENGTH];

        cr_assert(json_parse(w->body, w->body_len, &body) == 0);
        check_common(file, o, body, json_string(body, "id"));
        cr_assert(vault_render(o, &how, &pem, NULL) == 0, "%s", file);
        BIO *bio = BIO_new_mem_buf(sec_bytes(pem), (int)sec_len(pem));
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        cr_assert(cert, "%s", file);
        int n = i2d_X509(cert, &der);
        SHA1(der, (size_t)n, sha1);
        const char *x5t = json_string(body, "x5t");
        cr_assert(base64_decode_any(x5t, strlen(x5t), &thumbprint) == 0);
        cr_expect(sec_len(thumbprint) == sizeof(sha1) &&
                          !memcmp(sec_bytes(thumbprint), sha1, sizeof(sha1)),
                "%s", file);
        OPENSSL_free(der);
        X509_free(cert);
        BIO_free(bio);
}

/* 200, but with nothing in it that could be a file. */
static void no_object(const struct row *row, const char *file, struct wire *w)
{
        _cleanup_err_ struct err e = {0};
        struct vault_object *o = NULL;

        cr_expect(vault_object_parse(row->kind, w->body, w->body_len, &o, &e) == -EBADMSG, "%s",
                file);
        cr_expect(strstr(err_text(&e), row->expect), "%s: %s", file, err_text(&e));
        cr_expect_null(o);
}

/* Versions of an object, or the objects of a vault: the latter have no version in their ids. */
static void list(const struct row *row, const char *file, struct wire *w)
{
        _cleanup_(version_list_done) struct version_list l = {0};
        _cleanup_err_ struct err e = {0};
        _cleanup_free_ char *next = NULL;
        _cleanup_json_ cJSON *body = NULL;
        const cJSON *item;
        size_t enabled = 0;
        bool versions = strstr(w->url, "/versions") != NULL;

        cr_assert(json_parse(w->body, w->body_len, &body) == 0);
        cJSON_ArrayForEach (item, json_get(body, "value"))
                enabled += json_bool(json_get(item, "attributes"), "enabled", true);
        int r = version_list_add_page(&l, row->kind, w->body, w->body_len, &next, &e);
        cr_assert(r == 0, "%s: %s", file, err_text(&e));
        cr_expect_eq(l.n, versions ? enabled : 0, "%s", file);
        cr_expect(streq_ptr(next, json_string(body, "nextLink")), "%s", file);
        version_list_sort(&l);
        for (size_t i = 0; i < l.n; i++) {
                cr_expect_eq(strlen(l.items[i].version), 32, "%s", file);
                cr_expect(i == 0 || l.items[i - 1].created >= l.items[i].created, "%s", file);
        }
        if (next && !strstr(w->url, "REDACTED"))
                cr_expect(same_origin(w->url, next), "%s: %s", file, next);
}

static void error(const struct row *row, const char *file, struct wire *w)
{
        _cleanup_err_ struct err e = {0};
        const struct vault_error_info info = {
                .kind = row->kind,
                .name = "object",
                .version = "",
                .vault_url = "https://contoso.vault.azure.net",
                .identity = "an identity",
        };

        int r = vault_error(&info, &w->response, &e);
        cr_expect(r < 0);
        cr_expect(e.cause == row->cause, "%s: %s", file, err_cause_name(e.cause));
        cr_expect(
                strstr(e.text, row->expect), "%s: \"%s\" lacks \"%s\"", file, e.text, row->expect);
        cr_expect(!row->hint || (e.hint && strstr(e.hint, row->hint)), "%s: \"%s\" lacks \"%s\"",
                file, e.hint, row->hint);
        cr_expect(!strpbrk(e.text, "\r\n\t"), "%s", file);
        cr_expect(startswith(e.text, "failed to get objectType:"), "%s", file);
        char status[32];
        snprintf(status, sizeof(status), "StatusCode=%d ", w->status);
        cr_expect(strstr(e.text, status), "%s", file);
}

static void challenged(const struct row *row, const char *file, struct wire *w)
{
        _cleanup_(challenge_done) struct challenge c = {0};
        _cleanup_free_ char *scope = NULL;
        const char *header = http_header(&w->response, "WWW-Authenticate");
        bool hsm = strstr(w->url, "managedhsm") != NULL;

        error(row, file, w);
        cr_assert_eq(w->status, 401, "%s", file);
        cr_assert(header && challenge_parse(header, &c) == 0, "%s", file);
        cr_expect_str_eq(c.resource,
                hsm ? "https://managedhsm.azure.net" : "https://vault.azure.net", "%s", file);
        cr_assert(challenge_scope(&c,
                          hsm ? "contoso.managedhsm.azure.net" : "contoso.vault.azure.net",
                          &scope) == 0,
                "%s", file);
        cr_expect_str_eq(scope,
                hsm ? "https://managedhsm.azure.net/.default" : "https://vault.azure.net/.default",
                "%s", file);
        cr_expect(strlen(challenge_tenant(&c)) == 36, "%s", file);
}

static void not_ours(const struct row *row, const char *file, struct wire *w)
{
        cr_log_info("%s is not for this client: %s", file, row->expect);
}

#define REFUSED "StatusCode=403 Code=\"Forbidden\" InnerCode="
#define ENTRA "auth/: the token endpoint's"
#define IMDS "auth/: the metadata service's"

#define READ(name, fn, what)                                     \
        {                                                        \
                .pattern = (name), .check = (fn), .kind = (what) \
        }
#define SAYS(name, fn, what, text)                                                 \
        {                                                                          \
                .pattern = (name), .check = (fn), .kind = (what), .expect = (text) \
        }
#define FAIL(name, fn, what, why, text, next)                                     \
        {                                                                         \
                .pattern = (name), .check = (fn), .kind = (what), .cause = (why), \
                .expect = (text), .hint = (next)                                  \
        }

static const struct row rows[] = {
        FAIL("secret-get-404-*", error, VAULT_SECRET, ERR_NOT_FOUND, "Code=\"SecretNotFound\"",
                "az keyvault secret recover"),
        READ("secret-get-[!4]*", secret, VAULT_SECRET),
        READ("secret-pkcs12-*", pfx, VAULT_SECRET),
        READ("secret-versions-*", list, VAULT_SECRET),
        READ("secrets-list-*", list, VAULT_SECRET),
        SAYS("secret-delete-*", no_object, VAULT_SECRET, "secret value is nil"),
        SAYS("deletedsecret-get-200-*", no_object, VAULT_SECRET, "secret value is nil"),
        FAIL("deletedsecret-get-404-*", error, VAULT_SECRET, ERR_NOT_FOUND,
                "Code=\"SecretNotFound\"", NULL),
        READ("deletedsecrets-list-*", list, VAULT_SECRET),
        READ("key-ec-p384-49byte-coordinates-7.0", damaged_key, VAULT_KEY),
        READ("key-ec-p384-7*", key, VAULT_KEY),
        READ("key-ec-[!p]*", key, VAULT_KEY),
        READ("key-ec-p[!3]*", key, VAULT_KEY),
        READ("key-echsm-*", key, VAULT_KEY),
        READ("key-rsa*", key, VAULT_KEY),
        READ("key-create-*", key, VAULT_KEY),
        READ("key-octhsm-*", symmetric_key, VAULT_KEY),
        READ("key-versions-*", list, VAULT_KEY),
        FAIL("keys-list-401-*-01of02", challenged, VAULT_KEY, ERR_AUTH, "Code=\"Unauthorized\"",
                NULL),
        READ("keys-list-401-*-02of02", list, VAULT_KEY),
        READ("keys-list-[!4]*", list, VAULT_KEY),
        SAYS("certificate-get-disabled-inprogress-*", no_object, VAULT_CERT,
                "certificate value is nil"),
        READ("certificate-get-[!d]*", certificate, VAULT_CERT),
        SAYS("certificate-pending-csr-pkcs10-2016", no_object, VAULT_CERT, "not a JSON object"),
        SAYS("certificate-pending-[!c]*", no_object, VAULT_CERT, "certificate"),
        SAYS("certificate-pending-c[!s]*", no_object, VAULT_CERT, "certificate"),
        SAYS("certificate-policy-*", no_object, VAULT_CERT, "certificate"),
        READ("certificate-versions-*", list, VAULT_CERT),
        READ("certificates-list-*", list, VAULT_CERT),
        FAIL("error-400-apiversion-reassembled", error, VAULT_SECRET, ERR_USAGE,
                "Code=\"BadParameter\"", "API version 7.4"),
        FAIL("error-400-badparameter-7.4", error, VAULT_CERT, ERR_USAGE, "Code=\"BadParameter\"",
                NULL),
        FAIL("error-400-html-7.3", error, VAULT_KEY, ERR_USAGE, "(an HTML page of 3420 bytes)",
                "letters, digits and hyphens"),
        FAIL("error-400-invalid-name-7.3", error, VAULT_KEY, ERR_USAGE,
                "The request URI contains an invalid name: key!@#$", "letters, digits"),
        FAIL("error-400-rest-not-deleted-object", error, VAULT_SECRET, ERR_USAGE,
                "Code=\"MethodNotAllowed\" InnerCode=\"RequestNotAllowedOnNonDeletedObject\"",
                NULL),
        FAIL("error-401-akv10000-2024", challenged, VAULT_SECRET, ERR_AUTH,
                "Message=\"AKV10000: Request is missing a Bearer or PoP token.\"",
                "belongs to tenant 72f988bf-"),
        FAIL("error-401-akv10022-*", challenged, VAULT_SECRET, ERR_AUTH,
                "Message=\"AKV10022: Invalid audience.", NULL),
        FAIL("error-401-empty-body-2015", challenged, VAULT_KEY, ERR_AUTH, "Code=\"\" Message=\"\"",
                NULL),
        FAIL("error-401-json-2019", challenged, VAULT_SECRET, ERR_AUTH, "Bearer or PoP token.",
                NULL),
        FAIL("error-401-mhsm-body-OK", challenged, VAULT_KEY, ERR_AUTH, "Code=\"\" Message=\"OK\"",
                NULL),
        FAIL("error-401-mhsm-empty-2023", challenged, VAULT_KEY, ERR_AUTH, "Code=\"\" Message=\"\"",
                NULL),
        FAIL("error-403-accessdenied-caller-2019", error, VAULT_CERT, ERR_FORBIDDEN,
                REFUSED "\"AccessDenied\"",
                "--object-id 139efc82-0e5b-4998-b30a-ce40b9b942db --certificate-permissions get"),
        FAIL("error-403-accessdenied-secrets-get-quoted", error, VAULT_SECRET, ERR_FORBIDDEN,
                "does not have secrets get permission on key vault", "--secret-permissions get"),
        FAIL("error-403-accessdenied-short-2019", error, VAULT_KEY, ERR_FORBIDDEN,
                REFUSED "\"AccessDenied\"", "--key-permissions get"),
        FAIL("error-403-forbiddenbyconnection-quoted", error, VAULT_SECRET, ERR_FORBIDDEN,
                REFUSED "\"ForbiddenByConnection\"", "privatelink"),
        FAIL("error-403-forbiddenbyfirewall-quoted", error, VAULT_SECRET, ERR_FORBIDDEN,
                REFUSED "\"ForbiddenByFirewall\"", "--ip-address 20.126.176.160"),
        FAIL("error-403-forbiddenbypolicy-*", error, VAULT_KEY, ERR_FORBIDDEN,
                REFUSED "\"ForbiddenByPolicy\"", "--key-permissions get"),
        FAIL("error-403-forbiddenbyrbac-quoted", error, VAULT_SECRET, ERR_FORBIDDEN,
                REFUSED "\"ForbiddenByRbac\"",
                "--scope /subscriptions/00000000-0000-0000-0000-0000000000000/resourcegroups/"
                "some-rg/providers/microsoft.keyvault/vaults/someakv;"),
        FAIL("error-403-secret-disabled-java", error, VAULT_SECRET, ERR_DISABLED,
                "InnerCode=\"SecretDisabled\"", "--enabled true"),
        FAIL("error-404-certificate-7.3", error, VAULT_CERT, ERR_NOT_FOUND,
                "Code=\"CertificateNotFound\"", "az keyvault certificate list"),
        FAIL("error-404-key-*", error, VAULT_KEY, ERR_NOT_FOUND, "Code=\"KeyNotFound\"",
                "az keyvault key list"),
        FAIL("error-404-pending-certificate-7.4", error, VAULT_CERT, ERR_NOT_FOUND,
                "Code=\"PendingCertificateNotFound\"", NULL),
        FAIL("error-404-secret-*", error, VAULT_SECRET, ERR_NOT_FOUND, "Code=\"SecretNotFound\"",
                NULL),
        FAIL("error-405-method-not-allowed", error, VAULT_SECRET, ERR_SERVICE,
                "Code=\"MethodNotAllowed\"", NULL),
        FAIL("error-409-being-deleted", error, VAULT_SECRET, ERR_SERVICE,
                "InnerCode=\"ObjectIsBeingDeleted\"", NULL),
        FAIL("error-409-deleted-but-recoverable", error, VAULT_SECRET, ERR_SERVICE,
                "InnerCode=\"ObjectIsDeletedButRecoverable\"", NULL),
        FAIL("error-429-throttled-reassembled", error, VAULT_KEY, ERR_THROTTLED,
                "Code=\"Throttled\"", "poll_interval"),
        FAIL("flow-401-then-200-*-01of02", challenged, VAULT_SECRET, ERR_AUTH, "StatusCode=401",
                NULL),
        READ("flow-401-then-200-secret-*-02of02", secret, VAULT_SECRET),
        READ("flow-401-then-200-versions-*-02of02", list, VAULT_SECRET),
        SAYS("entra-*", not_ours, VAULT_SECRET, ENTRA),
        SAYS("imds-*", not_ours, VAULT_SECRET, IMDS),
};

Test(wire, every_recording_is_read_or_named)
{
        unsigned matched[ELEMENTSOF(rows)] = {0};

        if (!wire_folder())
                return;
        _cleanup_(wire_list_freep) char **names = wire_list("");
        for (char **name = names; *name; name++) {
                struct wire w;
                unsigned n = 0;
                wire_load(*name, &w);
                for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                        if (fnmatch(rows[i].pattern, *name, 0) == 0) {
                                rows[i].check(&rows[i], *name, &w);
                                matched[i]++;
                                n++;
                        }
                cr_expect_eq(n, 1, "%s is known to %u rows", *name, n);
                wire_done(&w);
        }
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                cr_expect_gt(matched[i], 0, "no recording is called %s", rows[i].pattern);
}

/* Pages chained by their nextLinks: together they are the whole list. */
Test(wire, pages_follow_each_other)
{
        if (!wire_folder())
                return;
        _cleanup_(wire_list_freep) char **names = wire_list("secret-versions-max3-");
        _cleanup_(version_list_done) struct version_list l = {0};
        _cleanup_free_ char *next = NULL;
        size_t before = 0;

        for (char **name = names; *name; name++) {
                struct wire w;
                wire_load(*name, &w);
                cr_expect(!next || streq(strstr(next, "$skiptoken"), strstr(w.url, "$skiptoken")));
                free(TAKE_PTR(next));
                cr_assert(version_list_add_page(
                                  &l, VAULT_SECRET, w.body, w.body_len, &next, NULL) == 0);
                cr_expect_gt(l.n, before);
                before = l.n;
                wire_done(&w);
        }
        cr_expect_null(next);
}
