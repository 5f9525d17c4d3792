#include "tests/unit/fs/support.h"
#include "fs/dialect.h"
#include "tests/unit/fs/trees.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#define PATIENCE 20 /* seconds */

/* --- files --- */

struct view_file *make_file_bytes(const char *path, const void *bytes, size_t len)
{
        static _Atomic uint64_t serial;
        size_t n = strlen(path) + 1;
        struct view_file *f = calloc(1, sizeof *f + n);

        cr_assert_not_null(f);
        memcpy(f + 1, path, n);
        f->path = (const char *)(f + 1);
        f->mode = -1;
        cr_assert_eq(sec_new(bytes, len, &f->bytes), 0);
        f->mtime = 1700000000;
        f->kind = VAULT_SECRET;
        f->object_name = f->path;
        f->object_id = "https://v.vault.azure.net/secrets/name/0123456789abcdef0123456789abcdef";
        f->version = "0123456789abcdef0123456789abcdef";
        f->content_type = "";
        f->enabled = true;
        f->expires = VAULT_NO_TIME;
        f->serial = ++serial;
        f->refs = 1;
        return f;
}

struct view_file *make_file(const char *path, const char *text)
{
        return make_file_bytes(path, text, strlen(text));
}

/* --- the kernel --- */

void fuse_pair(int *ret_kernel, int *ret_daemon)
{
        int pair[2], size = 1 << 20;
        struct timeval limit = {.tv_sec = PATIENCE};

        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        cr_assert_eq(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
        cr_assert_eq(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
        for (int i = 0; i < 2; i++)
                (void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        *ret_kernel = pair[0];
        *ret_daemon = pair[1];
}

uint64_t ask(int kernel, uint32_t opcode, uint64_t node, const void *arg, size_t len, const char *a,
        const char *b)
{
        static _Atomic uint64_t last;
        size_t na = a ? strlen(a) + 1 : 0, nb = b ? strlen(b) + 1 : 0;
        struct fuse_in_header in = {.len = (uint32_t)(sizeof in + len + na + nb),
                .opcode = opcode,
                .unique = last += 2,
                .nodeid = node,
                .uid = 1000,
                .gid = 1000,
                .pid = 4321};
        struct iovec iov[] = {
                {&in, sizeof in},
                {(void *)(uintptr_t)arg, len},
                {(void *)(uintptr_t)a, na},
                {(void *)(uintptr_t)b, nb},
        };

        cr_assert_eq(writev(kernel, iov, ELEMENTSOF(iov)), (ssize_t)in.len);
        return in.unique;
}

bool get_answer(int kernel, struct answer *ret)
{
        struct iovec iov[] = {{&ret->h, sizeof ret->h}, {ret->body, sizeof ret->body}};

        ssize_t n = readv(kernel, iov, ELEMENTSOF(iov));
        if (n == 0 || (n < 0 && errno == ECONNRESET))
                return false;
        cr_assert_geq(n, (ssize_t)sizeof ret->h, "no answer came: %s", strerror(errno));
        cr_assert_eq(ret->h.len, n, "an answer of %zd bytes says %u", n, ret->h.len);
        ret->len = (size_t)n - sizeof ret->h;
        return true;
}

void ask_init(int kernel)
{
        struct fuse_init_in in = {.major = FUSE_KERNEL_VERSION,
                .minor = FUSE_KERNEL_MINOR_VERSION,
                .max_readahead = 128 << 10,
                .flags = ~0U,
                .flags2 = ~0U};

        ask(kernel, FUSE_INIT, 0, &in, sizeof in, NULL, NULL);
}

const struct fuse_init_out *init_answer(const struct answer *a)
{
        cr_assert_geq(a->len, offsetof(struct fuse_init_out, unused));
        return (const void *)a->body;
}

/* --- a session over it --- */

static void on_ready(void *userdata)
{
        ((struct rig *)userdata)->ready++;
}

static void on_renamed(void *userdata)
{
        ((struct rig *)userdata)->renamed++;
}

static void on_refused(void *userdata, struct session *s, uint64_t id)
{
        struct rig *r = userdata;

        r->refused_id = id;
        r->refused++;
}

static void on_dead(void *userdata)
{
        ((struct rig *)userdata)->dead++;
}

static void on_freed(void *userdata)
{
        ((struct rig *)userdata)->freed++;
}

static const struct session_events rig_events = {
        .ready = on_ready,
        .renamed = on_renamed,
        .refused = on_refused,
        .dead = on_dead,
        .freed = on_freed,
};

static void rearm_nothing(struct session *s)
{
}

struct dialects *test_dialects(void)
{
        static struct dialects *all;

        if (!all)
                cr_assert_eq(dialects_new(&all), 0);
        return all;
}

static void new_rig(struct rig *r, bool no_open, bool xattr, bool audit)
{
        int daemon;

        *r = (struct rig){.tree = make_tree()};
        fuse_pair(&r->kernel, &daemon);
        struct session_config cfg = {.tree = r->tree,
                .dialects = test_dialects(),
                .label = "/mnt/test",
                .no_open = no_open,
                .xattr = xattr,
                .audit = audit,
                .events = &rig_events,
                .userdata = r};
        cr_assert_eq(session_new(daemon, &cfg, &r->session), 0);
}

void rig_new(struct rig *r, bool no_open, bool xattr)
{
        new_rig(r, no_open, xattr, false);
}

void rig_new_audited(struct rig *r)
{
        new_rig(r, false, false, true);
}

static int handle(struct rig *r)
{
        static _Thread_local _Alignas(16) char buf[SESSION_BUFFER];

        static _Thread_local _Alignas(16) char bounce[SESSION_READ_MAX];
        const struct session_scratch scratch = {buf, bounce};

        return session_handle(r->session, &scratch, rearm_nothing);
}

void rig_start(struct rig *r, bool no_open, bool xattr)
{
        struct answer *a = malloc(sizeof *a);

        cr_assert_not_null(a);
        rig_new(r, no_open, xattr);
        ask_init(r->kernel);
        cr_assert_eq(handle(r), 1);
        cr_assert(get_answer(r->kernel, a));
        cr_assert_eq(a->h.error, 0);
        cr_assert_eq(r->ready, 1);
        free(a);
}

void rig_done(struct rig *r)
{
        unsigned before = r->freed;

        r->session = session_unref(r->session);
        cr_assert_eq(r->freed, before + 1);
        r->kernel = safe_close(r->kernel);
        tree_free(r->tree);
}

int call(struct rig *r, struct answer *ret, uint32_t opcode, uint64_t node, const void *arg,
        size_t len, const char *a, const char *b)
{
        uint64_t unique = ask(r->kernel, opcode, node, arg, len, a, b);

        cr_assert_eq(handle(r), 1);
        cr_assert(get_answer(r->kernel, ret));
        cr_assert_eq(ret->h.unique, unique);
        return ret->h.error;
}

void tell(struct rig *r, uint32_t opcode, uint64_t node, const void *arg, size_t len)
{
        char byte;

        ask(r->kernel, opcode, node, arg, len, NULL, NULL);
        cr_assert_eq(handle(r), 1);
        cr_assert_eq(recv(r->kernel, &byte, 1, MSG_DONTWAIT), -1, "an answer nobody waits for");
}

int64_t lookup(struct rig *r, uint64_t parent, const char *name)
{
        struct answer *a = malloc(sizeof *a);

        cr_assert_not_null(a);
        int64_t result = call(r, a, FUSE_LOOKUP, parent, NULL, 0, name, NULL);
        if (result == 0)
                result = (int64_t)((const struct fuse_entry_out *)(const void *)a->body)->nodeid;
        free(a);
        return result;
}

int read_node(struct rig *r, struct answer *ret, uint64_t node, uint64_t offset, uint32_t size)
{
        struct fuse_read_in in = {.offset = offset, .size = size};

        return call(r, ret, FUSE_READ, node, &in, sizeof in, NULL, NULL);
}

/* --- waiting --- */

void wait_for_count(struct loop *l, const _Atomic unsigned *counter, unsigned n)
{
        time_t end = time(NULL) + PATIENCE;

        while (*counter < n) {
                cr_assert_lt(time(NULL), end, "waited in vain: %u of %u", *counter, n);
                if (l)
                        cr_assert_geq(loop_turn(l, 10 * USEC_PER_MSEC), 0);
                else
                        sched_yield();
        }
}

/* --- root --- */

bool private_namespace(void)
{
        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
                mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                access("/dev/fuse", R_OK | W_OK) < 0) {
                cr_assert_null(getenv("CI"), "needs root and /dev/fuse, and CI has to give them");
                (void)fprintf(stderr, "not run: needs root, a mount namespace and /dev/fuse\n");
                return false;
        }
        return true;
}
