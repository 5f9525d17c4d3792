/* Both ends: the helper's process is the real one. */
#include "auth/helper.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "support/server.h"

static char dir[64];
static int dir_fd, fd;
static struct loop *loop;
static struct auth_helper *helper;

static void set_up(void)
{
        test_init();
        strcpy(dir, "/tmp/akvfs-helper-XXXXXX");
        cr_assert_not_null(mkdtemp(dir));
        dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(dir_fd, 0);
        cr_assert_eq(helper_start(dir_fd, NULL, &fd), 0);
        cr_assert_eq(loop_new(&loop), 0);
        cr_assert_eq(auth_helper_new(loop, fd, &helper), 0);
}

static void tear_down(void)
{
        char command[96];

        auth_helper_free(helper);
        loop_free(loop);
        safe_close(fd);
        close(dir_fd);
        snprintf(command, sizeof command, "rm -rf %s", dir);
        cr_assert_eq(system(command), 0);
}

TestSuite(helper, .init = set_up, .fini = tear_down, .timeout = 60);

struct result {
        unsigned calls;
        char bytes[256];
        size_t len;
        int code;
        char text[1024];
};

static void on_answer(void *userdata, const char *bytes, size_t len, const struct err *error)
{
        struct result *r = userdata;

        r->calls++;
        cr_assert((bytes != NULL) != (error != NULL));
        r->len = len;
        if (bytes)
                snprintf(r->bytes, sizeof r->bytes, "%s", bytes);
        else {
                r->code = error->code;
                snprintf(r->text, sizeof r->text, "%s", err_text(error));
        }
}

static struct result ask_id(const char *id, const char *name)
{
        _cleanup_err_ struct err e = {0};
        struct result r = {0};
        struct auth_ask *ask = NULL;

        cr_assert_eq(
                auth_helper_ask(helper, id, name, on_answer, &r, &ask, &e), 0, "%s", err_text(&e));
        cr_assert_eq(r.calls, 0, "called from within auth_helper_ask");
        while (r.calls == 0)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        return r;
}

static struct result ask(const char *source, const char *name)
{
        char id[HELPER_ID_SIZE];

        helper_source_id(source, id);
        return ask_id(id, name);
}

static void put(const char *name, const char *text, mode_t mode)
{
        char path[128];

        snprintf(path, sizeof path, "%s/%s", dir, name);
        int f = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        cr_assert_geq(f, 0);
        cr_assert_eq(write_all(f, text, strlen(text)), 0);
        close(f);
}

static char *file_source(const char *name)
{
        char path[128], *source = NULL;

        snprintf(path, sizeof path, "%s/%s", dir, name);
        cr_assert_eq(helper_source_file(path, &source), 0);
        return source;
}

Test(helper, a_file_is_read_each_time)
{
        _cleanup_free_ char *source = file_source("token");

        put("token", "one", 0600);
        cr_assert_eq(helper_register(dir_fd, source, NULL), 1);
        struct result r = ask(source, NULL);
        cr_assert_str_eq(r.bytes, "one", "%s", r.text);
        cr_assert_eq(r.len, 3);
        put("token", "another", 0600);
        cr_assert_str_eq(ask(source, NULL).bytes, "another");
        cr_assert_eq(unlinkat(dir_fd, "token", 0), 0);
        r = ask(source, NULL);
        cr_assert_eq(r.code, -ENOENT);
        cr_assert_not_null(strstr(r.text, "No such file"));
}

Test(helper, only_what_was_registered)
{
        _cleanup_free_ char *source = file_source("token");
        char id[HELPER_ID_SIZE];

        put("token", "one", 0600);
        struct result r = ask(source, NULL);
        cr_assert_eq(r.code, -ENOENT);
        cr_assert_not_null(strstr(r.text, "does not know it"));
        /* a name of the right form with other content */
        helper_source_id(source, id);
        char name[128];
        snprintf(name, sizeof name, "credential-%s", id);
        put(name, "{\"kind\":\"file\",\"path\":\"/etc/passwd\"}", 0600);
        cr_assert_eq(ask(source, NULL).code, -ENOENT);
        cr_assert_eq(unlinkat(dir_fd, name, 0), 0);
        /* or a symlink to something registered elsewhere */
        put("elsewhere", source, 0600);
        cr_assert_eq(symlinkat("elsewhere", dir_fd, name), 0);
        cr_assert_eq(ask(source, NULL).code, -ENOENT);
}

Test(helper, a_registration_is_taken_away_and_remembered)
{
        _cleanup_free_ char *source = file_source("token");
        char id[HELPER_ID_SIZE], name[128];

        put("token", "one", 0600);
        helper_source_id(source, id);
        snprintf(name, sizeof name, "credential-%s", id);
        cr_assert_eq(helper_register(dir_fd, source, NULL), 1);
        cr_assert_str_eq(ask(source, NULL).bytes, "one");
        cr_assert_eq(faccessat(dir_fd, name, F_OK, 0), -1);
        cr_assert_str_eq(ask(source, NULL).bytes, "one");
}

