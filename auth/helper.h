/* The credential helper: a process that reads credentials where the worker may not.
 *
 * A worker has an account of its own, sees no file of the user's and may execute nothing, yet a
 * federated token or a certificate is a file that is replaced every hour or year, Azure Arc proves
 * its caller by a file, and a laptop's login is what `az` prints. So whoever starts the worker
 * first starts this helper, with its own rights, and passes the worker one end of a socket.
 *
 * A compromised worker must not read any file with it. So a request carries no path: it names a
 * source, which a command has registered as a file in the control directory, where the worker can
 * make none. The helper takes such a file away when it is first asked for it and keeps what it says
 * in memory. A source is one of
 *
 *     {"kind":"file","path":P}       its content
 *     {"kind":"folder","path":P}     the content of P/NAME.key (Azure Arc)
 *     {"kind":"az","program":P,"home":H,"config":C,"tenant":T,"resource":R}
 *                                    what `az account get-access-token` prints for T and R
 *
 * and its id is the SHA-256 of that text, so the same credential is the same source for all mounts.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"

#define HELPER_ID_SIZE 65 /* hex, and the NUL */
#define HELPER_NAME_MAX 128
/* What a source may give: a certificate with its chain has some 10 KiB. */
#define HELPER_ANSWER_MAX ((size_t)96 << 10)
#define HELPER_TIMEOUT_SECONDS 45 /* az itself gets 30 */

/* --- sources (auth/helper_source.c) --- */

/* The text of a source; caller frees. -ENOMEM. */
int helper_source_file(const char *path, char **ret);
int helper_source_folder(const char *path, char **ret);
/* program: absolute; home, config ("" for az's default), tenant ("" for the login's own). */
int helper_source_az(const char *program, const char *home, const char *config, const char *tenant,
        const char *resource, char **ret);
void helper_source_id(const char *source, char ret[static HELPER_ID_SIZE]);
/* Letters, digits, '-', '_' and ".key" at the end, at most HELPER_NAME_MAX. */
bool helper_is_key_name(const char *name);

/* Puts the source where a helper of that control directory finds it. 1 when it was put there, 0
 * when somebody else has just done the same. */
int helper_register(int dir_fd, const char *source, struct err *e);
/* Takes it away again, should no helper have. */
void helper_unregister(int dir_fd, const char *source);

/* --- the process (auth/helper_process.c) --- */

/* Starts it; before any thread. It ends when the last copy of *ret_fd (SEQPACKET, non-blocking) is
 * closed, and survives that either of its two processes is killed. dir_fd: the control directory,
 * or -EBADF; source: one that it knows from the start, or NULL. It is nobody's child. */
int helper_start(int dir_fd, const char *source, int *ret_fd);

/* --- the worker's end (auth/helper.c) --- */

struct auth_helper;
struct auth_ask;

/* fd stays the caller's. Loop thread only. */
int auth_helper_new(struct loop *l, int fd, struct auth_helper **ret);
void auth_helper_free(struct auth_helper *h); /* after everybody's asks are done or cancelled */
DEFINE_CLEANUP(struct auth_helper *, auth_helper_free)

/* bytes are NUL-terminated behind len and wiped after the call; NULL on failure, and error says
 * why. Never called from within auth_helper_ask(). */
typedef void (*auth_helper_fn)(
        void *userdata, const char *bytes, size_t len, const struct err *error);
/* name: of a key file in a folder, else NULL. */
int auth_helper_ask(struct auth_helper *h, const char *source_id, const char *name,
        auth_helper_fn done, void *userdata, struct auth_ask **ret, struct err *e);
struct auth_ask *auth_helper_cancel(struct auth_ask *ask); /* no callback after; returns NULL */

/* --- on the socket, between the two --- */

struct helper_query {
        uint64_t id; /* random: an answer to a worker that is gone is told by it */
        char source[HELPER_ID_SIZE];
        char name[HELPER_NAME_MAX + 1];
};
struct helper_answer {
        uint64_t id;
        int32_t result; /* 0 or a negative errno; then what follows is a text */
        uint32_t len;   /* bytes that follow */
};
