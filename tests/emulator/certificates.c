/* Certificates: the wire. How they are made is certissue.c's. */

#include <openssl/sha.h>
#include <stdio.h>

#include "tests/emulator/call.h"
#include "tests/emulator/certissue.h"
#include "tests/emulator/policy.h"

#define RETRY_AFTER 10 /* seconds, what the service says while a certificate is in creation */

static void write_thumbprint(struct out *o, const struct version *v)
{
        unsigned char digest[SHA_DIGEST_LENGTH];

        SHA1(v->der, v->der_len, digest);
        _cleanup_free_ char *text = base64url_encode(digest, sizeof digest);
        out_member(o, "x5t", text);
}

static void write_policy_members(struct out *o, const struct call *c, const struct object *obj)
{
        const cJSON *j;

        out_memberf(o, "id", "%s/certificates/%s/policy", c->base, obj->name);
        cJSON_ArrayForEach (j, obj->policy) {
                out_key(o, j->string);
                out_tree(o, j);
        }
        const struct attributes a = {
                .enabled = true,
                .created = obj->policy_created,
                .updated = obj->policy_updated,
                .not_before = NO_TIME,
                .expires = NO_TIME,
        };
        write_attributes(o, c, &a, KIND_CERTIFICATE, NULL);
}

void write_certificate(struct out *o, const struct call *c, const struct object *obj,
        const struct version *v, bool latest)
{
        out_memberf(o, "id", "%s/certificates/%s/%s", c->base, obj->name, v->id);
        if (v->der) {
                _cleanup_free_ char *cer = base64_encode(v->der, v->der_len);
                out_memberf(o, "kid", "%s/keys/%s/%s", c->base, obj->name, v->id);
                out_memberf(o, "sid", "%s/secrets/%s/%s", c->base, obj->name, v->id);
                write_thumbprint(o, v);
                out_member(o, "cer", cer);
        }
        write_attributes(o, c, &v->attributes, KIND_CERTIFICATE, v);
        write_tags(o, v->tags);
        if (!latest)
                return;
        out_key(o, "policy");
        out_open(o, '{');
        write_policy_members(o, c, obj);
        out_close(o, '}');
        if (obj->pending) {
                out_key(o, "pending");
                out_open(o, '{');
                out_memberf(o, "id", "%s/certificates/%s/pending", c->base, obj->name);
                out_close(o, '}');
        }
}

void write_certificate_item(struct out *o, const struct call *c, const struct object *obj,
        const struct version *v, bool version_in_id)
{
        out_memberf(o, "id", "%s/certificates/%s%s%s", c->base, obj->name, version_in_id ? "/" : "",
                version_in_id ? v->id : "");
        if (v->der)
                write_thumbprint(o, v);
        write_attributes(o, c, &v->attributes, KIND_CERTIFICATE, NULL);
        write_tags(o, v->tags);
        out_member(o, "subject", "");
}

static void answer_certificate(
        struct call *c, const struct object *obj, const struct version *v, bool latest)
{
        struct out o = {0};

        out_open(&o, '{');
        write_certificate(&o, c, obj, v, latest);
        out_close(&o, '}');
        answer_out(c->answer, MHD_HTTP_OK, &o);
}

static void get_certificate(struct call *c, const char *name, const char *version)
{
        c->request->operation = "certificates.get";
        if (!call_permitted(c, KIND_CERTIFICATE, OP_GET, name))
                return;
        struct object *obj = vault_find_live(c->vault, KIND_CERTIFICATE, name);
        struct version *v = obj ? object_version(obj, version) : NULL;
        if (!v)
                call_not_found(c, KIND_CERTIFICATE, name, version);
        else
                answer_certificate(c, obj, v, isempty(version));
}

/* --- policy --- */

static void policy_call(struct call *c, const char *name)
{
        bool patch = streq(c->request->method, "PATCH");
        struct out o = {0};

        c->request->operation = patch ? "certificates.update-policy" : "certificates.policy";
        if (!call_permitted(c, KIND_CERTIFICATE, patch ? OP_UPDATE : OP_GET, name))
                return;
        struct object *obj = vault_find_live(c->vault, KIND_CERTIFICATE, name);
        if (!obj) {
                call_not_found(c, KIND_CERTIFICATE, name, NULL);
                return;
        }
        if (patch) {
                _cleanup_err_ struct err e = {0};
                cJSON *policy = NULL;
                if (policy_complete(c->body, obj->policy, &policy, &e) < 0) {
                        call_fail(
                                c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL, "%s", err_text(&e));
                        return;
                }
                cJSON_Delete(obj->policy);
                obj->policy = policy;
                obj->policy_updated = now_seconds();
        }
        out_open(&o, '{');
        write_policy_members(&o, c, obj);
        out_close(&o, '}');
        answer_out(c->answer, MHD_HTTP_OK, &o);
}

/* --- creation, import, merge --- */

