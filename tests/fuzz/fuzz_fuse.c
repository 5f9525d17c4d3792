/* The whole dispatch of requests: a session after a valid INIT, then whatever the bytes say.
 *
 * Input: records of one length byte pair, little-endian, and so many bytes of a message. Its length
 * field and unique are put right unless the top bit of the pair is set, so that most messages get
 * beyond the first check. Node ids are brought near those that exist. A rename is staged all the
 * time, and "\1" in place of a name stands for the staged one.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/dialect.h"
#include "fs/session.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGES_MAX 64

static void nothing(void *userdata)
{
}

static void refused(void *userdata, struct session *s, uint64_t id)
{
}

static void rearm(struct session *s)
{
}

static const struct session_events events = {
        .ready = nothing,
        .renamed = nothing,
        .refused = refused,
        .dead = nothing,
        .freed = nothing,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        log_set_fd(null);
        return 0;
}

static struct view_file *make_file(const char *path, const char *text)
{
        size_t n = strlen(path) + 1;
        struct view_file *f = calloc(1, sizeof *f + n);

        if (!f || sec_new(text, strlen(text), &f->bytes) < 0)
                abort();
        memcpy(f + 1, path, n);
        f->path = (const char *)(f + 1);
        f->mode = -1;
        f->object_id = f->version = f->object_name = "x";
        f->content_type = "";
        f->expires = VAULT_NO_TIME;
        f->refs = 1;
        return f;
}

static struct tree *make_tree(struct view_file *rotated, struct tree_plan *plan)
{
        static const char *const paths[] = {"f", "g", "d/e/f", "d/x"};
        struct tree_config cfg = {.epoch = 1, .mode = 0644};
        struct tree *t;

        if (tree_new(&cfg, &t) < 0)
                abort();
        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                struct view_file *f = make_file(paths[i], "some bytes that are secret");
                if (tree_put(t, f) < 0)
                        abort();
                view_file_unref(f);
        }
        if (tree_stage(t, rotated, plan) < 0)
                abort();
        return t;
}

static void drain(int kernel)
{
        static char answer[1 << 17];

        while (recv(kernel, answer, sizeof answer, MSG_DONTWAIT) > 0)
                ;
}

static void hand_over(int kernel, struct session *s, const void *message, size_t n)
{
        static _Alignas(16) char buf[SESSION_BUFFER], bounce[SESSION_READ_MAX];
        const struct session_scratch scratch = {buf, bounce};

        if (send(kernel, message, n, MSG_NOSIGNAL) != (ssize_t)n)
                return;
        (void)session_handle(s, &scratch, rearm);
        drain(kernel);
}

static void init(int kernel, struct session *s)
{
        struct {
                struct fuse_in_header h;
                struct fuse_init_in in;
        } m = {.h = {.len = sizeof m, .opcode = FUSE_INIT, .unique = 2},
                .in = {.major = FUSE_KERNEL_VERSION,
                        .minor = FUSE_KERNEL_MINOR_VERSION,
                        .flags = ~0U,
                        .flags2 = ~0U}};

        hand_over(kernel, s, &m, sizeof m);
}

static size_t prepare(char *message, size_t n, const char *staged)
{
        struct fuse_in_header *in = (void *)message;

        if (n < sizeof *in)
                return n;
        in->nodeid = in->nodeid % 16;
        if (in->nodeid > 1)
                in->nodeid |= (uint64_t)1 << 40;
        char *at = memchr(message + sizeof *in, 1, n - sizeof *in);
        if (at && in->opcode == FUSE_RENAME && n + 64 < SESSION_BUFFER) {
                size_t len = strlen(staged);
                memmove(at + len, at + 1, n - (size_t)(at + 1 - message));
                memcpy(at, staged, len);
                n += len - 1;
        }
        in->len = (uint32_t)n;
        in->unique |= 4;
        return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static _Alignas(16) char message[2 * SESSION_BUFFER];
        struct view_file *rotated = make_file("f", "newer");
        struct tree_plan plan;
        struct tree *tree = make_tree(rotated, &plan);
        struct dialects *dialects;
        struct session *s;
        int pair[2];

        if (dialects_new(&dialects) < 0)
                abort();
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                abort();
        (void)fcntl(pair[1], F_SETFL, O_NONBLOCK);
        struct session_config cfg = {.tree = tree,
                .dialects = dialects,
                .label = "fuzz",
                .no_open = size & 1,
                .xattr = size & 2,
                .events = &events};
        if (session_new(pair[1], &cfg, &s) < 0)
                abort();
        init(pair[0], s);
        for (int i = 0; i < MESSAGES_MAX && size >= 2; i++) {
                size_t n = (size_t)data[0] | (size_t)(data[1] & 0x3f) << 8;
                bool raw = data[1] & 0x80;
                data += 2;
                size -= 2;
                n = MIN(n, size);
                memcpy(message, data, n);
                data += n;
                size -= n;
                if (!raw)
                        n = prepare(message, n, plan.staged);
                if (n > 0)
                        hand_over(pair[0], s, message, n);
        }
        session_unref(s);
        dialects_leave(dialects);
        safe_close(pair[0]);
        tree_free(tree);
        view_file_unref(rotated);
        return 0;
}