Test(helper, files_that_are_none)
{
        static char big[HELPER_ANSWER_MAX + 2];
        static const struct {
                const char *name;
                int code;
        } cases[] = {{"big", -EFBIG}, {"empty", -ENODATA}, {"folder", -EINVAL}, {"pipe", -EINVAL}};

        memset(big, 'x', sizeof big - 1);
        put("big", big, 0600);
        put("empty", "", 0600);
        cr_assert_eq(mkdirat(dir_fd, "folder", 0700), 0);
        cr_assert_eq(mkfifoat(dir_fd, "pipe", 0600), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *source = file_source(cases[i].name);
                cr_assert_eq(helper_register(dir_fd, source, NULL), 1);
                cr_expect_eq(ask(source, NULL).code, cases[i].code, "%s", cases[i].name);
        }
        big[HELPER_ANSWER_MAX] = '\0';
        put("big", big, 0600);
        _cleanup_free_ char *source = file_source("big");
        cr_expect_eq(ask(source, NULL).len, HELPER_ANSWER_MAX, "the largest there may be");
}

Test(helper, a_folder_of_keys)
{
        _cleanup_free_ char *source = NULL;

        cr_assert_eq(helper_source_folder(dir, &source), 0);
        cr_assert_eq(helper_register(dir_fd, source, NULL), 1);
        put("a.key", "k3y", 0600);
        put("other", "no key", 0600);
        cr_assert_eq(symlinkat("other", dir_fd, "b.key"), 0);
        cr_assert_str_eq(ask(source, "a.key").bytes, "k3y");
        cr_assert_eq(ask(source, "b.key").code, -ELOOP, "no symlink is followed");
        cr_assert_eq(ask(source, "other").code, -EBADMSG);
        cr_assert_eq(ask(source, "../etc/a.key").code, -EBADMSG);
        cr_assert_eq(ask(source, NULL).code, -EBADMSG);
}

static struct result az(const char *script)
{
        _cleanup_free_ char *source = NULL;
        char path[128], text[512];

        snprintf(text, sizeof text, "#!/bin/sh\n%s\n", script);
        put("az", text, 0700);
        snprintf(path, sizeof path, "%s/az", dir);
        cr_assert_eq(
                helper_source_az(path, "/home/x", "/config", "t;$(x)", "https://r", &source), 0);
        (void)helper_register(dir_fd, source, NULL);
        return ask(source, NULL);
}

Test(helper, az)
{
        struct result r = az("echo \"$@|$HOME|$AZURE_CONFIG_DIR\"; echo aside >&2");

        cr_assert_str_eq(r.bytes,
                "account get-access-token --output json --resource https://r --tenant "
                "t;$(x)|/home/x|/config\n",
                "%s", r.text);
        r = az("echo; echo \"ERROR: Please run 'az login'\" >&2; exit 1");
        cr_assert_eq(r.code, -EACCES);
        cr_assert_str_eq(r.text, "ERROR: Please run 'az login'");
        r = az("printf 'a\\033[31mb\\n\\nc' >&2; exit 2");
        cr_assert_str_eq(r.text, "a [31mb c", "no control character gets through");
        r = az("exit 3");
        cr_assert_str_eq(r.text, "az ended with status 3");
        r = az("head -c 200000 /dev/zero");
        cr_assert_eq(r.code, -EFBIG);
        r = az("ls /proc/self/fd | wc -l");
        cr_assert_eq(atoi(r.bytes), 4, "its own three, and the folder that ls reads: %s", r.bytes);
}

Test(helper, many_at_once)
{
        struct result results[40] = {0};
        struct auth_ask *asks[40];
        _cleanup_free_ char *source = file_source("token");
        char id[HELPER_ID_SIZE];
        unsigned done = 0;

        put("token", "one", 0600);
        cr_assert_eq(helper_register(dir_fd, source, NULL), 1);
        helper_source_id(source, id);
        for (size_t i = 0; i < ELEMENTSOF(results); i++)
                cr_assert_eq(
                        auth_helper_ask(helper, id, NULL, on_answer, &results[i], &asks[i], NULL),
                        0);
        auth_helper_cancel(asks[7]);
        while (done < ELEMENTSOF(results) - 1) {
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
                done = 0;
                for (size_t i = 0; i < ELEMENTSOF(results); i++)
                        done += results[i].calls;
        }
        cr_assert_eq(results[7].calls, 0);
        cr_assert_str_eq(results[39].bytes, "one");
}

Test(helper, one_that_is_gone_is_said)
{
        _cleanup_err_ struct err e = {0};
        struct auth_helper *lonely = NULL;
        struct auth_ask *ask_one = NULL;
        struct result r = {0};
        int fds[2];

        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        cr_assert_eq(auth_helper_new(loop, fds[0], &lonely), 0);
        cr_assert_eq(auth_helper_ask(lonely, "id", NULL, on_answer, &r, &ask_one, &e), 0);
        close(fds[1]);
        while (r.calls == 0)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        cr_assert_not_null(strstr(r.text, "has ended; mount again"));
        cr_assert_eq(auth_helper_ask(lonely, "id", NULL, on_answer, &r, &ask_one, &e), -ECONNRESET);
        cr_assert_eq(auth_helper_ask(NULL, "id", NULL, on_answer, &r, &ask_one, &e), -ECONNRESET);
        auth_helper_free(lonely);
        close(fds[0]);
}

