/* The helper's side. One child for each request: a file on a file system that hangs, or an az that
 * waits for somebody to sign in, holds up nobody else.
 *
 * The helper itself is two processes, for a socket that nobody reads would end every credential
 * that it is for: one serves, the other waits for its end. Should somebody kill the one that
 * serves, the other starts another; should the other be killed, the one that serves waits from then
 * on for one that it has started. What has been registered is in memory that both have.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "auth/helper.h"
#include "base/json.h"
#include "base/wipe.h"

#define SOURCE_MAX ((size_t)16 << 10)
#define SOURCES_MAX 1000
#define CHILDREN_MAX 16
#define AZ_TIMEOUT_MS 30000
#define AZ_SAID_MAX 600 /* of its standard error, for the message */

/* Descriptors of the helper, after it has closed all others. */
#define SOCKET_FD 3
#define KNOWN_FD 4 /* a memfd: the text of each source that was taken, and a NUL */
#define DIR_FD 5

/* Between two that serve, when they keep being killed at once. */
#define HEALTHY_MS 1000
#define PAUSE_FIRST_MS 50
#define PAUSE_MAX_MS 10000

struct known {
        struct known *next;
        char id[HELPER_ID_SIZE];
        char *source;
};

struct helper {
        bool has_dir;
        struct known *known;
        size_t n_known;
        unsigned children;
};

/* --- one request, in a child that ends after it --- */

static void send_answer(uint64_t id, int r, const void *bytes, size_t len)
{
        struct helper_answer a = {.id = id, .result = r, .len = (uint32_t)len};
        struct iovec iov[] = {
                {.iov_base = &a, .iov_len = sizeof a},
                {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len},
        };
        const struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
        struct pollfd p = {.fd = SOCKET_FD, .events = POLLOUT};

        while (sendmsg(SOCKET_FD, &message, MSG_NOSIGNAL) < 0)
                if (errno != EINTR && (errno != EAGAIN || poll(&p, 1, AZ_TIMEOUT_MS) <= 0))
                        break;
}

_Noreturn static void answer(uint64_t id, int r, const void *bytes, size_t len)
{
        send_answer(id, r, bytes, len);
        _exit(0);
}

_Noreturn static void refuse(uint64_t id, int r, const char *text)
{
        answer(id, r, text, strlen(text));
}

_Noreturn static void give_file(uint64_t id, int dir_fd, const char *path, int flags)
{
        char *bytes = malloc(HELPER_ANSWER_MAX + 1);
        struct stat st;
        size_t len = 0;
        ssize_t n = -1;

        int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
        if (fd < 0 || fstat(fd, &st) < 0)
                refuse(id, -errno, strerror(errno));
        if (!S_ISREG(st.st_mode))
                refuse(id, -EINVAL, "it is no file");
        if (!bytes)
                refuse(id, -ENOMEM, "out of memory");
        while (len <= HELPER_ANSWER_MAX &&
                (n = read(fd, bytes + len, HELPER_ANSWER_MAX + 1 - len)) > 0)
                len += (size_t)n;
        if (n < 0)
                refuse(id, -errno, strerror(errno));
        if (len > HELPER_ANSWER_MAX)
                refuse(id, -EFBIG, "it is larger than 96 KiB");
        if (len == 0)
                refuse(id, -ENODATA, "it is empty");
        answer(id, 0, bytes, len);
}

struct output {
        int fd;
        char *bytes;
        size_t len, max;
        bool over;
};

/* 0 at its end, 1 when there may be more. */
static int take_output(struct output *o)
{
        char rest[512];
        bool full = o->len >= o->max;
        ssize_t n =
                read(o->fd, full ? rest : o->bytes + o->len, full ? sizeof rest : o->max - o->len);

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return 1;
        if (n <= 0)
                return 0;
        if (full)
                o->over = true;
        else
                o->len += (size_t)n;
        return 1;
}

