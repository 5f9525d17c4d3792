/* Server and client (cli/control_client.c) on one socket: the server's loop in a thread. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cli/control_client.h"
#include "cli/control_server.h"

static char base[] = "/tmp/akvfs-unit-XXXXXX";
static struct rundir d = {.fd = -EBADF};
static struct loop *loop;
static struct control_server *server;
static pthread_t thread;
static char *where;
static int door;
static _Atomic int closed;
static int64_t protocol = CONTROL_PROTOCOL;

static void on_message(void *userdata, struct control_conn *c, const cJSON *message)
{
        if (streq(control_type(message), "hello")) {
                struct control_hello h = {
                        .protocol = protocol,
                        .version = (char *)(uintptr_t) "9",
                        .log = (char *)(uintptr_t) "syslog",
                        .accepts = true,
                };
                cr_assert_eq(control_place_here(&h.place), 0);
                control_conn_send(c, control_hello_format(&h));
        } else if (streq(control_type(message), "echo")) {
                cJSON *j = cJSON_Duplicate(message, true);
                control_conn_send(c, j);
        } else if (streq(control_type(message), "many")) {
                /* more than a socket holds: the rest waits for the client */
                for (int i = 0; i < 2000; i++) {
                        cJSON *j = control_message("one");
                        cJSON_AddStringToObject(j, "filler",
                                "0123456789012345678901234567890123456789012345678901234567890123"
                                "0123456789012345678901234567890123456789012345678901234567890123");
                        cJSON_AddNumberToObject(j, "i", i);
                        control_conn_send(c, j);
                }
                control_conn_close(c);
        } else if (streq(control_type(message), "bye"))
                control_conn_close(c);
}

static void on_closed(void *userdata, struct control_conn *c)
{
        closed++;
}

static void *run(void *userdata)
{
        loop_run(loop);
        return NULL;
}

static void set_up(void)
{
        static const struct control_handler handler = {.message = on_message, .closed = on_closed};
        int fd = -EBADF;

        cr_assert_not_null(mkdtemp(base));
        cr_assert_eq(rundir_open_at(base, false, &d, NULL), 0);
        cr_assert_eq(rundir_listen(&d, &fd, &door, &where, NULL), 0);
        cr_assert_eq(loop_new(&loop), 0);
        cr_assert_eq(control_server_new(loop, fd, &handler, NULL, &server), 0);
        cr_assert_eq(pthread_create(&thread, NULL, run, NULL), 0);
}

static void tear_down(void)
{
        _cleanup_free_ char *door_path = NULL;

        loop_exit(loop, 0);
        pthread_join(thread, NULL);
        control_server_free(server);
        loop_free(loop);
        safe_close(door);
        if (rundir_door_name(where, &door_path) == 0)
                (void)unlink(door_path);
        unlink(where);
        free(where);
        rundir_done(&d);
        rmdir(base);
}

TestSuite(control_server, .init = set_up, .fini = tear_down, .timeout = 60);

static const char *name(void)
{
        return where + strlen(base) + 1;
}

Test(control_server, greets_and_answers)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_(control_client_freep) struct control_client *c = NULL;
        _cleanup_json_ cJSON *out = control_message("echo"), *in = NULL;

        cr_assert_eq(control_client_new(&d, name(), &c, &e), 0, "%s", err_text(&e));
        cr_assert_str_eq(control_client_hello(c)->version, "9");
        cJSON_AddStringToObject(out, "x", "y");
        cr_assert_eq(control_client_send(c, out, &e), 0);
        cr_assert_eq(control_client_receive(c, 30000, -1, &in, &e), 0);
        cr_assert(cJSON_Compare(out, in, true));
}

Test(control_server, a_megabyte_goes_both_ways)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_(control_client_freep) struct control_client *c = NULL;
        _cleanup_json_ cJSON *out = control_message("echo"), *in = NULL;
        _cleanup_free_ char *big = malloc((1 << 20) + 1);

        memset(big, 'b', 1 << 20);
        big[1 << 20] = '\0';
        cJSON_AddStringToObject(out, "big", big);
        cr_assert_eq(control_client_new(&d, name(), &c, &e), 0);
        cr_assert_eq(control_client_send(c, out, &e), 0);
        cr_assert_eq(control_client_receive(c, 30000, -1, &in, &e), 0);
        cr_assert(cJSON_Compare(out, in, true));
}

Test(control_server, all_that_was_queued_comes_before_the_end)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_(control_client_freep) struct control_client *c = NULL;
        _cleanup_json_ cJSON *out = control_message("many"), *none = NULL;

        cr_assert_eq(control_client_new(&d, name(), &c, &e), 0);
        cr_assert_eq(control_client_send(c, out, &e), 0);
        for (int i = 0; i < 2000; i++) {
                _cleanup_json_ cJSON *in = NULL;
                int64_t number = -1;
                cr_assert_eq(control_client_receive(c, 30000, -1, &in, &e), 0, "%d", i);
                cr_assert_eq(json_int64(in, "i", &number), 0);
                cr_assert_eq(number, i);
        }
        cr_assert_eq(control_client_receive(c, 30000, -1, &none, &e), -ENODATA);
        cr_assert_not_null(strstr(err_text(&e), "went away"));
}

Test(control_server, an_end_is_told_once)
{
        _cleanup_err_ struct err e = {0};
        struct control_client *c = NULL;
        _cleanup_json_ cJSON *out = control_message("bye"), *in = NULL;

        cr_assert_eq(control_client_new(&d, name(), &c, &e), 0);
        cr_assert_eq(control_client_send(c, out, &e), 0);
        cr_assert_eq(control_client_receive(c, 30000, -1, &in, &e), -ENODATA);
        cr_assert_eq(closed, 1);
        control_client_free(c);
}

Test(control_server, nonsense_ends_the_connection_only)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_(control_client_freep) struct control_client *c = NULL;
        int fd = -EBADF;
        char byte;

        cr_assert_eq(rundir_connect(&d, name(), &fd), 0);
        cr_assert_eq(write_all(fd, "\377\377\377\377", 4), 0);
        while (read(fd, &byte, 1) < 0 && errno == EAGAIN)
                ;
        safe_close(fd);
        cr_assert_eq(control_client_new(&d, name(), &c, &e), 0);
}

Test(control_server, another_protocol_is_said_so)
{
        _cleanup_err_ struct err e = {0};
        struct control_client *c = NULL;

        protocol = CONTROL_PROTOCOL + 1;
        cr_assert_eq(control_client_new(&d, name(), &c, &e), -EPROTONOSUPPORT);
        cr_assert_not_null(strstr(err_text(&e), "version"));
}

static int count(void *userdata, struct control_client **client)
{
        (*(int *)userdata)++;
        return 0;
}

static void no_problem(void *userdata, const struct err *problem)
{
        cr_assert_fail("%s", err_text(problem));
}

Test(control_server, dead_sockets_are_removed_under_the_lock_only)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_free_ char *dead = NULL;
        int fd = -EBADF, n = 0;

        cr_assert_eq(rundir_listen(&d, &fd, &door, &dead, &e), 0);
        safe_close(fd);
        cr_assert_eq(control_each(&d, false, count, no_problem, &n, &e), 0);
        cr_assert_eq(n, 1);
        cr_assert_eq(access(dead, F_OK), 0);
        cr_assert_eq(control_each(&d, true, count, no_problem, &n, &e), 0);
        cr_assert_eq(n, 2);
        cr_assert_eq(access(dead, F_OK), -1);
}
