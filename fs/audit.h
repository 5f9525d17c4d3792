/* Who opens what: the log lines of a mount with -o audit.
 *
 *     audit: open pid=4711 uid=1000 gid=1000 file="tls/key" object="secret/web" version="0123..."
 *     exe="/usr/sbin/nginx" cgroup="/kubepods.slice/..." pod="6ba7b810-..." mount="/mnt/secrets"
 *
 * The line is written before the open is answered, so that what is read has been logged, and the
 * caller waits in its open(2) meanwhile: what /proc says of its pid is about the caller and nobody
 * else. Three short reads of /proc, none of which waits for the caller's own locks (its maps, its
 * command line and its environment would). What cannot be seen is left out: `exe` needs the right
 * to look at the caller (its own uid or CAP_SYS_PTRACE; else the name it gave itself stands there
 * as comm="..."), and pid is 0 for a caller in a pid namespace that the mount's does not contain.
 *
 * The keeper of a root's mount has that right, and is not asked: it would tell whoever takes a
 * worker over what runs on the machine, and an open would wait for a process that may be dead just
 * then. The control group, or the pod, and the uid are the kernel's own word and say who it was.
 *
 * Words are quoted with '"' and '\' escaped, and control characters by base/log.h: a caller that
 * names itself cleverly forges nothing.
 */
#pragma once

#include "cache/view.h"

struct audit_caller {
        pid_t pid;
        uid_t uid;
        gid_t gid;
        char exe[512];    /* "" unknown */
        char comm[64];    /* instead of exe */
        char cgroup[512]; /* of the unified hierarchy, or the one that systemd keeps */
        char pod[37];     /* uid of the Kubernetes pod, from the cgroup; "" for none */
};

#define AUDIT_LINE 4000 /* base/log.h takes that much */

/* Fills exe or comm, cgroup and pod from /proc for pid. proc is the root of that file system. */
void audit_look(const char *proc, struct audit_caller *c);

/* The pod's uid in a cgroup's path as kubelet names it, with either cgroup driver. False, and an
 * empty string, when there is none. */
bool audit_pod(const char *cgroup, char out[static 37]);

/* The line, without its place in the log. */
void audit_format(char out[static AUDIT_LINE], const char *mount, const struct view_file *f,
        const struct audit_caller *c);

/* Looks, and logs as information, also when the log level leaves that out otherwise. */
void audit_open(const char *mount, const struct view_file *f, pid_t pid, uid_t uid, gid_t gid);