Test(helper, answers_that_make_no_sense_are_passed_over)
{
        struct helper_answer lie = {.id = 1, .len = 5};
        struct auth_helper *lonely = NULL;
        struct auth_ask *ask_one = NULL;
        struct helper_query q;
        struct result r = {0};
        int fds[2];
        char message[sizeof lie + 8];

        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        cr_assert_eq(auth_helper_new(loop, fds[0], &lonely), 0);
        cr_assert_eq(auth_helper_ask(lonely, "id", NULL, on_answer, &r, &ask_one, NULL), 0);
        cr_assert_eq(read(fds[1], &q, sizeof q), (ssize_t)sizeof q);
        cr_assert_eq(write(fds[1], "x", 1), 1);
        cr_assert_eq(write(fds[1], &lie, sizeof lie), (ssize_t)sizeof lie); /* of another ask */
        lie.id = q.id;
        cr_assert_eq(
                write(fds[1], &lie, sizeof lie), (ssize_t)sizeof lie); /* shorter than it says */
        memcpy(message, &lie, sizeof lie);
        memcpy(message + sizeof lie, "right", 5);
        cr_assert_eq(write(fds[1], message, sizeof lie + 5), (ssize_t)sizeof lie + 5);
        while (r.calls == 0)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        cr_assert_str_eq(r.bytes, "right");
        auth_helper_free(lonely);
        close(fds[0]);
        close(fds[1]);
}

/* The helper that is a child of that process, or 0. Those that have answered have another name. */
static pid_t helper_below(pid_t parent)
{
        DIR *proc = opendir("/proc");
        const struct dirent *d;
        pid_t found = 0;

        cr_assert_not_null(proc);
        while ((d = readdir(proc))) {
                char path[300], text[256] = "", state;
                int of = 0;

                (void)snprintf(path, sizeof path, "/proc/%s/stat", d->d_name);
                FILE *f = d->d_name[0] >= '1' && d->d_name[0] <= '9' ? fopen(path, "re") : NULL;
                if (!f)
                        continue;
                const char *after =
                        fgets(text, sizeof text, f) ? strstr(text, "(akvfs-helper)") : NULL;
                (void)fclose(f);
                if (after && sscanf(after, "(akvfs-helper) %c %d", &state, &of) == 2 &&
                        of == parent && state != 'Z')
                        found = (pid_t)atoi(d->d_name);
        }
        (void)closedir(proc);
        return found;
}

static pid_t await_helper_below(pid_t parent, pid_t other_than)
{
        pid_t pid;

        while ((pid = helper_below(parent)) == 0 || pid == other_than)
                (void)poll(NULL, 0, 1);
        return pid;
}

/* Nobody but a command can register a credential, and none does so again: what is known stays. */
Test(helper, either_of_its_processes_may_be_killed)
{
        _cleanup_free_ char *first = file_source("first"), *later = file_source("later");
        int own = -EBADF;

        /* Whose parent has ended is ours from here on. */
        cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        cr_assert_eq(helper_start(dir_fd, NULL, &own), 0);
        auth_helper_free(helper);
        close(fd);
        fd = own;
        cr_assert_eq(auth_helper_new(loop, fd, &helper), 0);

        put("first", "1", 0600);
        put("later", "2", 0600);
        cr_assert_eq(helper_register(dir_fd, first, NULL), 1);
        cr_assert_str_eq(ask(first, NULL).bytes, "1");
        pid_t holder = await_helper_below(getpid(), 0), server = await_helper_below(holder, 0);
        for (int round = 0; round < 6; round++) {
                if (round % 2) {
                        cr_assert_eq(kill(holder, SIGKILL), 0);
                        cr_assert_eq(waitpid(holder, NULL, 0), holder);
                        holder = server;
                        server = await_helper_below(holder, 0);
                } else {
                        cr_assert_eq(kill(server, SIGKILL), 0);
                        server = await_helper_below(holder, server);
                }
                cr_assert_str_eq(ask(first, NULL).bytes, "1", "round %d", round);
                if (round == 2)
                        cr_assert_eq(helper_register(dir_fd, later, NULL), 1);
                if (round >= 2)
                        cr_assert_str_eq(ask(later, NULL).bytes, "2", "round %d", round);
        }
        auth_helper_free(helper);
        helper = NULL;
        close(fd);
        fd = -EBADF;
        while (waitpid(-1, NULL, 0) > 0)
                ; /* all of it ends with the socket, or the test never does */
}

/* It has no other way to learn that nobody needs it any more. */
Test(helper, it_ends_with_its_socket)
{
        char probe[1];
        int other = -EBADF;

        cr_assert_eq(helper_start(-EBADF, NULL, &other), 0);
        cr_assert_eq(shutdown(other, SHUT_WR), 0);
        fcntl(other, F_SETFL, 0);
        cr_assert_eq(read(other, probe, 1), 0, "the other end is closed: it has ended");
        close(other);
}
