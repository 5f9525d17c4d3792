#include "tests/emulator/x509.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#define RDNS_MAX 16

static const char *attribute_name(const char *key)
{
        static const char *const known[][2] = {{"CN", "CN"}, {"O", "O"}, {"OU", "OU"}, {"C", "C"},
                {"L", "L"}, {"ST", "ST"}, {"S", "ST"}, {"E", "emailAddress"}, {"DC", "DC"}};

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (strcasecmp(key, known[i][0]) == 0)
                        return known[i][1];
        return NULL;
}

/* Splits "CN=a, O=\"b, c\"" in place. Returns the number of pairs, or -EINVAL. */
static int split_subject(char *s, char *keys[static RDNS_MAX], char *values[static RDNS_MAX])
{
        int n = 0;

        for (;;) {
                s += strspn(s, " ");
                if (!*s)
                        return n > 0 ? n : -EINVAL;
                char *equals = strchr(s, '=');
                if (!equals || n == RDNS_MAX)
                        return -EINVAL;
                *equals = '\0';
                char *end = equals;
                while (end > s && end[-1] == ' ')
                        *--end = '\0';
                keys[n] = s;
                char *in = equals + 1, *to = equals + 1;
                in += strspn(in, " ");
                values[n++] = to;
                bool inside = false;
                for (; *in && (inside || *in != ','); in++) {
                        if (*in == '"')
                                inside = !inside;
                        else {
                                if (*in == '\\' && in[1])
                                        in++;
                                *to++ = *in;
                        }
                }
                if (inside)
                        return -EINVAL;
                bool more = *in == ',';
                s = in + more;
                while (to > values[n - 1] && to[-1] == ' ')
                        to--;
                *to = '\0';
                if (!more && !*s)
                        return n;
        }
}

static int parse_subject(const char *subject, X509_NAME **ret, struct err *e)
{
        char *keys[RDNS_MAX], *values[RDNS_MAX];
        _cleanup_free_ char *copy = strdup(subject);

        if (!copy)
                return -ENOMEM;
        int n = split_subject(copy, keys, values);
        if (n < 0)
                return err_set(e, -EINVAL, "The subject is not a distinguished name: %s", subject);
        X509_NAME *name = X509_NAME_new();
        if (!name)
                return -ENOMEM;
        /* The text has the most particular part last, the encoding has it first. */
        for (int i = n - 1; i >= 0; i--) {
                const char *attribute = attribute_name(keys[i]);
                if (!attribute || !X509_NAME_add_entry_by_txt(name, attribute, MBSTRING_UTF8,
                                          (unsigned char *)values[i], -1, -1, 0)) {
                        X509_NAME_free(name);
                        ERR_clear_error();
                        return err_set(e, -EINVAL, "The subject has a bad part: %s", keys[i]);
                }
        }
        *ret = name;
        return 0;
}

static int add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value, struct err *e)
{
        X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, ctx, nid, value);

        if (!x || !X509_add_ext(cert, x, -1)) {
                X509_EXTENSION_free(x);
                ERR_clear_error();
                return err_set(e, -EINVAL, "Bad value for %s: %s", OBJ_nid2ln(nid), value);
        }
        X509_EXTENSION_free(x);
        return 0;
}

static int add_name(GENERAL_NAMES *names, int type, const char *value)
{
        unsigned char address[16];
        int len = (int)strlen(value);
        const void *bytes = value;
        ASN1_STRING *s = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

        if (type == GEN_IPADD) {
                bytes = address;
                if (inet_pton(AF_INET, value, address) == 1)
                        len = 4;
                else if (inet_pton(AF_INET6, value, address) == 1)
                        len = 16;
                else {
                        ASN1_STRING_free(s);
                        return -EINVAL;
                }
        }
        GENERAL_NAME *g = GENERAL_NAME_new();
        if (!s || !g || !ASN1_STRING_set(s, bytes, len)) {
                ASN1_STRING_free(s);
                GENERAL_NAME_free(g);
                return -ENOMEM;
        }
        GENERAL_NAME_set0_value(g, type, s);
        if (!sk_GENERAL_NAME_push(names, g)) {
                GENERAL_NAME_free(g);
                return -ENOMEM;
        }
        return 0;
}

