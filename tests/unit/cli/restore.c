/* What a service manager kept, looked at and handed over. The manager and the new keeper are played
 * here; both ends of a conversation fit into a socket's buffer, so nobody waits for anybody. */
#include "cli/restore.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/* --- handing over --- */

static struct restore kept;
static struct keeper_msg mount_msg;
static int ends[2];

static int file_of(const char *text)
{
        int fd = memfd_create("test", MFD_CLOEXEC);

        cr_assert_geq(fd, 0);
        cr_assert_eq(write_all(fd, text, strlen(text)), 0);
        return fd;
}

static void keep(const char *name)
{
        snprintf(kept.names[kept.n], sizeof kept.names[0], "%s", name);
        kept.fds[kept.n++] = file_of(name);
}

static void make_messages(struct keeper_msg *hello, struct keeper_msg *give)
{
        keeper_msg_init(hello, KEEPER_HELLO, 7);
        hello->seq = 3;
        hello->result = 1;
        strcpy(hello->name, "akvfs-area-9");
        keeper_msg_init(give, KEEPER_GIVE, 1);
        strcpy(give->path, "/mnt/x");
        strcpy(give->name, "akvfs-fuse-1");
}

static void set_up(void)
{
        make_messages(&kept.hello, &mount_msg);
        kept.mounts = malloc(sizeof mount_msg);
        kept.mounts[0] = mount_msg;
        kept.n_mounts = 1;
        keep("akvfs-area-9");
        keep("akvfs-fuse-1");
        keep(KEEPER_STORE_RECORD);
        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

static void tear_down(void)
{
        restore_done(&kept);
        safe_close(ends[0]);
        safe_close(ends[1]);
}

TestSuite(restore, .timeout = 60);

static void say(enum keeper_op op, int result, const char *detail)
{
        struct keeper_msg m;

        keeper_msg_init(&m, op, 0);
        m.result = result;
        strcpy(m.detail, detail);
        cr_assert_eq(keeper_send(ends[1], &m, -EBADF), 0);
}

static int hand_over(struct err *e)
{
        const int pass[] = {STDIN_FILENO, STDERR_FILENO};

        return restore_hand_over(&kept, ends[0], pass, ELEMENTSOF(pass), STDIN_FILENO, e);
}

/* The next message; what came along is the kept file of that name, or nothing. */
static struct keeper_msg heard(enum keeper_op op, const char *name)
{
        _cleanup_close_ int fd = -EBADF;
        struct keeper_msg m;
        char text[64] = "";

        cr_assert_eq(keeper_recv(ends[1], &m, &fd), 1);
        cr_assert_eq(m.op, (uint32_t)op, "%u", m.op);
        cr_assert_eq(fd >= 0, name != NULL);
        if (!isempty(name)) {
                cr_assert_gt(pread(fd, text, sizeof text - 1, 0), 0);
                cr_assert_str_eq(text, name);
        }
        return m;
}

Test(restore, everything_is_handed_over_in_order, .init = set_up, .fini = tear_down)
{
        _cleanup_err_ struct err e = {0};

        say(KEEPER_TAKE, 0, "");
        say(KEEPER_READY, 0, "");
        say(KEEPER_TAKEN, 3, "");
        cr_assert_eq(hand_over(&e), 0, "%s", err_text(&e));
        cr_assert_eq(heard(KEEPER_PASS, "").seq, 0);
        cr_assert_eq(heard(KEEPER_PASS, "").seq, 1);
        heard(KEEPER_DOOR, "");
        heard(KEEPER_PREPARE, NULL);
        struct keeper_msg hello = heard(KEEPER_HELLO, NULL);
        cr_assert_eq(hello.seq, 3, "the last start of a worker");
        cr_assert_eq(hello.result, 0);
        cr_assert_str_eq(heard(KEEPER_GIVE, "akvfs-fuse-1").path, "/mnt/x");
        cr_assert_eq(heard(KEEPER_AREA, "akvfs-area-9").seq, 7, "the version of the journal");
        cr_assert_str_eq(heard(KEEPER_STORE, KEEPER_STORE_RECORD).name, "akvfs-area-9");
        cr_assert_eq(heard(KEEPER_GIVEN, NULL).result, 3);
        heard(KEEPER_LEAVE, NULL);
}

Test(restore, without_a_journal_the_mounts_are_given_all_the_same, .init = set_up,
        .fini = tear_down)
{
        strcpy(kept.names[0], "akvfs-area-8");
        say(KEEPER_TAKE, 0, "");
        say(KEEPER_READY, 0, "");
        say(KEEPER_TAKEN, 2, "");
        cr_assert_eq(hand_over(NULL), 0);
        for (int i = 0; i < 4; i++) {
                struct keeper_msg m;
                _cleanup_close_ int fd = -EBADF;
                cr_assert_eq(keeper_recv(ends[1], &m, &fd), 1);
        }
        heard(KEEPER_HELLO, NULL);
        heard(KEEPER_GIVE, "akvfs-fuse-1");
        heard(KEEPER_STORE, KEEPER_STORE_RECORD);
        cr_assert_eq(heard(KEEPER_GIVEN, NULL).result, 2);
}

Test(restore, a_refusal_is_told_in_the_new_keeper_s_words, .init = set_up, .fini = tear_down)
{
        _cleanup_err_ struct err e = {0};

        say(KEEPER_TAKE, 0, "");
        say(KEEPER_READY, 0, "");
        say(KEEPER_TAKEN, -EBADF, "a connection is none");
        cr_assert_eq(hand_over(&e), -EBADF);
        cr_assert_str_eq(err_text(&e), "a connection is none");
}

Test(restore, a_new_keeper_that_makes_no_sense, .init = set_up, .fini = tear_down)
{
        _cleanup_err_ struct err e = {0};

        say(KEEPER_READY, 0, "");
        cr_assert_eq(hand_over(&e), -EPROTO);
        cr_assert_str_eq(err_text(&e), "the new keeper says what makes no sense");
}

Test(restore, a_new_keeper_that_ends, .init = set_up, .fini = tear_down)
{
        _cleanup_err_ struct err e = {0};

        ends[1] = safe_close(ends[1]);
        cr_assert_eq(hand_over(&e), -EPROTO);
        cr_assert_str_eq(err_text(&e), "the new keeper ended");
}

Test(restore, which_mounts_it_knows, .init = set_up, .fini = tear_down)
{
        cr_assert(restore_has(&kept, "/mnt/x"));
        cr_assert_not(restore_has(&kept, "/mnt"));
}

/* --- what was passed to the process --- */

#define FOREIGN "somebody-else"

struct passed {
        struct keeper_msg messages[3];
        size_t n_messages;
        const char *names; /* of the record and what follows; the record comes first */
        int n;
};

/* In a process of its own, whose descriptors from 3 on are the manager's: 0 nothing, else 100 and
 * how many descriptors are held. What the manager hears is in `told`. */
static int find_in_child(const struct passed *p, char *told, size_t size)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        char address[sizeof sa.sun_path + 1], pid[16], n[16];
        int status = 0;

        int len = snprintf(
                sa.sun_path + 1, sizeof sa.sun_path - 1, "akvfs-restore-%d", (int)getpid());
        snprintf(address, sizeof address, "@%s", sa.sun_path + 1);
        int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(bind(manager, (const struct sockaddr *)&sa,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)),
                0);
        int record = file_of("");
        cr_assert_eq(write_all(record, p->messages, p->n_messages * sizeof p->messages[0]), 0);
        pid_t child = fork();
        if (child == 0) {
                struct restore r;
                int high = fcntl(record, F_DUPFD, 100);

                for (int i = 0; i < p->n; i++)
                        if (dup2(i == 0 ? high : STDIN_FILENO, 3 + i) < 0)
                                _exit(1);
                snprintf(pid, sizeof pid, "%d", (int)getpid());
                snprintf(n, sizeof n, "%d", p->n);
                setenv("LISTEN_PID", pid, 1);
                setenv("LISTEN_FDS", n, 1);
                setenv("LISTEN_FDNAMES", p->names, 1);
                setenv("NOTIFY_SOCKET", address, 1);
                bool found = restore_find(&r);
                for (size_t i = 0; i < r.n; i++)
                        if (fcntl(r.fds[i], F_GETFD) != FD_CLOEXEC)
                                _exit(2);
                if (strstr(p->names, FOREIGN) && fcntl(3 + p->n - 1, F_GETFD) >= 0)
                        _exit(3);
                _exit(found ? 100 + (int)(r.n + 10 * r.n_mounts) : 0);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status));
        *told = '\0';
        for (ssize_t got; (got = recv(manager, told, size - 1, MSG_DONTWAIT)) > 0;) {
                told += got;
                size -= (size_t)got;
                *told = '\0';
        }
        close(manager);
        close(record);
        return WEXITSTATUS(status);
}

