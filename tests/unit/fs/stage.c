#include "tests/unit/fs/stage.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>

static void note(struct stage *s, const struct err *error)
{
        if (error)
                (void)snprintf(s->text, sizeof s->text, "%s | %s", err_text(error),
                        error->hint ? error->hint : "");
        if (s->stop_in_event) {
                fs_stop(s->fs);
                s->fs = NULL;
        }
}

static void on_mounted(void *userdata, const struct err *error)
{
        struct stage *s = userdata;

        s->mounted_code = error ? error->code : 0;
        note(s, error);
        s->mounted++;
}

static void on_gone(void *userdata, const struct err *error)
{
        struct stage *s = userdata;

        s->gone_code = error ? error->code : 0;
        note(s, error);
        s->gone++;
}

int stage_socket(struct stage *s)
{
        int pair[2];

        *s = (struct stage){.kernel = -EBADF, .area = -EBADF};
        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        cr_assert_eq(loop_new(&s->loop), 0);
        s->keeper = pair[0];
        keeper_queue_init(&s->said);
        return pair[1];
}

int stage_start(struct stage *s, int worker_end, struct err *e)
{
        return fs_start(s->loop, worker_end, &s->fs, e);
}

static void say(
        struct stage *s, enum keeper_op op, uint64_t mount, uint64_t seq, uint32_t flags, int fd)
{
        struct keeper_msg m;

        keeper_msg_init(&m, op, mount);
        m.seq = seq;
        m.flags = flags;
        cr_assert_eq(keeper_send(s->keeper, &m, fd), 0);
}

void stage_new(struct stage *s)
{
        int worker_end = stage_socket(s);

        /* A first worker: nothing to take over. */
        say(s, KEEPER_HELLO, 0, 1, 0, -EBADF);
        say(s, KEEPER_START, 0, 0, 0, -EBADF);
        cr_assert_eq(stage_start(s, worker_end, NULL), 0);
        (void)stage_take(s, KEEPER_SERVING);
}

void stage_hand_over(struct stage *s, uint64_t seq, uint32_t flags, int area, uint64_t mount)
{
        int daemon;

        fuse_pair(&s->kernel, &daemon);
        say(s, KEEPER_HELLO, 0, seq, flags, -EBADF);
        if (area >= 0)
                say(s, KEEPER_AREA, 0, 0, 0, area);
        say(s, KEEPER_VOLUME, mount, 0, 0, daemon);
        say(s, KEEPER_START, 0, 0, 0, -EBADF);
        safe_close(daemon);
}

void stage_done(struct stage *s)
{
        fs_stop(s->fs);
        loop_free(s->loop);
        keeper_queue_done(&s->said);
        s->keeper = safe_close(s->keeper);
        s->kernel = safe_close(s->kernel);
        s->area = safe_close(s->area);
}

void stage_mount(struct stage *s)
{
        static const struct fs_mount_events events = {.mounted = on_mounted, .gone = on_gone};
        struct fs_mount_config cfg = {.mountpoint = "/mnt/stage",
                .fsname = "akvfs:stage",
                .uid = 1000,
                .gid = 1000,
                .mode = 0644,
                .allow_other = true,
                .privileged = true,
                .warm = s->warm,
                .xattr = true};
        struct view_file *files[] = {make_file("f", "old"), make_file("d/g", "deep")};

        cr_assert_eq(
                fs_mount_new(s->fs, &cfg, files, ELEMENTSOF(files), &events, s, &s->mount, NULL),
                0);
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                view_file_unref(files[i]);
}

/* What a child of the keeper tells the kernel when it is asked to. */
static void notify_kernel(struct stage *s, const struct keeper_msg *m, int fd)
{
        struct fuse_notify_inval_inode_out inode = {
                .ino = m->node, .off = m->flags & KEEPER_ATTRIBUTES ? -1 : 0};
        struct fuse_out_header out = {
                .len = sizeof out + sizeof inode, .error = FUSE_NOTIFY_INVAL_INODE};
        struct iovec parts[] = {{&out, sizeof out}, {&inode, sizeof inode}};

        cr_assert_geq(fd, 0);
        (void)!writev(fd, parts, ELEMENTSOF(parts));
        stage_answer(s, KEEPER_INVALIDATED, m, 0, -EBADF);
}

/* Takes in what the worker has asked for; what its kernel is to be told is done at once. */
static void listen_to_worker(struct stage *s)
{
        struct pollfd p = {.fd = s->keeper, .events = POLLIN};
        struct keeper_msg m;

        while (s->keeper >= 0 && poll(&p, 1, 0) > 0) {
                _cleanup_close_ int fd = -EBADF;
                if (keeper_recv(s->keeper, &m, &fd) != 1)
                        return;
                if (m.op == KEEPER_INVALIDATE) {
                        cr_assert_eq(keeper_msg_valid(&m), 0);
                        notify_kernel(s, &m, fd);
                } else
                        cr_assert_eq(keeper_queue_push(&s->said, &m, fd), 0);
        }
}

