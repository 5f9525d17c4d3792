#include "tests/emulator/store.h"

#include <openssl/pem.h>

#include <pthread.h>
#include <strings.h>
#include <time.h>

#include "base/wipe.h"

struct store {
        pthread_mutex_t lock;
        bool defaults;
        struct vault *vaults;
        struct identity *identities;
        struct tenant *tenants;
};

static const char *const segments[KINDS] = {"secrets", "keys", "certificates"};
static const char *const words[KINDS] = {"secret", "key", "certificate"};
static const char *const titles[KINDS] = {"Secret", "Key", "Certificate"};
static const char *const operations[OPERATIONS] = {
        "get", "list", "set", "create", "import", "update", "delete", "recover", "purge", "rotate"};

const char *kind_segment(enum kind k)
{
        return segments[k];
}

const char *kind_word(enum kind k)
{
        return words[k];
}

const char *kind_title(enum kind k)
{
        return titles[k];
}

const char *operation_name(enum operation op)
{
        return operations[op];
}

int64_t now_seconds(void)
{
        return (int64_t)time(NULL);
}

int set_string(char **to, const char *from)
{
        char *copy = NULL;

        if (from) {
                copy = strdup(from);
                if (!copy)
                        return -ENOMEM;
        }
        erase_and_free(*to);
        *to = copy;
        return 0;
}

/* --- objects --- */

struct version *version_new(void)
{
        struct version *v = calloc(1, sizeof *v);

        if (!v)
                return NULL;
        version_make(v->id);
        v->attributes = (struct attributes){
                .enabled = true,
                .created = now_seconds(),
                .not_before = NO_TIME,
                .expires = NO_TIME,
        };
        v->attributes.updated = v->attributes.created;
        return v;
}

void version_free(struct version *v)
{
        if (!v)
                return;
        cJSON_Delete(v->tags);
        erase_and_free(v->value);
        free(v->content_type);
        jwk_done(&v->jwk);
        cJSON_Delete(v->key_ops);
        free(v->der);
        free(v);
}

void pending_free(struct pending *p)
{
        if (!p)
                return;
        free(p->issuer);
        free(p->csr);
        EVP_PKEY_free(p->key);
        free(p);
}

static void object_free(struct object *o)
{
        while (o->versions) {
                struct version *v = o->versions;
                o->versions = v->next;
                version_free(v);
        }
        free(o->name);
        cJSON_Delete(o->policy);
        pending_free(o->pending);
        free(o);
}

bool object_name_valid(const char *name)
{
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

        return n >= 1 && n <= 127 && !name[n];
}

struct object *vault_find(struct vault *v, enum kind kind, const char *name)
{
        for (struct object *o = v->objects; o; o = o->next)
                if (o->kind == kind && strcasecmp(o->name, name) == 0)
                        return o;
        return NULL;
}

struct object *vault_find_live(struct vault *v, enum kind kind, const char *name)
{
        struct object *o = vault_find(v, kind, name);

        return o && o->deleted == NO_TIME ? o : NULL;
}

int vault_add_object(struct vault *v, enum kind kind, const char *name, struct object **ret)
{
        struct object *o = calloc(1, sizeof *o);

        if (!o)
                return -ENOMEM;
        o->kind = kind;
        o->name = strdup(name);
        if (!o->name) {
                free(o);
                return -ENOMEM;
        }
        o->deleted = o->purge = NO_TIME;
        o->next = v->objects;
        v->objects = o;
        *ret = o;
        return 0;
}

void vault_purge(struct vault *v, struct object *o)
{
        for (struct object **p = &v->objects; *p; p = &(*p)->next)
                if (*p == o) {
                        *p = o->next;
                        object_free(o);
                        return;
                }
}

struct version *object_version(struct object *o, const char *version)
{
        if (isempty(version))
                return o->versions;
        for (struct version *v = o->versions; v; v = v->next)
                if (strcasecmp(v->id, version) == 0)
                        return v;
        return NULL;
}

void object_push(struct object *o, struct version *v)
{
        v->next = o->versions;
        o->versions = v;
}

/* --- vaults --- */

static void vault_free(struct vault *v)
{
        while (v->objects) {
                struct object *o = v->objects;
                v->objects = o->next;
                object_free(o);
        }
        free(v->name);
        free(v->tenant);
        free(v->location);
        free(v->resource);
        free(v);
}

static bool vault_name_valid(const char *name)
{
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

        return n >= 3 && n <= 24 && !name[n];
}

