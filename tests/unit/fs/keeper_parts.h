/* Tests of the keeper as a whole: it starts this very program again as its worker, which then plays
 * a part and ends with 0, or says which line's check failed. A file of such tests has its
 * parts played by a constructor of its own, before the test framework has its turn (glibc hands
 * main()'s arguments to constructors). */
#pragma once

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/keeper.h"
#include "fs/keeper_proto.h"

#define REACHED 42 /* a part's own exit status where it ends otherwise than by 0 */

/* --- in the worker --- */

/* Its keeper is to leave with it, and not to start another one. The status is none that a keeper
 * has by itself. */
#define CHECK(x)                                                                         \
        do {                                                                             \
                if (!(x)) {                                                              \
                        (void)fprintf(stderr, "worker: line %d: %s: %s\n", __LINE__, #x, \
                                strerror(errno));                                        \
                        (void)kill(getppid(), SIGTERM);                                  \
                        _exit(3);                                                        \
                }                                                                        \
        } while (0)

struct part {
        const char *name;
        void (*play)(const char *path);
};

/* The part that argv asks for, when argv[0] is `worker`; else nothing happens. */
void play_part(
        const char *worker, const struct part *parts, size_t n, int argc, char *const argv[]);

void say(enum keeper_op op, uint64_t id, uint32_t flags, const char *path);
struct keeper_msg hear(enum keeper_op op, uint64_t id, int *ret_fd);
int do_mount(uint64_t id, const char *path); /* returns the descriptor */
bool is_mounted(const char *path);

/* --- in the test --- */

/* A keeper of these options with `part` for a worker; a test that is ended takes it along. */
pid_t start_keeper(struct keeper_options options, const char *worker, const char *part,
        const char *path, bool close_stdio);
int finish_keeper(pid_t pid); /* its exit status */
