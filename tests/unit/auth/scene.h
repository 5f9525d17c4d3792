/* What the tests of identities start from: simulated time, a token endpoint that numbers its
 * tokens, and a log in which neither they nor the client secret may appear. Each test is a process
 * of its own, so there is one scene. */
#pragma once

#include "auth/auth.h"
#include "base/loop.h"
#include "support/server.h"

#define START 1000000
#define WALL 1700000000
#define SCOPE "https://vault.azure.net/.default"

struct scene {
        struct loop *loop;
        struct http_client *http;
        struct auths *auths;
        struct test_server *server;
        struct sec *secret;        /* "s3cr3t-value" */
        unsigned issued;           /* tokens, by the server: "token-0", "token-1"... */
        unsigned lifetime;         /* of those to come; an hour from the start */
        struct test_answer answer; /* of scene_say() */
        int log_fd;
};

extern struct scene scene;

/* .init and .fini of a suite. */
void scene_set_up(void);
void scene_tear_down(void);

/* For test_server_handle(): the next token, or the same answer each time. */
void scene_issue(void *userdata, const struct test_request *request, struct test_answer *ret);
void scene_say(void *userdata, const struct test_request *request, struct test_answer *ret);

/* A service principal at the server. */
struct auth_config scene_config(void);
struct auth *scene_open(void);

/* What a callback was told. */
struct told {
        unsigned calls;
        char token[64]; /* "" on failure */
        int64_t expires_at;
        enum err_cause cause;
        char text[1024];
        struct sec *sec; /* a reference, where asked for */
        bool keep;
};

/* Fills the struct told at userdata. */
void scene_on_token(void *userdata, const struct auth_token *token, const struct err *error);
/* Asks, and waits for the answer. */
struct told scene_get(struct auth *a);
/* Lets the loop run until something has been counted n times. */
void scene_run_until(const unsigned *counter, unsigned n);
/* Lets simulated time pass, and whatever is due happen. */
void scene_pass(usec_t time);