static void write_pending(struct out *o, const struct call *c, const struct object *obj, bool done)
{
        const struct pending *p = obj->pending;

        out_open(o, '{');
        out_memberf(o, "id", "%s/certificates/%s/pending", c->base, obj->name);
        out_key(o, "issuer");
        out_open(o, '{');
        out_member(o, "name", p->issuer);
        out_close(o, '}');
        out_member(o, "csr", p->csr);
        out_member_bool(o, "cancellation_requested", p->cancelled);
        if (p->cancelled)
                out_member(o, "status", "cancelled");
        else if (done) {
                out_member(o, "status", "completed");
                out_memberf(o, "target", "%s/certificates/%s", c->base, obj->name);
        } else {
                out_member(o, "status", "inProgress");
                out_member(o, "status_details",
                        streq(p->issuer, "Unknown")
                                ? "Pending certificate created. Please Perform Merge to complete "
                                  "the request."
                                : "Pending certificate created. Certificate request is in "
                                  "progress. This may take some time based on the issuer provider. "
                                  "Please check again later.");
        }
        out_member(o, "request_id", p->request_id);
        out_close(o, '}');
}

static void fail_from(struct call *c, int r, const struct err *e)
{
        if (r == -EINVAL)
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL, "%s", err_text(e));
        else if (r == -EBUSY || r == -EEXIST)
                call_fail(c, MHD_HTTP_CONFLICT, "Conflict", NULL, "%s", err_text(e));
        else
                call_no_memory(c);
}

/* Attributes and tags of the body; the strings stay the body's. */
static bool read_options(struct call *c, struct cert_options *o, cJSON **tags)
{
        struct attributes a = {.enabled = true};

        if (!read_attributes(c, c->body, &a) || !read_tags(c, c->body, tags))
                return false;
        *o = (struct cert_options){.disabled = !a.enabled, .tags = *tags};
        return true;
}

static void create_certificate(struct call *c, const char *name)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_json_ cJSON *tags = NULL;
        struct cert_options options;
        struct object *obj = NULL;
        struct out o = {0};

        c->request->operation = "certificates.create";
        if (!call_permitted(c, KIND_CERTIFICATE, OP_CREATE, name) ||
                !name_is_free(c, KIND_CERTIFICATE, name) || !read_options(c, &options, &tags))
                return;
        int r = certificate_create(c->vault, name, json_get(c->body, "policy"), &options, &obj, &e);
        if (r < 0) {
                fail_from(c, r, &e);
                return;
        }
        /* It is there already, but the service never says so at once. */
        write_pending(&o, c, obj, false);
        answer_out(c->answer, MHD_HTTP_ACCEPTED, &o);
        answer_header(c->answer, "Location",
                "%s/certificates/%s/pending?api-version=%s&request_id=%s", c->base, obj->name,
                c->api_version, obj->pending->request_id);
        answer_header(c->answer, "Retry-After", "%d", RETRY_AFTER);
}

static void import_certificate(struct call *c, const char *name)
{
        const char *value = json_string(c->body, "value");
        const cJSON *policy = json_get(c->body, "policy");
        _cleanup_(bundle_done) struct bundle b = {0};
        _cleanup_err_ struct err e = {0};
        _cleanup_json_ cJSON *tags = NULL;
        struct cert_options options;
        struct object *obj = NULL;

        c->request->operation = "certificates.import";
        if (!call_permitted(c, KIND_CERTIFICATE, OP_IMPORT, name) ||
                !name_is_free(c, KIND_CERTIFICATE, name) || !read_options(c, &options, &tags))
                return;
        if (!value) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "Property value is required");
                return;
        }
        int r = bundle_parse(value, json_string(c->body, "pwd"), &b, &e);
        if (r < 0) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "The specified certificate content can not be read: %s", err_text(&e));
                return;
        }
        r = certificate_import(c->vault, name, &b, policy,
                strstr(value, "-----BEGIN ") ? CONTENT_PEM : CONTENT_PKCS12, &options, &obj, &e);
        if (r < 0)
                fail_from(c, r, &e);
        else
                answer_certificate(c, obj, obj->versions, true);
}

static void merge(struct call *c, struct object *obj)
{
        const char *leaf = cJSON_GetStringValue(cJSON_GetArrayItem(json_get(c->body, "x5c"), 0));
        _cleanup_free_ unsigned char *der = NULL;
        _cleanup_x509_ X509 *cert = NULL;
        _cleanup_err_ struct err e = {0};
        size_t len = 0;

        if (leaf && base64_decode(leaf, &der, &len) == 0) {
                const unsigned char *p = der;
                cert = d2i_X509(NULL, &p, (long)len);
        }
        if (!cert) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "Unable to parse X5c certificate chain and locate leaf certificate");
                return;
        }
        int r = certificate_merge(c->vault, obj, cert, &e);
        if (r < 0) {
                fail_from(c, r, &e);
                return;
        }
        answer_certificate(c, obj, obj->versions, true);
        c->answer->status = MHD_HTTP_CREATED;
}

