/* Certificates into a vault: issued by itself, imported, merged. Each new version puts a key and a
 * secret of the same name and version behind it. The store's lock is held. */
#pragma once

#include "tests/emulator/bundle.h"
#include "tests/emulator/store.h"

/* Attributes and tags of a new version, as the request gives them; tags are copied. */
struct cert_options {
        bool disabled;
        const cJSON *tags;
};

/* Issues by the policy (completed here, kept with the object). When its issuer is "Unknown" the
 * certificate stays in creation until it is merged: its version has no bytes yet. */
int certificate_create(struct vault *vault, const char *name, const cJSON *policy,
        const struct cert_options *options, struct object **ret, struct err *e);
/* Takes what `b` holds (still the caller's). policy may be NULL. */
int certificate_import(struct vault *vault, const char *name, const struct bundle *b,
        const cJSON *policy, const char *content_type, const struct cert_options *options,
        struct object **ret, struct err *e);
/* Completes a certificate in creation with what its authority signed. */
int certificate_merge(struct vault *vault, struct object *obj, X509 *cert, struct err *e);
/* Enables or disables a version with the key and the secret behind it (certificates.c). */
void certificate_set_enabled(
        struct vault *vault, struct object *obj, struct version *v, bool enabled);
