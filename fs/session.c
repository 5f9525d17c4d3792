#include "fs/session.h"

#include <linux/fuse.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "base/log.h"
#include "fs/dialect.h"
#include "fs/keeper_resend.h"
#include "fs/request.h"
#include "fs/session_ops.h"

struct session {
        struct session_core core; /* first: what the handlers see */
        struct dialects *dialects;
        /* NULL until INIT is being answered. Atomic: whoever takes up the next request is ordered
         * by epoll alone, which says nothing to a compiler or to a checker of threads. */
        _Atomic(struct dialect *) dialect;
        int fd;
        char *label;
        uint64_t number;
        const struct session_events *events;
        void *userdata;
        _Atomic unsigned refs;
        _Atomic uint64_t requests;
        _Atomic bool dead;
        /* INIT: by one thread, before any other request is taken up. */
        _Atomic uint64_t init_unique; /* the one being answered, or 0; looked at by every answer */
        uint64_t init_offered;
        bool started; /* answered, and the answer taken */
        unsigned char init[SESSION_INIT_MAX];
        size_t init_len;
        bool showing; /* it is an earlier worker's: its answer goes nowhere */
};

/* The mount may be cloned with shifted ids: Linux 6.12, protocol 7.41, bit 40 of the flags. */
#define ALLOW_IDMAP ((uint64_t)1 << 40)

/* libfuse 3.14 answers INIT without the flags that it does not know or forgets to send. */
static void complete_init(struct session *s, struct fuse_init_out *out)
{
        out->flags |=
                (uint32_t)s->init_offered & (uint32_t)(FUSE_PARALLEL_DIROPS | FUSE_CACHE_SYMLINKS |
                                                       FUSE_ABORT_ERROR | FUSE_MAX_PAGES);
        out->flags &=
                ~(uint32_t)(FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
                            FUSE_ATOMIC_O_TRUNC | FUSE_WRITEBACK_CACHE);
        /* Every mount of ours has default_permissions, without which the kernel would end the
         * connection for this answer. Requests then carry no uid, so who audits does without. */
        if ((s->init_offered & ALLOW_IDMAP) && !s->core.audit) {
                out->flags |= FUSE_INIT_EXT;
                out->flags2 |= (uint32_t)(ALLOW_IDMAP >> 32);
        }
        /* Small requests in, large answers out: max_write alone sizes our receive buffers. */
        out->max_write = 4096;
        out->max_pages = SESSION_READ_MAX / 4096;
}

static ssize_t send_answer(struct session *s, struct iovec *iov, int count)
{
        const struct fuse_out_header *out = iov[0].iov_base;

        bool init = s->init_unique && out->unique == s->init_unique && count == 2 &&
                    out->error == 0 && iov[1].iov_len >= offsetof(struct fuse_init_out, unused);
        if (init)
                complete_init(s, iov[1].iov_base);
        ssize_t n = 0;
        if (s->showing) {
                for (int i = 0; i < count; i++)
                        n += (ssize_t)iov[i].iov_len;
        } else
                n = writev(s->fd, iov, count);
        if (init && n > 0)
                s->started = true;
        /* ENOENT: the caller was interrupted and is gone; nobody is left to be answered. */
        if (n < 0 && errno != ENOENT && errno != ENODEV && out->unique != 0)
                log_debug("%s: an answer was not taken: %s", s->label, strerror(errno));
        return n;
}

/* libfuse's answers, and its notifications. */
static ssize_t on_answer(struct iovec *iov, int count)
{
        return send_answer((struct session *)session_turn.core, iov, count);
}

static void on_init(struct session_core *core, struct fuse_conn_info *conn)
{
        conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS |
                                  FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ATOMIC_O_TRUNC |
                                  FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ |
                                  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
        conn->max_write = 4096;
}

static void on_renamed(struct session_core *core)
{
        struct session *s = (struct session *)core;

        s->events->renamed(s->userdata);
}

static void on_refused(struct session_core *core, uint64_t id)
{
        struct session *s = (struct session *)core;

        core->refused++;
        s->events->refused(s->userdata, s, id);
}

static int show_init(struct session *s, const void *init, size_t len);

static void session_free(struct session *s)
{
        dialect_unref(s->dialect);
        safe_close(s->fd);
        free(s->label);
        free(s);
}

int session_new(int fd, const struct session_config *cfg, struct session **ret)
{
        struct session *s = calloc(1, sizeof *s);
        if (!s || !(s->label = strdup(cfg->label))) {
                free(s);
                safe_close(fd);
                return -ENOMEM;
        }
        s->core.tree = cfg->tree;
        s->core.no_open = cfg->no_open;
        s->core.xattr = cfg->xattr;
        s->core.audit = cfg->audit;
        s->core.label = s->label;
        s->core.on_init = on_init;
        s->core.on_renamed = on_renamed;
        s->core.on_refused = on_refused;
        s->fd = fd;
        s->dialects = cfg->dialects;
        s->events = cfg->events;
        s->userdata = cfg->userdata;
        s->refs = 1;

        if (cfg->init) {
                int r = show_init(s, cfg->init, cfg->init_len);
                if (r < 0) {
                        session_free(s);
                        return r;
                }
        }
        *ret = s;
        return 0;
}

struct session *session_ref(struct session *s)
{
        s->refs++;
        return s;
}

struct session *session_unref(struct session *s)
{
        if (!s || --s->refs > 0)
                return NULL;

