/* Pages for probes and for Prometheus, over plain HTTP, on localhost unless told otherwise.
 *
 * Served on the loop: that /healthz answers at all says that the loop turns. A page is a GET (or
 * HEAD) of an exact path; what is in it is made anew for each. Nothing else is answered but 404 and
 * 405. Bounded: WEB_CONNECTIONS_MAX connections, each with WEB_SECONDS of silence and 16 KiB of
 * headers at most; what a request has as a body is not read.
 *
 * SO_REUSEPORT is set, so that an update can start the next worker before this one ends, both on
 * the host's network: the kernel gives a new connection to either.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"

#define WEB_HEALTH_ADDRESS "127.0.0.1:9808"  /* where the liveness probe of the guides asks */
#define WEB_METRICS_ADDRESS "127.0.0.1:8095" /* upstream's port, on every interface there */
#define WEB_CONNECTIONS_MAX 64
#define WEB_SECONDS 10

struct web_page {
        const char *path; /* "/healthz" */
        const char *type; /* of the content */
        /* Gives the status, and the text, which is taken over and freed; or a negative errno, which
         * is answered 500. */
        int (*make)(void *userdata, char **ret, size_t *ret_len);
};

struct web;

/* "127.0.0.1:9808", "[::1]:9808", or as Go's programs take it ":9808" for every address of the
 * machine; port 0 is one that is free. -EINVAL (ERR_USAGE) for anything else. */
int web_address_check(const char *address, struct err *e);
/* A listening socket there, which whoever has it serves: connections that nobody takes up wait, so
 * a process that may never come to it (fs/keeper_standby.h) opens none. Also what bind(2) says,
 * with a hint when the port is taken. ret_address: as it is, with the port that was free; the
 * caller frees. */
int web_listen(const char *address, int *ret_fd, char **ret_address, struct err *e);

/* Serves the pages on that socket, which is taken over, also on failure. The pages are borrowed for
 * as long as it lives. */
int web_new(struct loop *l, int fd, const struct web_page *pages, size_t n, void *userdata,
        struct web **ret, struct err *e);
void web_free(struct web *w); /* not from within a page */
DEFINE_CLEANUP(struct web *, web_free)
