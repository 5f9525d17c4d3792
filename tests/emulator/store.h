/* What the emulator holds: tenants, identities, vaults and their objects. In memory only.
 *
 * One lock for all of it. Every function of this header but store_new/free/lock/unlock wants the
 * lock held; pointers into the store are good until it is let go.
 */
#pragma once

#include "base/json.h"
#include "tests/emulator/crypto.h"

#define NO_TIME INT64_MIN

/* Defaults that work at once; they are no secrets, and no real ids. */
#define DEFAULT_TENANT "11111111-1111-1111-1111-111111111111"
#define DEFAULT_CLIENT_ID "22222222-2222-2222-2222-222222222222"
#define DEFAULT_CLIENT_SECRET "emulator-client-secret"
#define DEFAULT_SYSTEM_IDENTITY "33333333-3333-3333-3333-333333333333"
#define DEFAULT_USER_IDENTITY "44444444-4444-4444-4444-444444444444"
#define DEFAULT_VAULT "demo"
#define VAULT_RESOURCE "https://vault.azure.net"

enum kind { KIND_SECRET, KIND_KEY, KIND_CERTIFICATE, KINDS };
const char *kind_segment(enum kind k); /* "secrets", ... */
const char *kind_word(enum kind k);    /* "secret", ... */
const char *kind_title(enum kind k);   /* "Secret", ... */

/* --- objects --- */

struct attributes {
        bool enabled;
        int64_t created, updated;    /* seconds since the epoch */
        int64_t not_before, expires; /* NO_TIME when absent */
};

struct version {
        struct version *next; /* the next older one */
        char id[33];
        struct attributes attributes;
        cJSON *tags;  /* NULL: the member is absent; {} when the writer sent an empty object */
        bool managed; /* belongs to a certificate */
        /* secrets */
        char *value; /* text without NUL; wiped */
        char *content_type;
        /* keys */
        struct jwk jwk;
        cJSON *key_ops;
        bool exportable;
        /* certificates */
        unsigned char *der;
        size_t der_len;
};

/* A certificate's order under way or done: GET certificates/NAME/pending. */
struct pending {
        char *issuer;
        char *csr;
        char request_id[33];
        bool completed, cancelled;
        EVP_PKEY *key; /* kept until the certificate is merged in; NULL once completed */
};

struct object {
        struct object *next;
        enum kind kind;
        char *name;
        struct version *versions; /* newest first; never empty, but for a pending certificate */
        int64_t deleted, purge;   /* seconds; deleted is NO_TIME while it lives */
        int64_t settles_ms;       /* monotonic: until then a deletion is still under way */
        cJSON *policy;            /* certificates: everything but id and attributes */
        int64_t policy_created, policy_updated;
        struct pending *pending; /* certificates, or NULL */
};

void version_free(struct version *v);
DEFINE_CLEANUP(struct version *, version_free)
struct version *version_new(void); /* enabled, created now, a fresh id */
void pending_free(struct pending *p);

/* --- vaults --- */

enum access_model { ACCESS_POLICY, ACCESS_RBAC };
enum vault_network { NETWORK_OPEN, NETWORK_FIREWALL, NETWORK_PRIVATE };

struct vault {
        struct vault *next;
        char *name, *tenant, *location, *resource;
        enum access_model model;
        enum vault_network network;
        int64_t recoverable_days;
        int64_t deletion_ms; /* how long a deletion takes */
        struct object *objects;
};

/* --- identities --- */

enum operation {
        OP_GET,
        OP_LIST,
        OP_SET,
        OP_CREATE,
        OP_IMPORT,
        OP_UPDATE,
        OP_DELETE,
        OP_RECOVER,
        OP_PURGE,
        OP_ROTATE,
        OPERATIONS
};
const char *operation_name(enum operation op); /* "get", ... */

struct grant {
        struct grant *next;
        char *vault;          /* "*" for every vault */
        unsigned mask[KINDS]; /* 1 << enum operation */
};

struct client_secret {
        struct client_secret *next;
        char *value; /* wiped */
        bool expired;
};

struct certificate_credential {
        struct certificate_credential *next;
        X509 *certificate;
};

struct federated {
        struct federated *next;
        char *issuer, *subject, *audience;
};

struct identity {
        struct identity *next;
        char *tenant, *client_id, *object_id;
        struct client_secret *secrets;
        struct federated *federated;
        struct certificate_credential *certificates;
        char *pod;            /* "NAMESPACE/NAME" that NMI gives it to, or NULL */
        char *resource_id;    /* of a user-assigned managed identity, or NULL */
        bool system_assigned; /* this VM's own */
        bool user_assigned;   /* assigned to this VM */
        struct grant *grants; /* NULL: may do everything everywhere */
        uint64_t generation;  /* tokens of an earlier one are refused */
};

struct tenant {
        struct tenant *next;
        char *id;     /* GUID */
        char *domain; /* or NULL */
};

struct store;

/* Empty, or with the defaults above. */
int store_new(bool defaults, struct store **ret);
void store_free(struct store *s);
DEFINE_CLEANUP(struct store *, store_free)
/* Back to what store_new() made; the lock is held. */
int store_reset(struct store *s);
void store_lock(struct store *s);
void store_unlock(struct store *s);

/* Lists, for the admin interface and look-ups of their own. */
struct vault *store_vaults(struct store *s);
struct identity *store_identities(struct store *s);
struct tenant *store_tenants(struct store *s);

/* Found, or made with defaults. -EINVAL for a name that no vault can have (3 to 24 of
 * [A-Za-z0-9-]), -ENOMEM. */
int store_add_vault(struct store *s, const char *name, struct vault **ret);
struct vault *store_find_vault(struct store *s, const char *name); /* case ignored */
bool store_remove_vault(struct store *s, const char *name);

int store_add_tenant(struct store *s, const char *id, const char *domain);
struct tenant *store_find_tenant(struct store *s, const char *id_or_domain);

/* Found by client id, or made: no secret, not on the VM, everything allowed. */
int store_add_identity(
        struct store *s, const char *tenant, const char *client_id, struct identity **ret);
struct identity *store_find_identity(struct store *s, const char *client_id);
bool store_remove_identity(struct store *s, const char *client_id);
int identity_add_secret(struct identity *i, const char *value, bool expired);
void identity_clear_secrets(struct identity *i);
int identity_add_federated(
        struct identity *i, const char *issuer, const char *subject, const char *audience);
void identity_clear_federated(struct identity *i);
/* PEM of the public certificate. -EINVAL when it is none. */
int identity_add_certificate(struct identity *i, const char *pem);
void identity_clear_certificates(struct identity *i);
/* The grant for exactly that vault (or "*"), made without rights when there is none. */
int identity_grant(struct identity *i, const char *vault, struct grant **ret);
void identity_clear_grants(struct identity *i);

/* --- objects of a vault --- */

bool object_name_valid(const char *name);
/* Live or deleted; case ignored, as the service does. */
struct object *vault_find(struct vault *v, enum kind kind, const char *name);
/* Live only. */
struct object *vault_find_live(struct vault *v, enum kind kind, const char *name);
int vault_add_object(struct vault *v, enum kind kind, const char *name, struct object **ret);
void vault_purge(struct vault *v, struct object *o);
/* version NULL or "" is the newest. */
struct version *object_version(struct object *o, const char *version);
/* v becomes the newest; the object owns it. */
void object_push(struct object *o, struct version *v);

int64_t now_seconds(void);
/* Replaces *to; NULL empties it. 0 or -ENOMEM. */
int set_string(char **to, const char *from);
