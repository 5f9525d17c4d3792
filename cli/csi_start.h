/* How `akvfs csi` and `akvfs keeper` start: what they do alike, and what has to be done with root's
 * rights for the worker, which then has none: by the keeper that forks it, or in a container of its
 * own (cli/csi_pod.h). */
#pragma once

#include "cli/csi_options.h"

/* The worker's command line. It stays where it was made: words of argv are in it. */
struct csi_words {
        char *sni;
        char level[2];
        const char **argv;
};

/* What `akvfs csi` and `akvfs keeper` do first with their options, or with the error of parsing
 * them (r, e). True when that is all, with the exit status: help was asked for, or there is an
 * error, which is printed. Else the log is as the options want it. */
bool csi_is_answered(const char *command, const char *help, const struct csi_options *o, int r,
        struct err *e, int *ret_status);

/* -EPERM when this is not root: `what` needs it. */
int csi_check_root(const char *what, struct err *e);
/* Kubelet's folder, for who mounts there. */
int csi_check_folder(const struct csi_options *o, struct err *e);
/* The API server, for who asks it. */
int csi_check_cluster(const struct csi_options *o, struct err *e);

/* --ca-file, looked into and opened: the worker's account may not read it, and Landlock closes the
 * way to it. *ret is left alone where there is none. */
int csi_open_ca(const struct csi_options *o, int *ret, struct err *e);
/* argv: the words of `akvfs csi` as they came, borrowed like `socket`, which is that of commands.
 */
int csi_words_make(const struct csi_options *o, const char *socket, int argc, char **argv,
        struct csi_words *ret, struct err *e);
void csi_words_done(struct csi_words *w);
#define _cleanup_csi_words_ _cleanup_(csi_words_done)

/* Returns when this process is told to end. */
void csi_wait_for_the_end(void);