static void answer_pending(struct call *c, struct object *obj)
{
        const char *accept = request_header(c->request, "Accept");
        struct out o = {0};

        if (accept && streq(accept, "application/pkcs10")) {
                answer_text(c->answer, MHD_HTTP_OK, obj->pending->csr);
                c->pkcs10 = true;
                return;
        }
        write_pending(&o, c, obj, obj->pending->completed);
        answer_out(c->answer, MHD_HTTP_OK, &o);
        if (!obj->pending->completed && !obj->pending->cancelled)
                answer_header(c->answer, "Retry-After", "%d", RETRY_AFTER);
}

static void pending_call(struct call *c, const char *name)
{
        const char *method = c->request->method;
        const char *fourth = c->n_segments > 3 ? c->segments[3] : NULL;
        bool get = streq(method, "GET");

        c->request->operation = "certificates.pending";
        if (!call_permitted(c, KIND_CERTIFICATE, get ? OP_GET : OP_UPDATE, name))
                return;
        struct object *obj = vault_find_live(c->vault, KIND_CERTIFICATE, name);
        if (!obj || !obj->pending)
                call_fail(c, MHD_HTTP_NOT_FOUND, "PendingCertificateNotFound", NULL,
                        "Pending certificate not found: %s", name);
        else if (fourth && streq(fourth, "merge") && streq(method, "POST")) {
                if (obj->pending->key)
                        merge(c, obj);
                else
                        call_fail(c, MHD_HTTP_CONFLICT, "Conflict", NULL,
                                "The pending certificate is completed already");
        } else if (!fourth && get)
                answer_pending(c, obj);
        else if (!fourth && streq(method, "PATCH")) {
                if (json_bool(c->body, "cancellation_requested", false) && !obj->pending->completed)
                        obj->pending->cancelled = true;
                answer_pending(c, obj);
        } else if (!fourth && streq(method, "DELETE")) {
                answer_pending(c, obj);
                pending_free(obj->pending);
                obj->pending = NULL;
        } else
                call_method_not_allowed(c);
}

static void update_certificate(struct call *c, const char *name, const char *version)
{
        c->request->operation = "certificates.update";
        if (!call_permitted(c, KIND_CERTIFICATE, OP_UPDATE, name))
                return;
        struct object *obj = vault_find_live(c->vault, KIND_CERTIFICATE, name);
        struct version *v = obj ? object_version(obj, version) : NULL;
        if (!v) {
                call_not_found(c, KIND_CERTIFICATE, name, version);
                return;
        }
        struct attributes a = v->attributes;
        if (!read_attributes(c, c->body, &a) || !read_tags(c, c->body, &v->tags))
                return;
        certificate_set_enabled(c->vault, obj, v, a.enabled);
        answer_certificate(c, obj, v, isempty(version));
}

void certificate_set_enabled(
        struct vault *vault, struct object *obj, struct version *v, bool enabled)
{
        v->attributes.enabled = enabled;
        v->attributes.updated = now_seconds();
        /* The key and the secret behind it follow. */
        for (enum kind k = KIND_SECRET; k <= KIND_KEY; k++) {
                struct object *o = vault_find(vault, k, obj->name);
                struct version *w = o ? object_version(o, v->id) : NULL;
                if (w) {
                        w->attributes.enabled = enabled;
                        w->attributes.updated = v->attributes.updated;
                }
        }
}

/* /certificates, /certificates/NAME, .../VERSION, .../versions, .../create, .../import,
 * .../policy, .../pending, .../pending/merge */
void certificates_call(struct call *c)
{
        const char *method = c->request->method;
        const char *name = c->n_segments > 1 ? c->segments[1] : NULL;
        const char *third = c->n_segments > 2 ? c->segments[2] : NULL;
        bool get = streq(method, "GET"), post = streq(method, "POST");
        bool patch = streq(method, "PATCH");

        if (name && third && streq(third, "pending"))
                pending_call(c, name);
        else if (name && (streq(name, "contacts") || streq(name, "issuers")))
                call_fail(c, MHD_HTTP_BAD_REQUEST, "NotSupported", NULL,
                        "The emulator has no certificate contacts and issuers");
        else if (!name && get)
                list_objects(c, KIND_CERTIFICATE);
        else if (name && third && streq(third, "versions") && get)
                list_versions(c, KIND_CERTIFICATE, name);
        else if (name && third && streq(third, "policy") && (get || patch))
                policy_call(c, name);
        else if (name && get)
                get_certificate(c, name, third);
        else if (name && third && streq(third, "create") && post)
                create_certificate(c, name);
        else if (name && third && streq(third, "import") && post)
                import_certificate(c, name);
        else if (name && patch)
                update_certificate(c, name, third);
        else if (name && !third && streq(method, "DELETE"))
                delete_object(c, KIND_CERTIFICATE, name);
        else
                call_method_not_allowed(c);
}
