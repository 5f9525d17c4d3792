#include "tests/emulator/policy.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "tests/emulator/bundle.h"
#include "tests/emulator/x509.h"

#define MONTHS_MAX 1200

static const char *const default_ekus[] = {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"};
static const char *const default_usage[] = {"digitalSignature", "keyEncipherment"};
static const char *const usages[] = {"digitalSignature", "nonRepudiation", "keyEncipherment",
        "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly",
        "decipherOnly"};

/* The member of the first of the two objects that has it. */
static const cJSON *either(const cJSON *given, const cJSON *before, const char *name)
{
        const cJSON *j = json_get(given, name);

        return j ? j : json_get(before, name);
}

static void add_string(
        cJSON *to, const cJSON *given, const cJSON *before, const char *name, const char *otherwise)
{
        const char *text = cJSON_GetStringValue(either(given, before, name));

        if (text || otherwise)
                (void)cJSON_AddStringToObject(to, name, text ? text : otherwise);
}

static void add_bool(
        cJSON *to, const cJSON *given, const cJSON *before, const char *name, bool otherwise)
{
        const cJSON *j = either(given, before, name);

        (void)cJSON_AddBoolToObject(to, name, cJSON_IsBool(j) ? cJSON_IsTrue(j) : otherwise);
}

static void add_copy(cJSON *to, const cJSON *from, const char *name, cJSON *otherwise)
{
        cJSON *copy = from ? cJSON_Duplicate(from, true) : otherwise;

        if (from)
                cJSON_Delete(otherwise);
        if (copy && !cJSON_AddItemToObject(to, name, copy))
                cJSON_Delete(copy);
}

static void add_key_props(cJSON *to, const cJSON *given, const cJSON *before)
{
        cJSON *k = cJSON_AddObjectToObject(to, "key_props");
        /* Another key type does not go with the old one's size and curve. */
        const char *kty = json_string(given, "kty"), *old = json_string(before, "kty");
        const cJSON *sizes = kty && old && !streq(kty, old) ? NULL : before;
        int64_t size = 0;

        add_bool(k, given, before, "exportable", true);
        add_string(k, given, before, "kty", "RSA");
        bool ec = startswith(json_string(k, "kty") ? json_string(k, "kty") : "", "EC");
        if (json_int64(given, "key_size", &size) < 0 && json_int64(sizes, "key_size", &size) < 0)
                size = ec ? 0 : 2048;
        const char *crv = cJSON_GetStringValue(either(given, sizes, "crv"));
        if (ec && !crv)
                crv = size == 384 ? "P-384" : size == 521 ? "P-521" : "P-256";
        if (ec)
                size = streq(crv, "P-384") ? 384 : streq(crv, "P-521") ? 521 : 256;
        (void)cJSON_AddNumberToObject(k, "key_size", (double)size);
        add_bool(k, given, before, "reuse_key", false);
        if (ec)
                (void)cJSON_AddStringToObject(k, "crv", crv);
}

static void add_x509_props(cJSON *to, const cJSON *given, const cJSON *before)
{
        cJSON *x = cJSON_AddObjectToObject(to, "x509_props");
        int64_t months = 0;

        add_string(x, given, before, "subject", NULL);
        const cJSON *sans = either(given, before, "sans");
        if (sans)
                add_copy(x, sans, "sans", NULL);
        add_copy(x, either(given, before, "ekus"), "ekus",
                cJSON_CreateStringArray(default_ekus, ELEMENTSOF(default_ekus)));
        add_copy(x, either(given, before, "key_usage"), "key_usage",
                cJSON_CreateStringArray(default_usage, ELEMENTSOF(default_usage)));
        if (json_int64(given, "validity_months", &months) < 0 &&
                json_int64(before, "validity_months", &months) < 0)
                months = 12;
        (void)cJSON_AddNumberToObject(x, "validity_months", (double)months);
        cJSON *constraints = cJSON_CreateObject();
        (void)cJSON_AddBoolToObject(constraints, "ca", false);
        add_copy(x, either(given, before, "basic_constraints"), "basic_constraints", constraints);
}

static cJSON *default_actions(void)
{
        cJSON *actions = cJSON_CreateArray(), *one = cJSON_CreateObject();

        (void)cJSON_AddNumberToObject(
                cJSON_AddObjectToObject(one, "trigger"), "lifetime_percentage", 80);
        (void)cJSON_AddStringToObject(
                cJSON_AddObjectToObject(one, "action"), "action_type", "AutoRenew");
        if (!cJSON_AddItemToArray(actions, one))
                cJSON_Delete(one);
        return actions;
}

static bool strings_from(const cJSON *list, const char *const *known, size_t n_known)
{
        const cJSON *j;

        if (list && !cJSON_IsArray(list))
                return false;
        cJSON_ArrayForEach (j, list) {
                bool good = cJSON_IsString(j) && !known;
                for (size_t i = 0; cJSON_IsString(j) && i < n_known && !good; i++)
                        good = streq(j->valuestring, known[i]);
                if (!good)
                        return false;
        }
        return true;
}

static int check(const cJSON *p, struct err *e)
{
        const cJSON *x = json_get(p, "x509_props");
        int64_t months = 0;

        const char *type = policy_content_type(p);
        if (!streq(type, CONTENT_PKCS12) && !streq(type, CONTENT_PEM))
                return err_set(e, -EINVAL, "Secret content type not supported: %s", type);
        if (isempty(policy_subject(p)))
                return err_set(e, -EINVAL, "Property subject is required");
        if (json_int64(x, "validity_months", &months) < 0 || months < 1 || months > MONTHS_MAX)
                return err_set(e, -EINVAL, "Property validity_months has invalid value");
        if (!strings_from(json_get(x, "ekus"), NULL, 0))
                return err_set(e, -EINVAL, "Property ekus has invalid value");
        if (!strings_from(json_get(x, "key_usage"), usages, ELEMENTSOF(usages)))
                return err_set(e, -EINVAL, "Property key_usage has invalid value");
        const char *kty = policy_kty(p);
        if (!streq(kty, "RSA") && !streq(kty, "EC"))
                return err_set(e, -EINVAL, "Key type is not supported for certificates: %s", kty);
        return 0;
}

int policy_complete(const cJSON *given, const cJSON *before, cJSON **ret, struct err *e)
{
        _cleanup_json_ cJSON *p = cJSON_CreateObject();

        if (!p)
                return -ENOMEM;
        if (given && !cJSON_IsObject(given))
                return err_set(e, -EINVAL, "Property policy has invalid value");
        add_key_props(p, json_get(given, "key_props"), json_get(before, "key_props"));
        cJSON *s = cJSON_AddObjectToObject(p, "secret_props");
        add_string(s, json_get(given, "secret_props"), json_get(before, "secret_props"),
                "contentType", CONTENT_PKCS12);
        add_x509_props(p, json_get(given, "x509_props"), json_get(before, "x509_props"));
        add_copy(p, either(given, before, "lifetime_actions"), "lifetime_actions",
                default_actions());
        const cJSON *issuer = either(given, before, "issuer");
        cJSON *self = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(self, "name", "Self");
        add_copy(p, json_string(issuer, "name") ? issuer : NULL, "issuer", self);
        int r = check(p, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

/* --- import --- */

static cJSON *ekus_of(X509 *cert)
{
        cJSON *list = cJSON_CreateArray();
        EXTENDED_KEY_USAGE *ekus = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);

        for (int i = 0; i < sk_ASN1_OBJECT_num(ekus); i++) {
                char oid[128];
                if (OBJ_obj2txt(oid, sizeof oid, sk_ASN1_OBJECT_value(ekus, i), 1) > 0)
                        (void)cJSON_AddItemToArray(list, cJSON_CreateString(oid));
        }
        EXTENDED_KEY_USAGE_free(ekus);
        return list;
}

static cJSON *usage_of(X509 *cert)
{
        static const uint32_t bits[] = {KU_DIGITAL_SIGNATURE, KU_NON_REPUDIATION,
                KU_KEY_ENCIPHERMENT, KU_DATA_ENCIPHERMENT, KU_KEY_AGREEMENT, KU_KEY_CERT_SIGN,
                KU_CRL_SIGN, KU_ENCIPHER_ONLY, KU_DECIPHER_ONLY};
        cJSON *list = cJSON_CreateArray();
        uint32_t usage = X509_get_key_usage(cert);

        for (size_t i = 0; usage != UINT32_MAX && i < ELEMENTSOF(bits); i++)
                if (usage & bits[i])
                        (void)cJSON_AddItemToArray(list, cJSON_CreateString(usages[i]));
        return list;
}

static char *subject_of(X509 *cert)
{
        char *text = NULL, *data = NULL;

        BIO *bio = BIO_new(BIO_s_mem());
        if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0,
                           (XN_FLAG_RFC2253 & ~XN_FLAG_SEP_MASK & ~ASN1_STRFLGS_ESC_MSB) |
                                   XN_FLAG_SEP_CPLUS_SPC) >= 0) {
                long len = BIO_get_mem_data(bio, &data);
                text = strndup(data, (size_t)len);
        }
        BIO_free(bio);
        return text;
}

