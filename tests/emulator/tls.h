/* The emulator's own throw-away certificate authority and server certificate, made at start. */
#pragma once

#include "base/err.h"

enum tls_flaw {
        TLS_GOOD,
        TLS_WRONG_HOST,    /* valid, but for another host name */
        TLS_EXPIRED,       /* ended yesterday */
        TLS_NOT_YET_VALID, /* begins tomorrow */
        TLS_UNKNOWN_CA,    /* signed by an authority that is written nowhere */
};

struct tls_config {
        enum tls_flaw flaw;
        const char *only_name;         /* the one name it is valid for instead of all, or NULL */
        const char *const *more_names; /* NULL-terminated, or NULL */
};

struct tls_identity {
        char *ca;   /* PEM, for --ca-file */
        char *cert; /* PEM */
        char *key;  /* PEM; wiped by tls_identity_done */
};

int tls_identity_make(const struct tls_config *cfg, struct tls_identity *ret, struct err *e);
void tls_identity_done(struct tls_identity *t);

/* Writes text to path as a whole or not at all. */
int write_file_atomic(const char *path, const char *text, struct err *e);
