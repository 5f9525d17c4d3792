/* The request log: what came in, from whom, what was answered; with counters.
 *
 * An entry is there before its answer leaves, so a client that has its answer finds it. The last
 * REQLOG_MAX entries are kept; counters count on. Thread-safe, with a lock of its own. Values,
 * tokens and bodies never go in; nor do queries of Entra, where a careless client may have put its
 * secret.
 */
#pragma once

#include "tests/emulator/http.h"

#define REQLOG_MAX 20000

struct reqlog;
int reqlog_new(struct reqlog **ret);
void reqlog_free(struct reqlog *l);
DEFINE_CLEANUP(struct reqlog *, reqlog_free)

/* Gives the entry's id. */
uint64_t reqlog_begin(struct reqlog *l, const struct request *r);
/* What routing found out, the status (0: no answer was sent) and the fault played (0: none). */
void reqlog_end(struct reqlog *l, const struct request *r, unsigned status, uint64_t fault);

void reqlog_connection_opened(struct reqlog *l);
void reqlog_connection_served(struct reqlog *l, bool begins);

struct reqlog_filter {
        const char *method, *path, *identity, *vault, *operation; /* path is a glob; NULL: any */
        unsigned status;                                          /* 0: any */
        uint64_t since; /* entries with a larger id only */
        size_t limit;   /* newest entries listed; the count is of all that match */
};
/* {"count":N,"last":ID,"requests":[...]} */
void reqlog_write(struct reqlog *l, const struct reqlog_filter *filter, struct out *o);
void reqlog_write_counters(struct reqlog *l, struct out *o);
/* Forgets entries and counters; ids go on. */
void reqlog_reset(struct reqlog *l);
