/* A vault that answers from a script, linked in place of the client.
 *
 * It takes the client's functions (vault/vault.h) at their word: one callback a request, never from
 * within the call, none after vault_cancel(); every answer is an object of its own, as if parsed
 * from a body. It counts and remembers each request, when it came and who sent it. Time is the
 * loop's, simulated.
 */
#pragma once

#include <limits.h>

#include "vault/vault.h"

#define FAKE_URL "https://one.vault.example"
#define FAKE_URL_2 "https://two.vault.example"
#define FAKE_FOREVER UINT_MAX

struct fake;

struct fake *fake_new(struct loop *l);
void fake_free(struct fake *f); /* fails the test when anything of it is still held */
/* Two calls with the same words give two structs with the same vault_key(). */
struct vault *fake_open(struct fake *f, const char *url, const char *identity);

/* A new version of a secret in every vault, returned as its name; times are the loop's clock. */
const char *fake_set(struct fake *f, const char *name, const char *value);
void fake_enable(struct fake *f, const char *name, const char *version, bool enabled);
void fake_delete(struct fake *f, const char *name);
/* Of the newest version. */
void fake_expires(struct fake *f, const char *name, int64_t expires);
void fake_touch(struct fake *f, const char *name, int64_t updated);

/* One tag, of literals. */
void fake_tag(struct fake *f, const char *name, const char *tag, const char *value);

/* From request to answer: of all objects, or of one. */
void fake_latency(struct fake *f, const char *name, usec_t latency);
/* The next `times` requests (a NULL matches any vault, identity or name) fail. */
void fake_fail(struct fake *f, const char *url, const char *identity, const char *name,
        enum err_cause cause, unsigned retry_after, unsigned times);
void fake_mend(struct fake *f);
/* Values that begin so cannot be rendered. */
#define FAKE_UNRENDERABLE "!"
/* A secret whose value begins so is a certificate: it gives several files when asked to. */
#define FAKE_CERTIFICATE "cert-"
/* vault_get() and vault_list_versions() return -ENOMEM. */
void fake_no_memory(struct fake *f, bool on);

/* Requests so far that match (NULL: any). Lists are counted under "versions of NAME" and "names".
 */
unsigned fake_requests(
        const struct fake *f, const char *url, const char *identity, const char *name);
/* When the nth of these (0 the first) was sent. */
usec_t fake_sent(const struct fake *f, const char *url, const char *name, unsigned nth);
unsigned fake_most_in_flight(const struct fake *f, const char *url);

/* Lets the loop run for that long. */
void run_for(struct loop *l, usec_t span);
/* A loop whose clock is simulated, from noon on some day. */
struct loop *simulated_loop(void);
