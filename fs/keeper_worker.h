/* The worker as the keeper sees it: started, handed everything over, started again when it dies.
 *
 * A worker that dies while something is mounted is no outage: its successor gets the connections
 * and the journal and goes on. It starts at once, then with growing pauses while workers keep
 * dying; after DEATHS_MAX in a row a spare child answers EIO (fs/keeper_spare.h), so that readers
 * get errors rather than wait, until a worker has taken over again.
 */
#pragma once

#include <time.h>

#include "fs/keeper.h"
#include "fs/keeper_queue.h"

#define DEATHS_MAX 5
#define HEALTHY_MS 10
/* What a worker has to take everything over, which is a matter of milliseconds. One that hangs
 * there (stopped, say) would keep readers waiting for ever: it is killed, and the next one tries.
 */
#define TAKEOVER_MS 30000

struct keeper_worker {
        const struct keeper_options *options;
        pid_t pid; /* 0: none now */
        int pidfd; /* of one that is no child, and that waitpid(2) does not know: another keeper had
                      started it, or it has come by itself */
        int heir_fd; /* with that, where it turns to when the keeper is killed; else -EBADF */
        int fd;      /* -EBADF when it does not talk any more */
        struct keeper_queue out;
        int status;                   /* of the last one, as waitpid(2) has it */
        unsigned starts;              /* since the keeper started */
        unsigned deaths;              /* in a row, of workers that had not served for HEALTHY_MS */
        int64_t serving_at, start_at; /* CLOCK_MONOTONIC, milliseconds; 0: not (waiting) */
        int program;                  /* what is executed; -EBADF: this very program */
        bool ready;                   /* it has said so */
        uint32_t journal;             /* and of which version its journals are */
        int64_t serve_by;             /* while it takes over, else 0 */
};

void keeper_worker_init(struct keeper_worker *w, const struct keeper_options *o);
/* This process becomes a worker of that program: the socket to its keeper as KEEPER_WORKER_FD, what
 * is passed behind it, every privilege gone that the options say. Exits when that fails. */
_Noreturn void keeper_worker_exec(const struct keeper_options *o, int socket, int program);
/* A process of the worker's program (-EBADF: this very program), with the keeper's end of its
 * socket: no worker before it is told anything. 0 or negative errno. */
int keeper_worker_fork(const struct keeper_options *o, int program, pid_t *ret_pid, int *ret_fd);
/* That process is the worker from now on; fd is taken over. */
void keeper_worker_began(struct keeper_worker *w, pid_t pid, int fd);
int keeper_worker_start(struct keeper_worker *w); /* both at once */
/* A process that has come by itself (fs/keeper_gate.h) will be a worker; all three are taken over.
 */
void keeper_worker_came(struct keeper_worker *w, pid_t pid, int pidfd, int fd);
/* One that a keeper before us had started; socket and pidfd (-EBADF: it is opened here) are taken
 * over, also on failure. -ESRCH: it is dead already. */
int keeper_worker_adopt(struct keeper_worker *w, pid_t pid, int pidfd, int socket, unsigned starts);
/* The process of `next` becomes w's own, which has none any more, and so does its program; next is
 * empty then. It has to serve in time as any that begins. */
void keeper_worker_succeed(struct keeper_worker *w, struct keeper_worker *next);
/* Kills and reaps it, for one that was started and is not wanted. */
void keeper_worker_drop(struct keeper_worker *w);
/* Never another process that was given its pid. */
void keeper_worker_kill(const struct keeper_worker *w, int sig);
/* waitpid() had its pid, or its pidfd is readable. Sets start_at when it is to be started again. */
void keeper_worker_died(struct keeper_worker *w, int status, bool restart);
void keeper_worker_serves(struct keeper_worker *w); /* it has taken everything over */
/* Milliseconds until it is to be started, or is out of time; -1 when nothing waits for that. */
int keeper_worker_timeout(const struct keeper_worker *w);
/* Kills one that is out of time. */
void keeper_worker_hurry(struct keeper_worker *w);
void keeper_worker_done(struct keeper_worker *w);

/* Queues and sends. What cannot be sent is logged: the worker is leaving, or will be ended. */
void keeper_worker_tell(struct keeper_worker *w, const struct keeper_msg *m, int fd);
