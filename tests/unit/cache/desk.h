/* What the tests of the cache itself start from: simulated time, a scripted vault, and subscribers
 * that remember what they were told. Each test is a process of its own, so there is one desk. */
#pragma once

#include "cache/cache.h"
#include "fake_vault.h"

#define SECOND USEC_PER_SEC
#define MINUTE (60 * USEC_PER_SEC)
#define DAY (24 * 60 * MINUTE)
#define INTERVAL (2 * MINUTE)

struct desk {
        struct loop *loop;
        struct fake *fake;
        struct cache *cache;
        struct vault *vault, *other_identity, *other_vault;
        int log_fd; /* what is logged meanwhile */
};

extern struct desk desk;

/* .init and .fini of a suite. The vault has "db", which is "hunter2", and "api", which is "key". */
void desk_set_up(void);
void desk_tear_down(void);

/* What one subscriber was told. */
struct seen {
        unsigned calls, errors;
        char value[64], version[16], error[512]; /* as they are now, "" when there is none */
        enum err_cause cause;
        usec_t first_error;
        struct cache_state last; /* numbers only: its pointers are not valid any more */
        bool failed;             /* last had an error */
        struct cache_sub *sub;
        void (*then)(struct seen *s); /* called at the end of the callback */
};

/* Fills the struct seen at userdata. */
void on_state(void *userdata, const struct cache_state *state);
void sub_at(
        struct seen *s, struct vault *at, const char *name, const char *version, usec_t interval);
void sub(struct seen *s, const char *name, usec_t interval);
/* Each to an object of its own, "n0" and on, whose value is its name. */
void sub_all(struct seen *s, unsigned n, usec_t interval);
void unsub(struct seen *s);
/* Requests for that name (NULL: any), in any vault and by anybody. */
unsigned requests(const char *name);
