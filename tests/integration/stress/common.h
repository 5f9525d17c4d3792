/* What the stress programs share: files whose bytes tell their version, a keeper with this very
 * program as its worker, and that worker's frame. */
#pragma once

#include <stdio.h>

#include "cache/view.h"
#include "fs/fs.h"
#include "fs/keeper.h"

#define REPORT_FD 4 /* a pipe from the worker to the program */

/* A file of `size` bytes (a multiple of four), each 32-bit word of which is `version`. Aborts when
 * memory is short. */
struct view_file *stress_file(const char *path, uint32_t version, size_t size);

/* --- the program --- */

/* Forks a keeper whose worker runs this program with these words, with the next one held ready or
 * not. *ret_report reads what the worker writes to REPORT_FD. A keeper that is to make way for
 * another one has that one's words (they lead to stress_next_keeper()) and a door; else NULL and 0.
 * It is told to end when the program is killed. The keeper's pid, or -errno.
 */
pid_t stress_keeper(const char *const *worker_argv, bool standby, const char *const *keeper_argv,
        int door, FILE **ret_report);
/* Tells it to end and waits for that; its status, as waitpid() has it, or -1. *ret_last is the line
 * that its worker says last of all, or NULL for none; it lasts until the next stress_told(). Of a
 * worker that has nothing to say ret_last is NULL. Takes the report over. */
int stress_end(pid_t keeper, FILE *report, const char **ret_last);
/* Runs the next keeper, which everything is handed over to; its exit status. */
int stress_next_keeper(const char *const *worker_argv, const char *const *keeper_argv);
/* Microseconds of CLOCK_MONOTONIC. */
uint64_t stress_now(void);
/* Milliseconds since then. */
double stress_ms_since(uint64_t began);
/* Reads one line, which has to begin with `what`, and returns what follows it, at most until the
 * next call; else says that the worker did not say it, and returns NULL. */
const char *stress_told(FILE *report, const char *what);
/* Lets that much time pass in which nothing is to be told. False at once when something is, or when
 * no worker is left. */
bool stress_silent(FILE *report, unsigned ms);

/* --- the worker --- */

/* Put first in the worker's own struct; the functions are its own, each optional. One thread. */
struct stress {
        struct loop *loop;
        struct fs *fs;
        struct loop_timer *timer; /* calls tick */
        struct loop_io *signals;
        struct fs_mount **mounts;
        unsigned n, n_mounted, n_gone;
        bool failed;
        bool warm; /* mounts are kept so */
        void (*tick)(struct stress *s);
        void (*mounted)(struct stress *s); /* when all are */
        void (*hangup)(struct stress *s);  /* SIGHUP */
        void (*ending)(struct stress *s);  /* SIGTERM: before the mounts are ended */
        void (*gone)(struct stress *s);    /* when all are */
};

/* Connects with the keeper. 0 or -errno; then main() returns, and nothing has to be freed. */
int stress_begin(struct stress *s);
/* Mounts n files, and gives the caller's references to them up. 0 or -errno, which it has logged.
 */
int stress_mount(struct stress *s, const char *point, struct view_file *const *files, size_t n);
/* Goes on with the one mount of a worker that died. False when there is none. */
bool stress_adopt(struct stress *s);
/* Serves until SIGTERM has ended the mounts. Returns the exit status; s is empty then. */
int stress_run(struct stress *s);
