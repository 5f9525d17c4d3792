/* The Key Vault client: secrets, keys and certificates by name and version.
 *
 * API version 7.4. One struct vault is one vault as one identity sees it; vault_open() gives the
 * same object for the same URL, identity and endpoint settings, so that all mounts share its
 * connections. The token's scope is known from the cloud table, so there is no unauthenticated
 * first request; a 401 whose challenge names another resource of the same domain is followed once.
 * Loop thread only. Objects (struct vault_object) are immutable, reference-counted and may be
 * handed to other threads.
 */
#pragma once

#include "auth/auth.h"
#include "base/err.h"
#include "base/http.h"
#include "base/sec.h"

#define VAULT_API_VERSION "7.4"
#define VAULT_VERSIONS_MAX 1000 /* versions of one object that are listed at most */

enum vault_kind { VAULT_SECRET, VAULT_KEY, VAULT_CERT };
const char *vault_kind_name(enum vault_kind k);    /* "secret", "key", "cert": as in a class */
const char *vault_kind_segment(enum vault_kind k); /* "secrets", "keys", "certificates" */

/* --- objects --- */

#define VAULT_NO_TIME INT64_MIN

struct vault_object {
        /* read-only for everybody but vault/object.c */
        enum vault_kind kind;
        char *id; /* "https://v.vault.azure.net/secrets/name/version" as the service wrote it */
        char *name, *version; /* from the id */
        bool enabled;
        int64_t created, updated, expires, not_before; /* seconds; VAULT_NO_TIME when absent */
        char *content_type;                            /* secrets; "" when absent */
        char *kid;         /* secrets: the certificate's key, "" when none; keys: the id */
        struct sec *value; /* secrets: the value; certificates: DER of the leaf; keys: NULL */
        char *kty, *crv;   /* keys, "" otherwise */
        struct sec *n, *e, *x,
                *y; /* keys: big-endian numbers, leading zero bytes removed; or NULL */
        _Atomic unsigned refs;
};

/* Reads the body of a 200 answer. -EBADMSG with the reason in e when it is not what it should be:
 * no value, no id, not JSON, ... Unknown members are ignored, order does not matter. */
int vault_object_parse(enum vault_kind kind, const char *body, size_t len,
        struct vault_object **ret, struct err *e);
struct vault_object *vault_object_ref(struct vault_object *o);
struct vault_object *vault_object_unref(struct vault_object *o);
DEFINE_CLEANUP(struct vault_object *, vault_object_unref)

/* --- bytes (vault/render.c) --- */

enum vault_format { VAULT_FORMAT_DEFAULT, VAULT_FORMAT_PEM, VAULT_FORMAT_PFX };
enum vault_encoding { VAULT_ENCODING_UTF8, VAULT_ENCODING_BASE64, VAULT_ENCODING_HEX };
/* What files the secret of a certificate gives. Others give one whatever is asked for, but for a
 * folder, which is an error then. */
enum vault_files {
        VAULT_FILES_ONE,
        VAULT_FILES_SEPARATE, /* .crt, .key, and the whole */
        VAULT_FILES_FOLDER,   /* vault/folder.h */
};
struct vault_render {
        enum vault_format format;
        enum vault_encoding encoding;
        enum vault_files files;
        bool keep_order;       /* of a PFX's certificates: no chain is made of them */
        const char *json_path; /* secrets: one value of JSON (vault/jsonpick.h); NULL or "": all */
};
/* The bytes of the one file, to the letter as the Azure provider writes them (reference section 2);
 * `files` is not looked at. Pure. -EINVAL (encoding does not decode, nothing at the path),
 * -EOPNOTSUPP (what this version cannot render, never wrong bytes instead), -EBADMSG, -ENOENT (the
 * path leads nowhere), -ENOMEM. */
int vault_render(const struct vault_object *o, const struct vault_render *how, struct sec **ret,
        struct err *e);

#define VAULT_FILES_MAX 6
struct vault_file {
        const char *suffix; /* behind the object's own name: "", ".crt", "/tls.key"; static */
        struct sec *bytes;
};
/* All files of it, *ret_n of them; the bytes are the caller's references. Errors as vault_render().
 */
int vault_render_files(const struct vault_object *o, const struct vault_render *how,
        struct vault_file ret[static VAULT_FILES_MAX], size_t *ret_n, struct err *e);

/* --- errors (vault/vault_error.c) --- */

