/* Faults on demand: what goes wrong, on which requests, how often.
 *
 * Kept in the order they were added; the first one that matches a request is played. Thread-safe,
 * with a lock of its own.
 */
#pragma once

#include "base/err.h"
#include "tests/emulator/http.h"

/* What befalls a connection before anything is read from it. */
enum connection_fault { CONNECTION_OK, CONNECTION_HANG, CONNECTION_RESET, CONNECTION_GARBAGE };

/* What to do with one request; the strings are copies. */
struct fault_plan {
        uint64_t id;
        int64_t latency_ms;
        bool hang;       /* never answer */
        bool drop;       /* close without an answer */
        bool reset;      /* the same, with a TCP reset */
        unsigned status; /* 0: the real answer */
        char *body;      /* of the status; NULL: the usual one for it */
        size_t body_len;
        char *content_type; /* NULL: JSON */
        struct header headers[HEADERS_MAX];
        size_t n_headers;
        int64_t cut_after;        /* bytes of the body, then the connection closes; -1: all */
        int64_t bytes_per_second; /* 0: as fast as it goes */
        bool garbage;             /* random bytes instead of the body */
        bool close;               /* Connection: close */
};
void fault_plan_done(struct fault_plan *p);

struct faults;
int faults_new(struct faults **ret);
void faults_free(struct faults *f);
DEFINE_CLEANUP(struct faults *, faults_free)

/* From JSON as README.md describes it. -EINVAL with the reason in e. */
int faults_add(struct faults *f, const cJSON *spec, uint64_t *ret_id, struct err *e);
bool faults_remove(struct faults *f, uint64_t id);
void faults_clear(struct faults *f);
void faults_write(struct faults *f, struct out *o);

/* Fills *ret and returns true when a fault is to be played on this request; counts it. */
bool faults_match(struct faults *f, const struct request *r, struct fault_plan *ret);
enum connection_fault faults_connection(struct faults *f, enum listener_kind listener);
/* Whether the fault is still there (not removed since): a hang ends when it goes. */
bool faults_exists(struct faults *f, uint64_t id);