        void (*freed)(void *) = s->events->freed;
        void *userdata = s->userdata;
        session_free(s);
        freed(userdata);
        return NULL;
}

static void answer_error(struct session *s, uint64_t unique, int error)
{
        struct fuse_out_header out = {.len = sizeof out, .error = -error, .unique = unique};

        (void)send_answer(s, &(struct iovec){&out, sizeof out}, 1);
}

static void process(struct session *s, void *buf, size_t n)
{
        const struct fuse_in_header *in = buf;
        struct dialect *d = s->dialect;

        session_turn.core = &s->core;
        switch (request_check(in, n)) {
        case REQUEST_SERVE:
                if (!d) /* nothing is served before INIT */
                        answer_error(s, in->unique, EIO);
                else if (in->opcode ==
                         FUSE_DESTROY) /* of this connection, not of libfuse's session */
                        answer_error(s, in->unique, 0);
                else
                        dialect_process(d, buf, n);
                break;
        case REQUEST_MALFORMED:
                log_debug("%s: a malformed request (opcode %u)", s->label, in->opcode);
                answer_error(s, in->unique, EINVAL);
                break;
        case REQUEST_UNKNOWN:
                answer_error(s, in->unique, ENOSYS);
                break;
        case REQUEST_DROP:
                break;
        }
}

static void process_init(struct session *s, void *buf, size_t n)
{
        const struct fuse_in_header *in = buf;
        const struct fuse_init_in *arg = (const void *)(in + 1);

        /* Another major version is answered with ours, and the kernel asks again. */
        if (request_check(in, n) == REQUEST_SERVE && arg->major == FUSE_KERNEL_VERSION) {
                s->init_unique = in->unique;
                s->init_offered = arg->flags;
                if (arg->flags & FUSE_INIT_EXT) /* then they are there: request_check() */
                        s->init_offered |= (uint64_t)arg->flags2 << 32;
                if (n <= SESSION_INIT_MAX) {
                        memcpy(s->init, buf, n);
                        s->init_len = n;
                }
        }
        struct dialect *d = NULL;
        int r = dialect_new(on_answer, &d);
        s->dialect = d;
        process(s, buf, n);
        s->init_unique = 0;
        s->dialect = s->started ? dialect_share(s->dialects, d, arg->minor, s->init_offered)
                                : dialect_unref(d);
        if (s->started && !s->showing)
                s->events->ready(s->userdata);
        if (r < 0) { /* INIT was refused, and no other comes */
                log_error("%s cannot be served: %s", s->label, strerror(-r));
                if (!s->showing && !atomic_exchange(&s->dead, true))
                        s->events->dead(s->userdata);
        }
}

static int show_init(struct session *s, const void *init, size_t len)
{
        _Alignas(8) char buf[SESSION_INIT_MAX];

        if (len < sizeof(struct fuse_in_header) || len > sizeof buf)
                return -EBADMSG;
        memcpy(buf, init, len);
        s->showing = true;
        process_init(s, buf, len);
        s->showing = false;
        return s->started ? 0 : -EBADMSG;
}

int session_handle(
        struct session *s, const struct session_scratch *scratch, void (*rearm)(struct session *))
{
        void *buf = scratch->request;
        ssize_t n;

        do
                n = read(s->fd, buf, SESSION_BUFFER);
        while (n < 0 && (errno == EINTR || errno == ENOENT)); /* ENOENT: withdrawn by its caller */
        if (n < 0 && errno == EAGAIN) {
                rearm(s);
                return 0;
        }
        if (n < (ssize_t)sizeof(struct fuse_in_header)) {
                /* ENODEV: unmounted; ECONNABORTED: aborted. Either way it is over. */
                if (!atomic_exchange(&s->dead, true))
                        s->events->dead(s->userdata);
                return -ENODEV;
        }

        const struct fuse_in_header *in = buf;
        s->requests++;
        session_turn.bounce = scratch->bounce;
        if (in->opcode == FUSE_INIT && !s->started) {
                process_init(s, buf, (size_t)n);
                rearm(s);
                return 1;
        }
        rearm(s); /* the next request can be taken by another thread meanwhile */
        process(s, buf, (size_t)n);
        return 1;
}

int session_fd(const struct session *s)
{
        return s->fd;
}

size_t session_init_request(const struct session *s, void *buf, size_t size)
{
        if (!s->started || s->init_len > size)
                return 0;
        memcpy(buf, s->init, s->init_len);
        return s->init_len;
}

int session_resend(struct session *s)
{
        return keeper_resend(s->fd);
}

int session_inval_inode(struct session *s, uint64_t id, bool attributes)
{
        struct dialect *d = s->dialect;

        if (!d)
                return -ENOSYS;
        session_turn.core = &s->core;
        return dialect_inval_inode(d, id, attributes ? -1 : 0, 0);
}

void session_unknown(struct session *s, uint64_t id)
{
        tree_unknown(s->core.tree, id);
}

bool session_is_over(const struct session *s)
{
        struct pollfd p = {.fd = s->fd};

        return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

uint64_t session_requests(const struct session *s)
{
        return s->requests;
}

uint64_t session_refused(const struct session *s)
{
        return s->core.refused;
}

uint64_t session_number(const struct session *s)
{
        return s->number;
}

void session_set_number(struct session *s, uint64_t number)
{
        s->number = number;
}