int policy_of_import(
        X509 *cert, const char *content_type, const cJSON *given, cJSON **ret, struct err *e)
{
        _cleanup_json_ cJSON *own = cJSON_CreateObject();
        _cleanup_free_ char *subject = subject_of(cert);
        struct jwk jwk = {0};
        EVP_PKEY *key = X509_get0_pubkey(cert);

        if (!own || !subject)
                return -ENOMEM;
        int r = key ? jwk_from_key(key, &jwk) : -EINVAL;
        if (r < 0)
                return err_set(e, -EINVAL, "The certificate's key is of a type no vault takes");
        cJSON *k = cJSON_AddObjectToObject(own, "key_props");
        (void)cJSON_AddStringToObject(k, "kty", jwk.kty);
        (void)cJSON_AddNumberToObject(k, "key_size", EVP_PKEY_get_bits(key));
        if (jwk.crv)
                (void)cJSON_AddStringToObject(k, "crv", jwk.crv);
        jwk_done(&jwk);
        (void)cJSON_AddStringToObject(
                cJSON_AddObjectToObject(own, "secret_props"), "contentType", content_type);
        cJSON *x = cJSON_AddObjectToObject(own, "x509_props");
        (void)cJSON_AddStringToObject(x, "subject", *subject ? subject : "CN=none");
        add_copy(x, NULL, "ekus", ekus_of(cert));
        add_copy(x, NULL, "key_usage", usage_of(cert));
        int64_t seconds =
                x509_time(X509_get0_notAfter(cert)) - x509_time(X509_get0_notBefore(cert));
        int64_t months = (seconds + 1314873) / 2629746; /* of 30.44 days, rounded */
        (void)cJSON_AddNumberToObject(
                x, "validity_months", (double)MIN(MAX(months, (int64_t)1), (int64_t)MONTHS_MAX));
        (void)cJSON_AddBoolToObject(
                cJSON_AddObjectToObject(x, "basic_constraints"), "ca", X509_check_ca(cert) == 1);
        (void)cJSON_AddStringToObject(cJSON_AddObjectToObject(own, "issuer"), "name", "Unknown");
        /* Key type, size and subject are the certificate's, whatever the request says. */
        _cleanup_json_ cJSON *rest = given ? cJSON_Duplicate(given, true) : NULL;
        if (rest) {
                cJSON *kp = cJSON_GetObjectItemCaseSensitive(rest, "key_props");
                cJSON_DeleteItemFromObjectCaseSensitive(kp, "kty");
                cJSON_DeleteItemFromObjectCaseSensitive(kp, "key_size");
                cJSON_DeleteItemFromObjectCaseSensitive(kp, "crv");
                cJSON_DeleteItemFromObjectCaseSensitive(rest, "x509_props");
        }
        return policy_complete(rest, own, ret, e);
}