/* Until both are closed; -ETIMEDOUT. */
static int collect(struct output *out, struct output *said)
{
        struct pollfd p[] = {{.fd = out->fd, .events = POLLIN}, {.fd = said->fd, .events = POLLIN}};
        int64_t end = monotonic_ms() + AZ_TIMEOUT_MS;

        while (p[0].fd >= 0 || p[1].fd >= 0) {
                int64_t left = end - monotonic_ms();
                int n = left > 0 ? poll(p, 2, (int)left) : 0;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -ETIMEDOUT;
                if (p[0].revents && take_output(out) == 0)
                        p[0].fd = -1;
                if (p[1].revents && take_output(said) == 0)
                        p[1].fd = -1;
        }
        return 0;
}

_Noreturn static void exec_az(const cJSON *source, int out_fd, int said_fd)
{
        const char *tenant = json_string(source, "tenant"), *config = json_string(source, "config");
        const char *argv[] = {json_string(source, "program"), "account", "get-access-token",
                "--output", "json", "--resource", json_string(source, "resource"), NULL, NULL,
                NULL};
        sigset_t none;

        if (!isempty(tenant)) {
                argv[7] = "--tenant";
                argv[8] = tenant;
        }
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (setenv("HOME", json_string(source, "home"), 1) < 0 ||
                (!isempty(config) && setenv("AZURE_CONFIG_DIR", config, 1) < 0) ||
                dup2(out_fd, STDOUT_FILENO) < 0 || dup2(said_fd, STDERR_FILENO) < 0 ||
                syscall(SYS_close_range, 3U, ~0U, 0U) < 0)
                _exit(127);
        for (int s = 1; s < NSIG; s++)
                (void)signal(s, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
}

_Noreturn static void give_az(uint64_t id, const cJSON *source)
{
        int out_fds[2], said_fds[2], status = 0;
        struct output out = {.bytes = malloc(HELPER_ANSWER_MAX), .max = HELPER_ANSWER_MAX};
        char said_text[AZ_SAID_MAX + 64];
        struct output said = {.bytes = said_text, .max = AZ_SAID_MAX};

        if (!out.bytes || pipe2(out_fds, O_CLOEXEC) < 0 || pipe2(said_fds, O_CLOEXEC) < 0)
                refuse(id, -ENOMEM, "out of memory");
        pid_t pid = fork();
        if (pid < 0)
                refuse(id, -errno, strerror(errno));
        if (pid == 0)
                exec_az(source, out_fds[1], said_fds[1]);
        close(out_fds[1]);
        close(said_fds[1]);
        out.fd = out_fds[0];
        said.fd = said_fds[0];
        int r = collect(&out, &said);
        if (r < 0) {
                (void)kill(-pid, SIGKILL);
                (void)kill(pid, SIGKILL);
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (r == -ETIMEDOUT)
                refuse(id, r, "az gave no token within 30 seconds");
        if (r < 0)
                refuse(id, r, strerror(-r));
        if (out.over)
                refuse(id, -EFBIG, "az printed more than 96 KiB");
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                answer(id, 0, out.bytes, out.len);
        if (said.len == 0)
                said.len = (size_t)snprintf(said_text, sizeof said_text, "az ended with status %d",
                        WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        answer(id, -EACCES, said.bytes, said.len);
}

_Noreturn static void serve(const struct helper_query *q, const char *text)
{
        cJSON *source = NULL; /* the process ends before it is freed */

        /* Nobody waits for longer, and what hangs must not keep its place from others. */
        (void)signal(SIGALRM, SIG_DFL);
        (void)alarm(HELPER_TIMEOUT_SECONDS);
        if (json_parse(text, strlen(text), &source) < 0)
                refuse(q->id, -EBADMSG, "its registration cannot be read");
        const char *kind = json_string(source, "kind"), *path = json_string(source, "path");
        if (kind && streq(kind, "az") && json_string(source, "program") &&
                json_string(source, "home") && json_string(source, "resource"))
                give_az(q->id, source);
        if (kind && streq(kind, "file") && path)
                give_file(q->id, AT_FDCWD, path, 0);
        if (!kind || !streq(kind, "folder") || !path || !helper_is_key_name(q->name))
                refuse(q->id, -EBADMSG, "its registration cannot be read");
        int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd < 0)
                refuse(q->id, -errno, strerror(errno));
        give_file(q->id, dir_fd, q->name, O_NOFOLLOW);
}

/* --- sources --- */

static const char *add_known(struct helper *h, char *source)
{
        struct known *k = h->n_known < SOURCES_MAX && source ? calloc(1, sizeof *k) : NULL;

        if (!k) {
                free(source);
                return NULL;
        }
        helper_source_id(source, k->id);
        k->source = source;
        k->next = h->known;
        h->known = k;
        h->n_known++;
        return source;
}

/* What a command has put into the control directory: its owner must be us, and its content what its
 * name says. */
static char *take_registration(const char *id)
{
        char name[96], found[HELPER_ID_SIZE];
        struct stat st, known;

        (void)snprintf(name, sizeof name, "credential-%s", id);
        _cleanup_close_ int fd = openat(DIR_FD, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
                st.st_size <= 0 || (size_t)st.st_size > SOURCE_MAX)
                return NULL;
        _cleanup_free_ char *text = malloc((size_t)st.st_size + 1);
        ssize_t n = text ? read(fd, text, (size_t)st.st_size) : -1;
        if (n != st.st_size)
                return NULL;
        text[n] = '\0';
        helper_source_id(text, found);
        if (!streq(found, id))
                return NULL;
        /* From here on this memory alone has it. */
        if (fstat(KNOWN_FD, &known) < 0)
                return NULL;
        if (write_all(KNOWN_FD, text, (size_t)n + 1) < 0) {
                if (ftruncate(KNOWN_FD, known.st_size) < 0)
                        _exit(1); /* load_known() of who comes next takes off what is there of it */
                return NULL;
        }
        (void)unlinkat(DIR_FD, name, 0);
        return TAKE_PTR(text);
}

static bool is_known(const struct helper *h, const char *source)
{
        for (const struct known *k = h->known; k; k = k->next)
                if (streq(k->source, source))
                        return true;
        return false;
}

/* What the one before had taken. It may have been killed while it wrote the last one, which is
 * then in the control directory still. False when memory is short. */
static bool load_known(struct helper *h)
{
        struct stat st;

        if (fstat(KNOWN_FD, &st) < 0)
                return false;
        if (st.st_size == 0)
                return true;
        size_t size = (size_t)st.st_size;
        _cleanup_free_ char *all = malloc(size);
        if (!all || pread(KNOWN_FD, all, size, 0) != st.st_size)
                return false;
        while (size > 0 && all[size - 1])
                size--;
        if (ftruncate(KNOWN_FD, (off_t)size) < 0)
                return false;
        for (const char *p = all; p < all + size; p += strlen(p) + 1)
                if (!is_known(h, p) && !add_known(h, strdup(p)))
                        return false;
        return true;
}

static const char *find_source(struct helper *h, const char *id)
{
        for (const struct known *k = h->known; k; k = k->next)
                if (streq(k->id, id))
                        return k->source;
        return h->has_dir && h->n_known < SOURCES_MAX ? add_known(h, take_registration(id)) : NULL;
}

/* --- the process --- */

static void reap(struct helper *h, int flags)
{
        pid_t pid;

        while (h->children > 0 && (pid = waitpid(-1, NULL, flags)) != 0) {
                if (pid < 0 && errno == EINTR)
                        continue;
                if (pid < 0)
                        h->children = 0;
                else
                        h->children--;
                flags = WNOHANG;
        }
}

static void handle(struct helper *h, const struct helper_query *q)
{
        const char *source = find_source(h, q->source);

        if (h->children >= CHILDREN_MAX)
                reap(h, 0);
        pid_t pid = fork();
        if (pid == 0) {
                (void)prctl(PR_SET_NAME, "akvfs-source");
                if (!source)
                        refuse(q->id, -ENOENT, "the helper does not know it; mount again");
                serve(q, source);
        }
        if (pid > 0)
                h->children++;
        else {
                int r = -errno;
                send_answer(q->id, r, strerror(-r), strlen(strerror(-r)));
        }
}

/* Ends with the socket; returns when the one that waits (0: nobody does) is no more. */
static void serve_while_held(struct helper *h, pid_t holder)
{
        _cleanup_close_ int pidfd = holder ? (int)syscall(SYS_pidfd_open, holder, 0U) : -EBADF;
        struct pollfd p[] = {{.fd = SOCKET_FD, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
        struct helper_query q;

        /* Who comes next may have the memory; nobody comes after the one that waits for nobody. */
        if (!load_known(h) && holder)
                _exit(1);
        /* A pid that is its own child's parent is nobody else's. */
        if (holder && getppid() != holder)
                return;
        for (;;) {
                ssize_t n = recv(SOCKET_FD, &q, sizeof q, MSG_TRUNC);

                reap(h, WNOHANG);
                if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
                        _exit(0);
                if (n < 0) {
                        if (poll(p, 2, -1) > 0 && p[1].revents)
                                return;
                } else if (n == sizeof q && memchr(q.source, '\0', sizeof q.source) &&
                           memchr(q.name, '\0', sizeof q.name) &&
                           strspn(q.source, "0123456789abcdef") == HELPER_ID_SIZE - 1)
                        handle(h, &q);
        }
}

/* Of that child; others are of requests that were being served. */
static int await_end(pid_t pid)
{
        int status;
        pid_t got;

        do
                got = waitpid(-1, &status, 0);
        while (got != pid && (got > 0 || errno == EINTR));
        return got == pid ? status : 0;
}

_Noreturn static void run(const char *source, bool has_dir)
{
        struct helper h = {.has_dir = has_dir};
        int pause_ms = 0;

        (void)prctl(PR_SET_NAME, "akvfs-helper");
        /* Its end is the socket's. What ends the others must not end it before them. */
        (void)signal(SIGTERM, SIG_IGN);
        (void)signal(SIGINT, SIG_IGN);
        (void)signal(SIGHUP, SIG_IGN);
        (void)signal(SIGCHLD, SIG_DFL);
        if (source && !add_known(&h, strdup(source)))
                _exit(1);
        for (;;) {
                pid_t holder = getpid();
                int64_t began = monotonic_ms();
                pid_t pid = fork();

                if (pid <= 0) {
                        h.children = pid == 0 ? 0 : h.children;
                        serve_while_held(&h, pid == 0 ? holder : 0);
                        continue;
                }
                int status = await_end(pid);
                if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                        _exit(0);
                h.children = 0;
                pause_ms = monotonic_ms() - began >= HEALTHY_MS ? 0
                           : pause_ms == 0                      ? PAUSE_FIRST_MS
                                                                : MIN(2 * pause_ms, PAUSE_MAX_MS);
                (void)poll(NULL, 0, pause_ms);
        }
}

/* Out of the way first: what is moved may stand where another has to go. */
_Noreturn static void become(int fd, int dir_fd, const char *source)
{
        int socket = fcntl(fd, F_DUPFD_CLOEXEC, 16);
        int dir = dir_fd >= 0 ? fcntl(dir_fd, F_DUPFD_CLOEXEC, 16) : -1;
        int known = memfd_create("akvfs-sources", MFD_CLOEXEC);
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        (void)setsid();
        known = known < 0 ? -1 : fcntl(known, F_DUPFD_CLOEXEC, 16);
        if (socket < 0 || known < 0 || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
                dup2(null_fd, STDOUT_FILENO) < 0 || dup2(null_fd, STDERR_FILENO) < 0 ||
                dup3(socket, SOCKET_FD, O_CLOEXEC) < 0 || dup3(known, KNOWN_FD, O_CLOEXEC) < 0 ||
                fcntl(KNOWN_FD, F_SETFL, O_APPEND) < 0 ||
                (dir >= 0 && dup3(dir, DIR_FD, O_CLOEXEC) < 0) ||
                syscall(SYS_close_range, dir >= 0 ? 6U : 5U, ~0U, 0U) < 0)
                _exit(1);
        run(source, dir >= 0);
}

int helper_start(int dir_fd, const char *source, int *ret_fd)
{
        int fds[2], status = 0;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        pid_t pid = fork();
        if (pid == 0) {
                pid = fork();
                if (pid != 0)
                        _exit(pid < 0);
                become(fds[1], dir_fd, source);
        }
        int r = pid < 0 ? -errno : 0;
        close(fds[1]);
        if (r == 0)
                while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                        ;
        if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
                r = -EAGAIN;
        if (r < 0) {
                close(fds[0]);
                return r;
        }
        *ret_fd = fds[0];
        return 0;
}
