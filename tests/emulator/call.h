/* One call of a vault's data plane: who asks what of which vault, with what the handlers share.
 *
 * Everything here runs with the store's lock held.
 */
#pragma once

#include "tests/emulator/emulator.h"

/* API versions in their order; the service adds members with newer ones. */
enum api {
        API_2015,
        API_2016,
        API_70,
        API_71,
        API_72,
        API_73,
        API_74,
        API_75,
        API_76,
        API_2025,
        API_2026
};

struct call {
        struct emulator *emu;
        struct request *request;
        struct answer *answer;
        struct vault *vault;
        struct identity *who;
        char *base;              /* of ids: "https://host:port" or "https://host/vaults/NAME" */
        char *link_base;         /* of next links: the same, always with a port */
        const char *api_version; /* as the request has it */
        enum api api;
        char **segments; /* of the path below the vault; borrowed */
        size_t n_segments;
        enum kind kind;
        cJSON *body;  /* of PUT, POST and PATCH, parsed; or NULL */
        bool granted; /* the last right asked for was there */
        bool pkcs10;  /* the answer is a bare certificate request */
};

/* access.c */

/* Finds out who asks. Answers 401 and returns false when the token will not do. */
bool call_authenticate(struct call *c);
/* Answers 403 and returns false when the caller may not. name may be NULL. */
bool call_permitted(struct call *c, enum kind kind, enum operation op, const char *name);

/* errors.c: the service's own error bodies. inner may be NULL. */
void call_fail(struct call *c, unsigned status, const char *code, const char *inner,
        const char *fmt, ...) _printf_(5, 6);
void call_not_found(struct call *c, enum kind kind, const char *name, const char *version);
void call_deleted_not_found(struct call *c, enum kind kind, const char *name);
void call_method_not_allowed(struct call *c);
void call_no_memory(struct call *c);
/* {"error":{...}} alone. */
void write_error(struct out *o, const char *code, const char *inner, const char *message);
/* The headers of every answer of a vault. */
void vault_headers(const struct request *r, const struct vault *v, struct answer *a);

/* attributes.c */

/* Reads `attributes` of a request over what is there. Answers 400 and returns false when bad. */
bool read_attributes(struct call *c, const cJSON *body, struct attributes *a);
/* Reads `tags` (objects of strings); absent leaves *tags. */
bool read_tags(struct call *c, const cJSON *body, cJSON **tags);
void write_attributes(struct out *o, const struct call *c, const struct attributes *a,
        enum kind kind, const struct version *v);
void write_tags(struct out *o, const cJSON *tags);

/* secrets.c, keys.c, certificates.c: everything below /secrets, /keys, /certificates */
void secrets_call(struct call *c);
void keys_call(struct call *c);
void certificates_call(struct call *c);
/* The member of a version in lists (without value) and in DELETE's answer. version_in_id: whether
 * the id names it. */
void write_secret(struct out *o, const struct call *c, const struct object *obj,
        const struct version *v, bool version_in_id, bool with_value);
void write_key(
        struct out *o, const struct call *c, const struct object *obj, const struct version *v);
void write_key_item(struct out *o, const struct call *c, const struct object *obj,
        const struct version *v, bool version_in_id);
void write_certificate(struct out *o, const struct call *c, const struct object *obj,
        const struct version *v, bool latest);
void write_certificate_item(struct out *o, const struct call *c, const struct object *obj,
        const struct version *v, bool version_in_id);

/* lists.c */
void list_objects(struct call *c, enum kind kind);
void list_versions(struct call *c, enum kind kind, const char *name);
void list_deleted(struct call *c, enum kind kind);

/* deleted.c */
void delete_object(struct call *c, enum kind kind, const char *name);
void deleted_call(struct call *c, enum kind kind);
void write_deletion(struct out *o, const struct call *c, const struct object *obj);
/* Answers 409 and returns false when the name is taken by a deleted object. */
bool name_is_free(struct call *c, enum kind kind, const char *name);

/* keys.c: new versions, for the admin interface too. -EINVAL for a type, size or curve there is
 * not. */
int key_make_version(const char *kty, int bits, const char *crv, struct version **ret);
int key_rotated(const struct version *old, struct version **ret);
int key_default_ops(struct version *v);
