#include "tests/emulator/certissue.h"

#include <stdio.h>
#include <time.h>

#include "tests/emulator/call.h"
#include "tests/emulator/policy.h"
#include "tests/emulator/x509.h"

#define NAMES_MAX 64
#define BACKDATED 600 /* seconds that a certificate begins in the past */

static int64_t add_months(int64_t from, int64_t months)
{
        time_t t = (time_t)from;
        struct tm tm;

        gmtime_r(&t, &tm);
        tm.tm_mon += (int)months;
        return (int64_t)timegm(&tm);
}

static void validity(const cJSON *policy, int64_t *not_before, int64_t *not_after)
{
        int64_t months = 12, now = now_seconds();

        (void)json_int64(policy_x509(policy), "validity_months", &months); /* was checked */
        *not_before = now - BACKDATED;
        *not_after = add_months(now, months);
}

/* The strings of a JSON list, borrowed, NULL-terminated. */
static void collect(const cJSON *list, const char *out[static NAMES_MAX + 1])
{
        const cJSON *j;
        size_t n = 0;

        cJSON_ArrayForEach (j, list)
                if (cJSON_IsString(j) && n < NAMES_MAX)
                        out[n++] = j->valuestring;
        out[n] = NULL;
}

static int join(const cJSON *list, char **ret)
{
        const cJSON *j;
        struct out o = {0};

        cJSON_ArrayForEach (j, list)
                out_rawf(&o, "%s%s", o.len > 0 ? "," : "", j->valuestring);
        bool empty = o.len == 0;
        char *text = out_finish(&o, NULL);
        if (!text)
                return -ENOMEM;
        if (empty) {
                free(text);
                text = NULL;
        }
        *ret = text;
        return 0;
}

static int self_sign(const cJSON *policy, EVP_PKEY *key, X509 **ret, struct err *e)
{
        const cJSON *x = policy_x509(policy), *sans = json_get(x, "sans");
        const char *dns[NAMES_MAX + 1], *emails[NAMES_MAX + 1];
        _cleanup_free_ char *usage = NULL, *ekus = NULL;
        int64_t not_before, not_after;

        validity(policy, &not_before, &not_after);
        collect(json_get(sans, "dns_names"), dns);
        collect(json_get(sans, "emails"), emails);
        if (join(json_get(x, "key_usage"), &usage) < 0 || join(json_get(x, "ekus"), &ekus) < 0)
                return -ENOMEM;
        const struct x509_spec spec = {
                .subject = policy_subject(policy),
                .key = key,
                .not_before = not_before,
                .not_after = not_after,
                .ca = json_bool(json_get(x, "basic_constraints"), "ca", false),
                .key_usage = usage,
                .ekus = ekus,
                .dns = dns,
                .emails = emails,
        };
        return x509_make(&spec, ret, e);
}

/* --- the three objects of a version --- */

struct family {
        struct object *cert, *key, *secret; /* NULL while they are not there */
};

static int find_family(struct vault *v, const char *name, struct family *f, struct err *e)
{
        *f = (struct family){
                .cert = vault_find(v, KIND_CERTIFICATE, name),
                .key = vault_find(v, KIND_KEY, name),
                .secret = vault_find(v, KIND_SECRET, name),
        };
        if ((f->key && f->key->versions && !f->key->versions->managed) ||
                (f->secret && f->secret->versions && !f->secret->versions->managed))
                return err_set(e, -EEXIST,
                        "A key or secret with name %s already exists and belongs to no certificate",
                        name);
        return 0;
}

static int copy_tags(const cJSON *tags, cJSON **ret)
{
        if (!tags)
                return 0;
        *ret = cJSON_Duplicate(tags, true);
        return *ret ? 0 : -ENOMEM;
}

/* Fills the certificate's version and makes those of key and secret. */
static int make_versions(struct version *cert, const struct bundle *b, const cJSON *policy,
        struct version **ret_key, struct version **ret_secret, struct err *e)
{
        _cleanup_(version_freep) struct version *key = version_new(), *secret = version_new();