static void wait_readable(struct stage *s, int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};

        for (int i = 0; listen_to_worker(s), poll(&p, 1, 0) == 0; i++) {
                cr_assert_lt(i, 2000, "nothing came");
                cr_assert_geq(loop_turn(s->loop, 10 * USEC_PER_MSEC), 0);
        }
}

/* The journal may be handed over at any time. */
static bool is_area(struct stage *s, const struct keeper_msg *m, int *fd)
{
        if (m->op != KEEPER_AREA)
                return false;
        cr_assert_geq(*fd, 0);
        safe_close(s->area);
        s->area = TAKE_FD(*fd);
        return true;
}

struct keeper_msg stage_take(struct stage *s, enum keeper_op op)
{
        struct keeper_msg m;
        int fd = -EBADF;

        /* A worker says that it has started. */
        do
                for (int i = 0; listen_to_worker(s), !keeper_queue_take(&s->said, &m, &fd); i++) {
                        cr_assert_lt(i, 2000, "nothing came");
                        cr_assert_geq(loop_turn(s->loop, 10 * USEC_PER_MSEC), 0);
                }
        while (is_area(s, &m, &fd) || m.op == KEEPER_READY);
        cr_assert_eq(m.op, op, "%u instead of %u", m.op, op);
        cr_assert_eq(keeper_msg_valid(&m), 0);
        cr_assert_eq(fd, -EBADF);
        return m;
}

void stage_answer(
        struct stage *s, enum keeper_op op, const struct keeper_msg *request, int result, int fd)
{
        struct keeper_msg m;

        keeper_msg_init(&m, op, request->mount);
        m.seq = request->seq;
        m.result = result;
        if (result < 0)
                (void)snprintf(m.detail, sizeof m.detail, "the keeper says %d", -result);
        cr_assert_eq(keeper_send(s->keeper, &m, fd), 0);
}

void stage_connect(struct stage *s)
{
        int daemon;

        struct keeper_msg m = stage_take(s, KEEPER_MOUNT);
        fuse_pair(&s->kernel, &daemon);
        stage_answer(s, KEEPER_MOUNTED, &m, 0, daemon);
        safe_close(daemon);
}

void stage_unmount(struct stage *s)
{
        for (int i = 0; i < 2; i++) {
                struct keeper_msg m = stage_take(s, KEEPER_UNMOUNT);
                stage_answer(s, KEEPER_UNMOUNTED, &m, 0, -EBADF);
        }
}

void stage_leave(struct stage *s)
{
        fs_mount_end(s->mount);
        stage_unmount(s);
        wait_for_count(s->loop, &s->gone, 1);
}

void stage_ready(struct stage *s)
{
        struct answer *a = malloc(sizeof *a);

        cr_assert_not_null(a);
        stage_mount(s);
        stage_connect(s);
        ask_init(s->kernel);
        wait_for_count(s->loop, &s->mounted, 1);
        cr_assert_eq(s->mounted_code, 0);
        cr_assert(get_answer(s->kernel, a));
        cr_assert_eq(a->h.error, 0);
        free(a);
}

bool stage_quiet(struct stage *s)
{
        struct keeper_msg m;
        int fd;

        for (int i = 0; i < 5; i++) {
                cr_assert_geq(loop_turn(s->loop, 10 * USEC_PER_MSEC), 0);
                listen_to_worker(s);
        }
        while (keeper_queue_take(&s->said, &m, &fd))
                if (!is_area(s, &m, &fd)) {
                        safe_close(fd);
                        return false;
                }
        return true;
}

void stage_hear(struct stage *s, struct answer *a)
{
        wait_readable(s, s->kernel);
        cr_assert(get_answer(s->kernel, a));
}

int stage_call(struct stage *s, struct answer *a, uint32_t opcode, uint64_t node, const void *arg,
        size_t len, const char *x, const char *y)
{
        uint64_t unique = ask(s->kernel, opcode, node, arg, len, x, y);

        do
                stage_hear(s, a);
        while (a->h.unique == 0);
        cr_assert_eq(a->h.unique, unique);
        return a->h.error;
}

uint64_t stage_lookup(struct stage *s, uint64_t parent, const char *name)
{
        struct answer *a = malloc(sizeof *a);

        cr_assert_not_null(a);
        cr_assert_eq(stage_call(s, a, FUSE_LOOKUP, parent, NULL, 0, name, NULL), 0);
        uint64_t id = ((const struct fuse_entry_out *)(const void *)a->body)->nodeid;
        free(a);
        return id;
}

int stage_notification(struct stage *s, struct answer *a)
{
        stage_hear(s, a);
        cr_assert_eq(a->h.unique, 0);
        return a->h.error;
}

unsigned stage_drain(struct stage *s)
{
        struct answer *a = malloc(sizeof *a);
        unsigned n = 0;

        cr_assert_not_null(a);
        for (;;) {
                wait_readable(s, s->kernel);
                if (!get_answer(s->kernel, a))
                        break;
                n += a->h.unique == 0 && a->h.error == FUSE_NOTIFY_INVAL_INODE;
        }
        free(a);
        return n;
}
