#include "fs/audit.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/log.h"

/* --- what /proc says --- */

static size_t read_at(int dir, const char *name, char *buf, size_t size)
{
        _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

        buf[n > 0 ? n : 0] = '\0';
        return n > 0 ? (size_t)n : 0;
}

/* "0::/path" of the unified hierarchy when the process is in a group there; else systemd's own, of
 * a machine with the older hierarchies. */
static void find_cgroup(char *text, char *out, size_t size)
{
        char *rest = NULL;

        *out = '\0';
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                const char *unified = startswith(line, "0::");
                const char *named = strstr(line, ":name=systemd:");
                const char *path = unified ? unified
                                   : named ? named + strlen(":name=systemd:")
                                           : NULL;
                if (path && (!*out || streq(out, "/")))
                        (void)snprintf(out, size, "%s", path);
        }
}

bool audit_pod(const char *cgroup, char out[static 37])
{
        static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

        out[0] = '\0';
        for (const char *p = strstr(cgroup, "pod"); p; p = strstr(p + 1, "pod")) {
                char uid[sizeof shape];
                size_t i = 0;

                /* ".../kubepods-burstable-pod6ba7b810_9dad_....slice/...", ".../pod6ba7b810-..." */
                if (p != cgroup && p[-1] != '/' && p[-1] != '-')
                        continue;
                for (const char *c = p + 3; i < sizeof shape - 1; i++, c++) {
                        if (shape[i] == '-' ? *c != '-' && *c != '_' : !isxdigit((unsigned char)*c))
                                break;
                        uid[i] = shape[i] == '-' ? '-' : *c;
                }
                if (i < sizeof shape - 1)
                        continue;
                uid[i] = '\0';
                memcpy(out, uid, sizeof uid);
                return true;
        }
        return false;
}

void audit_look(const char *proc, struct audit_caller *c)
{
        char path[64], text[2048];

        if (c->pid <= 0)
                return;
        (void)snprintf(path, sizeof path, "%.40s/%d", proc, (int)c->pid);
        _cleanup_close_ int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return;
        ssize_t n = readlinkat(dir, "exe", c->exe, sizeof c->exe - 1);
        c->exe[n > 0 ? n : 0] = '\0';
        if (!*c->exe) {
                n = (ssize_t)read_at(dir, "comm", c->comm, sizeof c->comm);
                if (n > 0 && c->comm[n - 1] == '\n')
                        c->comm[n - 1] = '\0';
        }
        (void)read_at(dir, "cgroup", text, sizeof text);
        find_cgroup(text, c->cgroup, sizeof c->cgroup);
        (void)audit_pod(c->cgroup, c->pod);
}

/* --- the line --- */

/* What one word may take of the line, quotes and escapes included: seven of them fit, so that none
 * can push another out. */
#define WORD_MAX ((size_t)480)

static size_t add(char *out, size_t size, size_t used, const char *key, const char *value)
{
        if (isempty(value) || size - used < WORD_MAX)
                return used;
        size_t n = (size_t)snprintf(out + used, WORD_MAX, " %s=\"", key);
        /* Room for an escaped character and the end of a word that is cut. */
        for (; *value && n < WORD_MAX - 8; value++) {
                if (*value == '"' || *value == '\\')
                        out[used + n++] = '\\';
                out[used + n++] = *value;
        }
        return used + n + (size_t)snprintf(out + used + n, WORD_MAX - n, *value ? "...\"" : "\"");
}

void audit_format(char out[static AUDIT_LINE], const char *mount, const struct view_file *f,
        const struct audit_caller *c)
{
        char object[256];

        (void)snprintf(object, sizeof object, "%s/%s", vault_kind_name(f->kind), f->object_name);
        size_t n = (size_t)snprintf(
                out, AUDIT_LINE, "audit: open pid=%d uid=%u gid=%u", (int)c->pid, c->uid, c->gid);
        n = add(out, AUDIT_LINE, n, "file", f->path);
        n = add(out, AUDIT_LINE, n, "object", object);
        n = add(out, AUDIT_LINE, n, "version", f->version);
        n = add(out, AUDIT_LINE, n, "exe", c->exe);
        n = add(out, AUDIT_LINE, n, "comm", c->comm);
        n = add(out, AUDIT_LINE, n, "cgroup", c->cgroup);
        n = add(out, AUDIT_LINE, n, "pod", c->pod);
        (void)add(out, AUDIT_LINE, n, "mount", mount);
}

void audit_open(const char *mount, const struct view_file *f, pid_t pid, uid_t uid, gid_t gid)
{
        struct audit_caller c = {.pid = pid, .uid = uid, .gid = gid};
        char line[AUDIT_LINE];

        audit_look("/proc", &c);
        audit_format(line, mount, f, &c);
        /* Whatever the log level: who asked for an audit gets it. */
        log_write(LOG_INFO, __FILE__, __LINE__, "%s", line);
}
