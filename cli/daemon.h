/* Starting the processes behind a mount: `akvfs keeper`, which starts `akvfs worker`.
 *
 * The command binds the control socket itself, so that it can knock before the worker is up: the
 * connection waits in the backlog. Nothing secret is in the daemon's words or environment.
 */
#pragma once

#include "cli/options.h"
#include "cli/restore.h"
#include "cli/rundir.h"

struct daemon_options {
        const char *log; /* for log_target_open() */
        int log_level;   /* enum log_level */
        bool log_json;
        bool foreground;   /* stays the caller's child, dies with it, and takes one mount only */
        const char *store; /* $NOTIFY_SOCKET, to keep descriptors there; NULL */
        const struct restore *restore; /* what was kept there; NULL: begins with nothing */
        const char
                *source; /* with that: what the credential helper knows from the start, or NULL */
};

/* Starts a keeper whose worker listens in `d`; with `restore`, one that goes on with that. Hold the
 * lock. ret_name (freed by the caller) is the socket's name for control_client_new(); ret_pid
 * (optional) the keeper, a child to be waited for when `foreground`. */
int daemon_start(const struct rundir *d, const struct daemon_options *o, char **ret_name,
        pid_t *ret_pid, struct err *e);

/* Words of the two internal commands. */
struct daemon_words {
        const char *socket; /* full path of the control socket; removed by the keeper at its end,
                               and before that by a worker that may */
        const char *log;
        int log_level;
        bool log_json;
        bool foreground;
        const char *store;  /* to the keeper: where descriptors are kept, or NULL */
        const char *run_as; /* the worker's account as "UID:GID", or NULL: the keeper's own */
        bool privileged;    /* to the worker: it serves root, whose keeper mounts by mount(2) */
        bool csi; /* to the worker: it serves kubelet; the rest of the words is `akvfs csi`'s */
        int argc; /* those, the first of them a name; argv borrowed */
        char **argv;
        bool take; /* to the keeper: another one hands everything over, on KEEPER_TAKE_FD */
};
int daemon_words_parse(int argc, char **argv, struct daemon_words *ret, struct err *e);
/* argv for `akvfs COMMAND`: room for DAEMON_ARGC_MAX, strings borrowed, NULL-terminated. */
#define DAEMON_ARGC_MAX 20
void daemon_words_format(const struct daemon_words *w, const char *command, char level[static 2],
        const char *argv[static DAEMON_ARGC_MAX]);

/* The listening socket in a keeper that begins with nothing; the worker has it as WORKER_LISTEN_FD.
 */
#define KEEPER_LISTEN_FD 3
/* And its door. */
#define KEEPER_DOOR_FD 4
#define WORKER_LISTEN_FD 4
/* Who reads credentials for it (auth/helper.h). */
#define WORKER_HELPER_FD 5
/* With `csi` there is no helper and no log file, but the sockets of kubelet's and, where there is
 * one, the file of --ca-file. */
#define WORKER_CSI_FD 5
#define WORKER_REGISTRATION_FD 6
#define WORKER_CA_FD 7
/* The log file, opened by the keeper: the worker's account could not. Only with such a log. */
#define WORKER_LOG_FD 6