        if (!key || !secret)
                return -ENOMEM;
        cert->attributes.not_before = x509_time(X509_get0_notBefore(b->cert));
        cert->attributes.expires = x509_time(X509_get0_notAfter(b->cert));
        int r = x509_to_der(b->cert, &cert->der, &cert->der_len);
        if (r == 0)
                r = jwk_from_key(b->key, &key->jwk);
        if (r == 0)
                r = key_default_ops(key);
        if (r == 0)
                r = set_string(&secret->content_type, policy_content_type(policy));
        if (r == 0)
                r = bundle_secret(
                        b, secret->content_type, policy_exportable(policy), &secret->value, e);
        if (r == 0)
                r = copy_tags(cert->tags, &key->tags);
        if (r == 0)
                r = copy_tags(cert->tags, &secret->tags);
        if (r < 0)
                return r;
        memcpy(key->id, cert->id, sizeof key->id);
        memcpy(secret->id, cert->id, sizeof secret->id);
        key->attributes = secret->attributes = cert->attributes;
        key->managed = secret->managed = true;
        *ret_key = TAKE_PTR(key);
        *ret_secret = TAKE_PTR(secret);
        return 0;
}

static int add_missing(struct vault *v, const char *name, struct family *f)
{
        int r = 0;

        if (!f->cert)
                r = vault_add_object(v, KIND_CERTIFICATE, name, &f->cert);
        if (r == 0 && !f->key)
                r = vault_add_object(v, KIND_KEY, name, &f->key);
        if (r == 0 && !f->secret)
                r = vault_add_object(v, KIND_SECRET, name, &f->secret);
        return r;
}

static void set_policy(struct object *obj, cJSON *policy)
{
        obj->policy_updated = now_seconds();
        if (!obj->policy)
                obj->policy_created = obj->policy_updated;
        cJSON_Delete(obj->policy);
        obj->policy = policy;
}

/* Takes policy and, on success, cert. */
static int install(struct vault *v, const char *name, struct version **cert, const struct bundle *b,
        cJSON *policy, struct object **ret, struct err *e)
{
        _cleanup_(version_freep) struct version *key = NULL, *secret = NULL;
        _cleanup_json_ cJSON *owned = policy;
        struct family f;

        int r = find_family(v, name, &f, e);
        if (r == 0)
                r = make_versions(*cert, b, policy, &key, &secret, e);
        if (r == 0)
                r = add_missing(v, name, &f);
        if (r < 0)
                return r;
        set_policy(f.cert, TAKE_PTR(owned));
        object_push(f.cert, TAKE_PTR(*cert));
        object_push(f.key, TAKE_PTR(key));
        object_push(f.secret, TAKE_PTR(secret));
        *ret = f.cert;
        return 0;
}

static struct version *new_version(const struct cert_options *options)
{
        struct version *v = version_new();

        if (!v)
                return NULL;
        v->attributes.enabled = !options->disabled;
        if (copy_tags(options->tags, &v->tags) < 0) {
                version_free(v);
                return NULL;
        }
        return v;
}

/* --- ways in --- */

/* The key of the version before, when the policy says to keep it. */
static int reused_key(struct vault *v, const char *name, EVP_PKEY **ret)
{
        struct object *secret = vault_find(v, KIND_SECRET, name);
        _cleanup_(bundle_done) struct bundle b = {0};

        if (!secret || !secret->versions ||
                bundle_parse(secret->versions->value, NULL, &b, NULL) < 0)
                return -ENOENT;
        *ret = TAKE_PTR(b.key);
        return 0;
}

static int start_pending(struct object *obj, const char *issuer, const char *csr, EVP_PKEY *key)
{
        struct pending *p = calloc(1, sizeof *p);

        if (!p)
                return -ENOMEM;
        version_make(p->request_id);
        p->issuer = strdup(issuer);
        p->csr = strdup(csr);
        if (!p->issuer || !p->csr) {
                pending_free(p);
                return -ENOMEM;
        }
        p->completed = !key;
        if (key && EVP_PKEY_up_ref(key))
                p->key = key;
        pending_free(obj->pending);
        obj->pending = p;
        return 0;
}

/* Waits for somebody else's signature: a disabled version without bytes. */
static int create_pending(struct vault *v, const char *name, cJSON *policy, EVP_PKEY *key,
        const char *csr, const struct cert_options *options, struct object **ret, struct err *e)
{
        _cleanup_(version_freep) struct version *version = new_version(options);
        _cleanup_json_ cJSON *owned = policy;
        struct family f;

        if (!version)
                return -ENOMEM;
        version->attributes.enabled = false;
        validity(policy, &version->attributes.not_before, &version->attributes.expires);
        int r = find_family(v, name, &f, e);
        if (r == 0 && !f.cert)
                r = vault_add_object(v, KIND_CERTIFICATE, name, &f.cert);
        if (r == 0)
                r = start_pending(f.cert, policy_issuer(policy), csr, key);
        if (r < 0)
                return r;
        set_policy(f.cert, TAKE_PTR(owned));
        object_push(f.cert, TAKE_PTR(version));
        *ret = f.cert;
        return 0;
}