static int add_alternative_names(X509 *cert, const struct x509_spec *spec)
{
        const struct {
                int type;
                const char *const *list;
        } lists[] = {{GEN_DNS, spec->dns}, {GEN_EMAIL, spec->emails}, {GEN_IPADD, spec->ips}};
        int r = 0;

        GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                for (const char *const *p = lists[i].list; r == 0 && p && *p; p++)
                        r = add_name(names, lists[i].type, *p);
        if (r == 0 && sk_GENERAL_NAME_num(names) > 0 &&
                X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
                r = -ENOMEM;
        sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
        return r;
}

static int fill(X509 *cert, const struct x509_spec *spec, struct err *e)
{
        X509_NAME *name = NULL;
        X509V3_CTX ctx;
        unsigned char serial[16] = {0};
        int r;

        r = parse_subject(spec->subject, &name, e);
        if (r < 0)
                return r;
        r = random_bytes(serial, sizeof serial);
        if (r < 0) {
                X509_NAME_free(name);
                return r;
        }
        serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, 16 bytes */
        BIGNUM *bn = BN_bin2bn(serial, sizeof serial, NULL);
        bool ok = bn && X509_set_version(cert, X509_VERSION_3) &&
                  BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) &&
                  X509_set_subject_name(cert, name) &&
                  X509_set_issuer_name(
                          cert, spec->issuer ? X509_get_subject_name(spec->issuer) : name) &&
                  ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)spec->not_before) &&
                  ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)spec->not_after) &&
                  X509_set_pubkey(cert, spec->key);
        BN_free(bn);
        X509_NAME_free(name);
        if (!ok)
                return -EIO;

        X509V3_set_ctx_nodb(&ctx);
        X509V3_set_ctx(&ctx, spec->issuer ? spec->issuer : cert, cert, NULL, NULL, 0);
        if (spec->key_usage) {
                _cleanup_free_ char *usage = NULL;
                r = xasprintf(&usage, "critical,%s", spec->key_usage);
                if (r == 0)
                        r = add_extension(cert, &ctx, NID_key_usage, usage, e);
        }
        if (r >= 0)
                r = add_extension(cert, &ctx, NID_basic_constraints,
                        spec->ca ? "critical,CA:TRUE" : "CA:FALSE", e);
        if (r >= 0 && spec->ekus)
                r = add_extension(cert, &ctx, NID_ext_key_usage, spec->ekus, e);
        if (r >= 0)
                r = add_alternative_names(cert, spec);
        if (r == -EINVAL)
                return err_set(e, -EINVAL, "A subject alternative name or usage is not valid");
        if (r >= 0)
                r = add_extension(cert, &ctx, NID_subject_key_identifier, "hash", e);
        if (r >= 0)
                r = add_extension(cert, &ctx, NID_authority_key_identifier, "keyid:always", e);
        return r;
}

int x509_make(const struct x509_spec *spec, X509 **ret, struct err *e)
{
        _cleanup_x509_ X509 *cert = X509_new();

        if (!cert)
                return -ENOMEM;
        int r = fill(cert, spec, e);
        if (r < 0)
                return r;
        if (!X509_sign(cert, spec->issuer ? spec->issuer_key : spec->key, EVP_sha256()))
                return err_set(e, -EIO, "OpenSSL could not sign a certificate");
        *ret = TAKE_PTR(cert);
        return 0;
}

int x509_request(const char *subject, EVP_PKEY *key, char **ret_base64, struct err *e)
{
        X509_NAME *name = NULL;
        unsigned char *der = NULL;

        int r = parse_subject(subject, &name, e);
        if (r < 0)
                return r;
        X509_REQ *req = X509_REQ_new();
        int len = -1;
        if (req && X509_REQ_set_subject_name(req, name) && X509_REQ_set_pubkey(req, key) &&
                X509_REQ_sign(req, key, EVP_sha256()))
                len = i2d_X509_REQ(req, &der);
        X509_REQ_free(req);
        X509_NAME_free(name);
        if (len < 0)
                return err_set(e, -EIO, "OpenSSL could not make a certificate request");
        *ret_base64 = base64_encode(der, (size_t)len);
        OPENSSL_free(der);
        return *ret_base64 ? 0 : -ENOMEM;
}

int x509_to_pem(X509 *cert, char **ret)
{
        char *text = NULL, *data = NULL;

        BIO *bio = BIO_new(BIO_s_mem());
        if (bio && PEM_write_bio_X509(bio, cert)) {
                long len = BIO_get_mem_data(bio, &data);
                text = strndup(data, (size_t)len);
        }
        BIO_free(bio);
        if (!text)
                return -ENOMEM;
        *ret = text;
        return 0;
}

int x509_to_der(X509 *cert, unsigned char **ret, size_t *ret_len)
{
        unsigned char *der = NULL;

        int len = i2d_X509(cert, &der);
        if (len < 0)
                return -ENOMEM;
        unsigned char *copy = malloc((size_t)len);
        if (copy)
                memcpy(copy, der, (size_t)len);
        OPENSSL_free(der);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        *ret_len = (size_t)len;
        return 0;
}

int64_t x509_time(const ASN1_TIME *t)
{
        struct tm tm = {0};

        if (!ASN1_TIME_to_tm(t, &tm))
                return 0;
        return (int64_t)timegm(&tm);
}
