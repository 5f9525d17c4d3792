/* What the tests of base/http share: a loop, a client, and one request at a time. */
#pragma once

#include "base/http.h"
#include "support/server.h"

extern struct loop *loop;
extern struct http_client *client;

/* For TestSuite(.init = , .fini = ): without the proxy variables of whoever runs the tests. */
void fetch_set_up(void);
void fetch_tear_down(void);

struct fetched {
        unsigned calls; /* of the callback: more than one when several requests share this */
        int status;
        char body[4096]; /* what fits */
        size_t body_len;
        char header[256]; /* X-Test, or "(none)" */
        char peer[64];
        unsigned tries;
        struct err error; /* freed by fetch_tear_down() */
};
/* An http_done_fn that fills a struct fetched. */
void on_fetched(void *userdata, struct http_response *resp);

/* Turns the loop until the counter has reached n. */
void run_until(const unsigned *counter, unsigned n);

struct fetched fetch(const char *url, const struct http_endpoint *endpoint);
/* The same, of a test server whose CA is trusted. */
struct fetched fetch_from(struct test_server *s, const char *path);

/* No answer, with this cause and these words; never more of the URL than scheme, host and port:
 * URLs of tests have the word "query" in their query. */
void assert_no_answer(const struct fetched *r, enum err_cause cause, const char *text);