static bool in_creation(const struct object *obj, struct err *e)
{
        if (!obj || !obj->pending || obj->pending->completed || obj->pending->cancelled)
                return false;
        (void)err_set(e, -EBUSY,
                "A new key vault certificate can not be created or imported while a pending key "
                "vault certificate's status is inProgress.");
        return true;
}

int certificate_create(struct vault *vault, const char *name, const cJSON *given,
        const struct cert_options *options, struct object **ret, struct err *e)
{
        _cleanup_json_ cJSON *policy = NULL;
        _cleanup_(bundle_done) struct bundle b = {0};
        _cleanup_(version_freep) struct version *version = NULL;
        _cleanup_free_ char *csr = NULL;
        struct object *obj = vault_find(vault, KIND_CERTIFICATE, name);

        if (in_creation(obj, e))
                return -EBUSY;
        int r = policy_complete(given, obj ? obj->policy : NULL, &policy, e);
        if (r < 0)
                return r;
        if (!policy_reuse_key(policy) || reused_key(vault, name, &b.key) < 0)
                r = key_generate(
                        policy_kty(policy), policy_key_size(policy), policy_crv(policy), &b.key);
        if (r == -EINVAL)
                return err_set(e, r, "The policy's key type, size or curve is not supported");
        if (r == 0)
                r = x509_request(policy_subject(policy), b.key, &csr, e);
        if (r < 0)
                return r;
        if (streq(policy_issuer(policy), "Unknown"))
                return create_pending(vault, name, TAKE_PTR(policy), b.key, csr, options, ret, e);
        if (!streq(policy_issuer(policy), "Self"))
                return err_set(e, -EINVAL, "The emulator has the issuers Self and Unknown, not %s",
                        policy_issuer(policy));
        r = self_sign(policy, b.key, &b.cert, e);
        version = r == 0 ? new_version(options) : NULL;
        if (r == 0 && !version)
                r = -ENOMEM;
        if (r == 0)
                r = install(vault, name, &version, &b, TAKE_PTR(policy), &obj, e);
        if (r == 0)
                r = start_pending(obj, "Self", csr, NULL);
        if (r < 0)
                return r;
        *ret = obj;
        return 0;
}

int certificate_import(struct vault *vault, const char *name, const struct bundle *b,
        const cJSON *given, const char *content_type, const struct cert_options *options,
        struct object **ret, struct err *e)
{
        _cleanup_(version_freep) struct version *version = new_version(options);
        cJSON *policy = NULL;

        if (!version)
                return -ENOMEM;
        if (in_creation(vault_find(vault, KIND_CERTIFICATE, name), e))
                return -EBUSY;
        int r = policy_of_import(b->cert, content_type, given, &policy, e);
        if (r == 0)
                r = install(vault, name, &version, b, policy, ret, e);
        if (r < 0)
                return r;
        pending_free((*ret)->pending);
        (*ret)->pending = NULL;
        return 0;
}

int certificate_merge(struct vault *vault, struct object *obj, X509 *cert, struct err *e)
{
        _cleanup_(version_freep) struct version *key = NULL, *secret = NULL;
        struct version *version = obj->versions;
        struct family f;

        if (X509_check_private_key(cert, obj->pending->key) != 1)
                return err_set(e, -EINVAL,
                        "Public key of the leaf certificate does not match that of the request");
        const struct bundle b = {.key = obj->pending->key, .cert = cert};
        version->attributes.enabled = true;
        version->attributes.updated = now_seconds();
        int r = find_family(vault, obj->name, &f, e);
        if (r == 0)
                r = make_versions(version, &b, obj->policy, &key, &secret, e);
        if (r == 0)
                r = add_missing(vault, obj->name, &f);
        if (r < 0)
                return r;
        object_push(f.key, TAKE_PTR(key));
        object_push(f.secret, TAKE_PTR(secret));
        EVP_PKEY_free(obj->pending->key);
        obj->pending->key = NULL;
        obj->pending->completed = true;
        return 0;
}
