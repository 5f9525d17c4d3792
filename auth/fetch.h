/* One attempt to get a token: the credential is read, the request sent (and tried again as the mode
 * says), a challenge answered, the answer read. auth/auth.c decides when there is one. */
#pragma once

#include "auth/helper.h"
#include "auth/mode.h"

struct auth_fetch;

struct auth_fetch_with {
        struct loop *loop;
        struct http_client *http;
        struct auth_helper *helper; /* or NULL */
        const struct auth_mode *mode;
        const struct auth_params
                *params; /* borrowed until it is done or cancelled, as is the next */
        const char *description;
};

struct auth_fetched {
        struct sec *token;  /* taken over by the callee; NULL on failure, and error is set */
        int64_t lifetime;   /* seconds */
        unsigned requests;  /* sent */
        usec_t retry_after; /* as a refusal asked; 0: it did not */
        struct err error;   /* freed after the call; may be moved away */
};
/* Called exactly once, never from within auth_fetch_new(). */
typedef void (*auth_fetch_fn)(void *userdata, struct auth_fetched *result);

/* scope is copied. On failure nothing was sent and e says why. */
int auth_fetch_new(const struct auth_fetch_with *with, const char *scope, auth_fetch_fn done,
        void *userdata, struct auth_fetch **ret, struct err *e);
struct auth_fetch *auth_fetch_cancel(struct auth_fetch *f); /* no callback after; returns NULL */
