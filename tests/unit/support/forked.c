#include "forked.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "support/server.h"

static void serve(int to_test, int until, void (*make_body)(char *, size_t))
{
        char body[4096], line[300], c;
        struct test_server *s = test_server_new(NULL);

        make_body(body, sizeof body);
        test_server_say(s, &(struct test_answer){.body = body});
        snprintf(line, sizeof line, "%s %s\n", test_server_url(s), test_server_ca_file(s));
        if (write_all(to_test, line, strlen(line)) < 0)
                _exit(1);
        ssize_t n = read(until, &c, 1);
        test_server_free(s);
        _exit(n == 0 ? 0 : 1);
}

void forked_server_start(struct forked_server *s, void (*make_body)(char *out, size_t size))
{
        int from[2], to[2];
        char line[300] = "";

        cr_assert_eq(pipe2(from, O_CLOEXEC), 0);
        cr_assert_eq(pipe2(to, O_CLOEXEC), 0);
        s->pid = fork();
        cr_assert_geq(s->pid, 0);
        if (s->pid == 0) {
                close(to[1]);
                serve(from[1], to[0], make_body);
        }
        close(to[0]);
        close(from[1]);
        s->alive = to[1];
        cr_assert_gt(read(from[0], line, sizeof line - 1), 0);
        cr_assert_eq(sscanf(line, "%127s %127s", s->url, s->ca_file), 2);
        close(from[0]);
}

void forked_server_stop(struct forked_server *s)
{
        int status;

        close(s->alive);
        cr_assert_eq(waitpid(s->pid, &status, 0), s->pid);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