struct vault_error_info {
        enum vault_kind kind;
        const char *name, *version; /* of the object asked for; name "" for the list of all */
        const char *vault_url;
        const char *identity; /* auth_describe() */
        bool listing;
};
/* Turns any answer but 200, or no answer, into an error: what, which object, vault and identity,
 * status with the service's own code, inner code and text as sent, and the next step as hint. The
 * text begins "failed to get objectType:secret, objectName:NAME, objectVersion:VERSION: ". The code
 * tells apart what the cause does not: -ENETUNREACH is a 403 for where the request came from (the
 * vault's firewall) instead of who sent it; with ERR_DISABLED -EKEYEXPIRED is an expired object. */
int vault_error(
        const struct vault_error_info *info, const struct http_response *resp, struct err *e);

/* --- client --- */

struct vaults;
struct vault;

int vaults_new(struct loop *l, struct http_client *http, struct vaults **ret);
void vaults_free(struct vaults *v);
DEFINE_CLEANUP(struct vaults *, vaults_free)

struct vault_config {
        const char *url;   /* "https://name.vault.azure.net"; https only, any path is a prefix */
        const char *scope; /* "https://vault.azure.net/.default" */
        struct auth *auth; /* a reference is taken */
        struct http_endpoint endpoint; /* strings are copied */
        struct http_retry retry;       /* all zero: http_retry_default */
};
int vault_open(struct vaults *v, const struct vault_config *cfg, struct vault **ret, struct err *e);
struct vault *vault_ref(struct vault *v);
struct vault *vault_unref(struct vault *v);
DEFINE_CLEANUP(struct vault *, vault_unref)

const char *vault_url(const struct vault *v);
/* What tells cached objects of vaults apart: url and auth_key(). */
const char *vault_key(const struct vault *v);
struct auth *vault_auth(const struct vault *v); /* borrowed */

/* Keyvault name (3..24 of [-A-Za-z0-9]) and suffix, or an override with "{vault}" in it, to a URL
 * without trailing slash. Upstream's texts on failure (reference section 1.5). Caller frees. */
int vault_make_url(
        const char *name, const char *suffix, const char *override, char **ret, struct err *e);

/* Exactly one callback, never from within the call. On success object is borrowed (ref to keep);
 * on failure it is NULL, error says why and retry_after (seconds, 0 none) how long the vault asked
 * to be left alone; error->cause tells ERR_THROTTLED, ERR_NOT_FOUND, ... */
struct vault_answer {
        struct vault_object *object;
        const struct err *error;
        unsigned retry_after;
};
typedef void (*vault_get_fn)(void *userdata, const struct vault_answer *answer);

struct vault_call;
/* version "" asks for the latest. -EINVAL for an empty name and for names and versions "." and
 * "..", which would be other paths; -ENOMEM. A call holds a reference to its vault. */
int vault_get(struct vault *v, enum vault_kind kind, const char *name, const char *version,
        vault_get_fn done, void *userdata, struct vault_call **ret);

/* The versions of an object, all pages followed (at most VAULT_VERSIONS_MAX), newest first by
 * `created`, disabled ones left out. A name that does not exist gives none. */
struct vault_version {
        const char *version;
        int64_t created;
};
typedef void (*vault_versions_fn)(void *userdata, const struct vault_version *versions, size_t n,
        const struct err *error, unsigned retry_after);
int vault_list_versions(struct vault *v, enum vault_kind kind, const char *name,
        vault_versions_fn done, void *userdata, struct vault_call **ret);

/* What a vault lists of one kind: names with their tags, disabled ones left out, in the service's
 * order. Immutable and reference-counted; loop thread only. */
#define VAULT_NAMES_MAX 5000                    /* objects of one kind, disabled ones counted */
#define VAULT_NAMES_BYTES_MAX ((size_t)8 << 20) /* of names and tags together */
struct vault_tag {
        char *name, *value;
};
struct vault_listed {
        char *name;
        struct vault_tag *tags;
        size_t n_tags;
};
struct vault_names {
        struct vault_listed *list;
        size_t n;
        unsigned refs;
};
struct vault_names *vault_names_ref(struct vault_names *n);
struct vault_names *vault_names_unref(struct vault_names *n);
DEFINE_CLEANUP(struct vault_names *, vault_names_unref)

/* All pages followed; more than the limits above is an error. names is borrowed (ref to keep), NULL
 * on failure. The vault has to allow `list`. */
typedef void (*vault_names_fn)(
        void *userdata, struct vault_names *names, const struct err *error, unsigned retry_after);
int vault_list_names(struct vault *v, enum vault_kind kind, vault_names_fn done, void *userdata,
        struct vault_call **ret);

/* No callback after this; returns NULL. Calls are to be cancelled before the HTTP client goes. */
struct vault_call *vault_cancel(struct vault_call *c);

/* GETs sent so far, for status and tests; retries count when their call ends. */
uint64_t vault_requests(const struct vault *v);
/* To all vaults, also those that nobody holds any more. */
uint64_t vaults_requests(const struct vaults *all);
