/* A vault, an identity and the two servers behind them, for tests of the client. */
#pragma once

#include "support/server.h"
#include "vault/vault.h"

struct fixture {
        struct loop *loop;
        struct http_client *http;
        struct auths *auths;
        struct vaults *vaults;
        struct auth *auth;
        struct vault *vault;
        struct test_server *entra;    /* hands out token-1, token-2, ... */
        struct test_server *keyvault; /* says nothing until the test tells it what */
        char url[128];                /* of the vault, without slash */
};
extern struct fixture fixture;

/* The vault is called that; its certificate too. The scope is that of the public cloud. */
void fixture_start(const char *host);
void fixture_stop(void);

/* What came of a call. */
struct outcome {
        unsigned calls;
        struct vault_object *object;
        struct err error;
        unsigned retry_after;
        char versions[16][40]; /* of a list: the first ones */
        int64_t created[16];
        size_t n_versions;
};
void outcome_done(struct outcome *o);
/* The callbacks of vault_get() and vault_list_versions(). */
void outcome_got(void *userdata, const struct vault_answer *answer);
void outcome_listed(void *userdata, const struct vault_version *versions, size_t n,
        const struct err *error, unsigned retry_after);

void run_until(const unsigned *counter, unsigned n);
/* Starts it, waits for it. */
void get(enum vault_kind kind, const char *name, const char *version, struct outcome *ret);
void list(enum vault_kind kind, const char *name, struct outcome *ret);

/* Lets the vault say this next. */
void say(int status, const char *body);
/* The target of the vault's i-th request. */
const char *asked(unsigned i);
void expect_in(const char *text, const char *part);