struct vault *store_find_vault(struct store *s, const char *name)
{
        for (struct vault *v = s->vaults; v; v = v->next)
                if (strcasecmp(v->name, name) == 0)
                        return v;
        return NULL;
}

int store_add_vault(struct store *s, const char *name, struct vault **ret)
{
        struct vault *v = store_find_vault(s, name);

        if (!v) {
                if (!vault_name_valid(name))
                        return -EINVAL;
                v = calloc(1, sizeof *v);
                if (!v)
                        return -ENOMEM;
                v->name = strdup(name);
                v->tenant = strdup(s->tenants ? s->tenants->id : DEFAULT_TENANT);
                v->location = strdup("westus");
                v->resource = strdup(VAULT_RESOURCE);
                v->recoverable_days = 90;
                if (!v->name || !v->tenant || !v->location || !v->resource) {
                        vault_free(v);
                        return -ENOMEM;
                }
                v->next = s->vaults;
                s->vaults = v;
        }
        if (ret)
                *ret = v;
        return 0;
}

bool store_remove_vault(struct store *s, const char *name)
{
        for (struct vault **p = &s->vaults; *p; p = &(*p)->next)
                if (strcasecmp((*p)->name, name) == 0) {
                        struct vault *v = *p;
                        *p = v->next;
                        vault_free(v);
                        return true;
                }
        return false;
}

/* --- the store --- */

static int add_defaults(struct store *s)
{
        struct identity *i;

        int r = store_add_tenant(s, DEFAULT_TENANT, "emulator.example");
        if (r == 0)
                r = store_add_vault(s, DEFAULT_VAULT, NULL);
        if (r == 0)
                r = store_add_identity(s, DEFAULT_TENANT, DEFAULT_CLIENT_ID, &i);
        if (r == 0)
                r = identity_add_secret(i, DEFAULT_CLIENT_SECRET, false);
        if (r == 0)
                r = store_add_identity(s, DEFAULT_TENANT, DEFAULT_SYSTEM_IDENTITY, &i);
        if (r == 0) {
                i->system_assigned = true;
                r = store_add_identity(s, DEFAULT_TENANT, DEFAULT_USER_IDENTITY, &i);
        }
        if (r == 0) {
                i->user_assigned = true;
                r = set_string(&i->resource_id,
                        "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/"
                        "emulator/providers/Microsoft.ManagedIdentity/userAssignedIdentities/demo");
        }
        return r;
}

