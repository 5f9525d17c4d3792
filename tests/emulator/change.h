/* Changes to the store that are asked for in JSON, by the admin interface and by --load alike.
 * Members are those of README.md; unknown ones are errors. The store's lock is held. */
#pragma once

#include "base/err.h"
#include "tests/emulator/store.h"

/* -EINVAL with the reason in e, -ENOMEM. */
int change_vault(struct store *s, const char *name, const cJSON *spec, struct err *e);
int change_identity(struct store *s, const char *client_id, const cJSON *spec, struct err *e);
int change_tenant(struct store *s, const char *id, const cJSON *spec, struct err *e);

/* A new version. *ret (optional) is the object. -EEXIST when a deleted one holds the name. */
int change_secret(struct vault *v, const char *name, const char *value, const cJSON *spec,
        struct object **ret, struct err *e);
int change_key(
        struct vault *v, const char *name, const cJSON *spec, struct object **ret, struct err *e);
int change_certificate(
        struct vault *v, const char *name, const cJSON *spec, struct object **ret, struct err *e);
/* enabled, exp, nbf, created, tags, contentType of a version there is. */
int change_version(struct vault *v, struct object *obj, struct version *version, const cJSON *spec,
        struct err *e);
/* A new version like the newest: random text, a new key, a certificate by its policy. */
int change_rotate(struct vault *v, struct object *obj, struct err *e);