/* --- reading a completed one --- */

const char *policy_kty(const cJSON *p)
{
        const char *s = json_string(json_get(p, "key_props"), "kty");

        return s ? s : "RSA";
}

const char *policy_crv(const cJSON *p)
{
        return json_string(json_get(p, "key_props"), "crv");
}

int policy_key_size(const cJSON *p)
{
        int64_t size = 0;

        if (json_int64(json_get(p, "key_props"), "key_size", &size) < 0 || size < 0 || size > 8192)
                return 0;
        return (int)size;
}

bool policy_exportable(const cJSON *p)
{
        return json_bool(json_get(p, "key_props"), "exportable", true);
}

bool policy_reuse_key(const cJSON *p)
{
        return json_bool(json_get(p, "key_props"), "reuse_key", false);
}

const char *policy_content_type(const cJSON *p)
{
        const char *s = json_string(json_get(p, "secret_props"), "contentType");

        return s ? s : "";
}

const char *policy_subject(const cJSON *p)
{
        const char *s = json_string(json_get(p, "x509_props"), "subject");

        return s ? s : "";
}

const char *policy_issuer(const cJSON *p)
{
        const char *s = json_string(json_get(p, "issuer"), "name");

        return s ? s : "Self";
}

const cJSON *policy_x509(const cJSON *p)
{
        return json_get(p, "x509_props");
}