static struct passed usual(void)
{
        struct passed p = {.n_messages = 2,
                .names = KEEPER_STORE_RECORD ":akvfs-fuse-1:akvfs-area-9:" FOREIGN,
                .n = 4};

        make_messages(&p.messages[0], &p.messages[1]);
        return p;
}

Test(restore, what_the_manager_kept_is_found)
{
        struct passed p = usual();
        char told[512];

        cr_assert_eq(find_in_child(&p, told, sizeof told), 100 + 10 + 3);
        cr_assert_str_empty(told);
}

Test(restore, a_connection_that_is_over_is_no_mount)
{
        struct passed p = usual();
        char told[512];

        p.messages[0].result = 2;
        p.messages[2] = p.messages[1];
        strcpy(p.messages[2].name, "akvfs-fuse-2");
        p.n_messages = 3;
        cr_assert_eq(find_in_child(&p, told, sizeof told), 100 + 10 + 3);
}

Test(restore, what_is_no_record_of_ours_is_given_back)
{
        char told[512];

        for (int i = 0; i < 8; i++) {
                struct passed p = usual();

                switch (i) {
                case 0:
                        p.messages[0].magic++;
                        break;
                case 1:
                        p.messages[0].version++;
                        break;
                case 2:
                        p.messages[0].result = KEEPER_STORE_MOUNTS_MAX + 1;
                        break;
                case 3:
                        p.messages[0].result = 2; /* and one follows */
                        break;
                case 4:
                        p.messages[1].op = KEEPER_MOUNT;
                        break;
                case 5:
                        strcpy(p.messages[1].path, "relative");
                        break;
                case 6:
                        memset(p.messages[0].name, 'x', sizeof p.messages[0].name);
                        break;
                default:
                        strcpy(p.messages[1].name, "akvfs-fuse-5"); /* of no mount it is known */
                }
                cr_expect_eq(find_in_child(&p, told, sizeof told), 0, "%d", i);
                cr_expect(strstr(told, "FDSTOREREMOVE=1\nFDNAME=akvfs-fuse-1"), "%d: %s", i, told);
        }
}

Test(restore, nothing_was_passed)
{
        struct restore r;

        unsetenv("LISTEN_FDS");
        cr_assert_not(restore_find(&r));
        cr_assert_eq(r.n, 0);
}