int store_new(bool defaults, struct store **ret)
{
        _cleanup_(store_freep) struct store *s = calloc(1, sizeof *s);

        if (!s)
                return -ENOMEM;
        pthread_mutex_init(&s->lock, NULL);
        s->defaults = defaults;
        int r = defaults ? add_defaults(s) : 0;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

static void clear(struct store *s)
{
        while (s->vaults)
                (void)store_remove_vault(s, s->vaults->name);
        while (s->identities)
                (void)store_remove_identity(s, s->identities->client_id);
        while (s->tenants) {
                struct tenant *t = s->tenants;
                s->tenants = t->next;
                free(t->id);
                free(t->domain);
                free(t);
        }
}

int store_reset(struct store *s)
{
        clear(s);
        return s->defaults ? add_defaults(s) : 0;
}

void store_free(struct store *s)
{
        if (!s)
                return;
        clear(s);
        pthread_mutex_destroy(&s->lock);
        free(s);
}

void store_lock(struct store *s)
{
        pthread_mutex_lock(&s->lock);
}

void store_unlock(struct store *s)
{
        pthread_mutex_unlock(&s->lock);
}

struct vault *store_vaults(struct store *s)
{
        return s->vaults;
}

struct identity *store_identities(struct store *s)
{
        return s->identities;
}

struct tenant *store_tenants(struct store *s)
{
        return s->tenants;
}

int store_add_tenant(struct store *s, const char *id, const char *domain)
{
        struct tenant *t = store_find_tenant(s, id);

        if (!t) {
                t = calloc(1, sizeof *t);
                if (!t)
                        return -ENOMEM;
                t->id = strdup(id);
                if (!t->id) {
                        free(t);
                        return -ENOMEM;
                }
                struct tenant **last = &s->tenants;
                while (*last)
                        last = &(*last)->next;
                *last = t; /* the first one stays the default */
        }
        return domain ? set_string(&t->domain, domain) : 0;
}

struct tenant *store_find_tenant(struct store *s, const char *id_or_domain)
{
        for (struct tenant *t = s->tenants; t; t = t->next)
                if (strcasecmp(t->id, id_or_domain) == 0 ||
                        (t->domain && strcasecmp(t->domain, id_or_domain) == 0))
                        return t;
        return NULL;
}

/* --- identities --- */

void identity_clear_secrets(struct identity *i)
{
        while (i->secrets) {
                struct client_secret *c = i->secrets;
                i->secrets = c->next;
                erase_and_free(c->value);
                free(c);
        }
}

void identity_clear_federated(struct identity *i)
{
        while (i->federated) {
                struct federated *f = i->federated;
                i->federated = f->next;
                free(f->issuer);
                free(f->subject);
                free(f->audience);
                free(f);
        }
}

void identity_clear_grants(struct identity *i)
{
        while (i->grants) {
                struct grant *g = i->grants;
                i->grants = g->next;
                free(g->vault);
                free(g);
        }
}

int identity_add_certificate(struct identity *i, const char *pem)
{
        BIO *bio = BIO_new_mem_buf(pem, -1);
        _cleanup_x509_ X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

        BIO_free(bio);
        if (!x)
                return -EINVAL;
        struct certificate_credential *c = calloc(1, sizeof *c);
        if (!c)
                return -ENOMEM;
        c->certificate = TAKE_PTR(x);
        c->next = i->certificates;
        i->certificates = c;
        return 0;
}

void identity_clear_certificates(struct identity *i)
{
        while (i->certificates) {
                struct certificate_credential *c = i->certificates;
                i->certificates = c->next;
                X509_free(c->certificate);
                free(c);
        }
}

static void identity_free(struct identity *i)
{
        identity_clear_secrets(i);
        identity_clear_federated(i);
        identity_clear_certificates(i);
        free(i->pod);
        identity_clear_grants(i);
        free(i->tenant);
        free(i->client_id);
        free(i->object_id);
        free(i->resource_id);
        free(i);
}

struct identity *store_find_identity(struct store *s, const char *client_id)
{
        for (struct identity *i = s->identities; i; i = i->next)
                if (strcasecmp(i->client_id, client_id) == 0)
                        return i;
        return NULL;
}

int store_add_identity(
        struct store *s, const char *tenant, const char *client_id, struct identity **ret)
{
        struct identity *i = store_find_identity(s, client_id);

        if (!i) {
                char object_id[GUID_LEN + 1];

                guid_make(object_id);
                i = calloc(1, sizeof *i);
                if (!i)
                        return -ENOMEM;
                i->tenant = strdup(tenant);
                i->client_id = strdup(client_id);
                i->object_id = strdup(object_id);
                if (!i->tenant || !i->client_id || !i->object_id) {
                        identity_free(i);
                        return -ENOMEM;
                }
                i->next = s->identities;
                s->identities = i;
        }
        if (ret)
                *ret = i;
        return 0;
}

bool store_remove_identity(struct store *s, const char *client_id)
{
        for (struct identity **p = &s->identities; *p; p = &(*p)->next)
                if (strcasecmp((*p)->client_id, client_id) == 0) {
                        struct identity *i = *p;
                        *p = i->next;
                        identity_free(i);
                        return true;
                }
        return false;
}

int identity_add_secret(struct identity *i, const char *value, bool expired)
{
        struct client_secret *c = calloc(1, sizeof *c);

        if (!c)
                return -ENOMEM;
        c->value = wipe_strdup(value);
        if (!c->value) {
                free(c);
                return -ENOMEM;
        }
        c->expired = expired;
        c->next = i->secrets;
        i->secrets = c;
        return 0;
}

int identity_add_federated(
        struct identity *i, const char *issuer, const char *subject, const char *audience)
{
        struct federated *f = calloc(1, sizeof *f);

        if (!f)
                return -ENOMEM;
        f->issuer = strdup(issuer);
        f->subject = strdup(subject);
        f->audience = strdup(audience);
        f->next = i->federated;
        i->federated = f;
        return f->issuer && f->subject && f->audience ? 0 : -ENOMEM;
}

int identity_grant(struct identity *i, const char *vault, struct grant **ret)
{
        struct grant *g = i->grants;

        while (g && strcasecmp(g->vault, vault) != 0)
                g = g->next;
        if (!g) {
                g = calloc(1, sizeof *g);
                if (!g)
                        return -ENOMEM;
                g->vault = strdup(vault);
                if (!g->vault) {
                        free(g);
                        return -ENOMEM;
                }
                g->next = i->grants;
                i->grants = g;
        }
        *ret = g;
        return 0;
}
