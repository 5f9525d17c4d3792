#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/wipe.h"
#include "cli/control.h"

static int ends[2];

static void set_up(void)
{
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        cr_assert_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
}

static void tear_down(void)
{
        safe_close(ends[0]);
        safe_close(ends[1]);
}

TestSuite(control, .init = set_up, .fini = tear_down);

static void put(const void *bytes, size_t n)
{
        cr_assert_eq(write_all(ends[0], bytes, n), 0);
}

static void put_text(const char *text)
{
        uint32_t head = htonl((uint32_t)strlen(text));

        put(&head, sizeof head);
        put(text, strlen(text));
}

Test(control, a_message_comes_out_as_it_went_in)
{
        struct control_reader reader = {0};
        _cleanup_json_ cJSON *in = control_message("mount"), *out = NULL;
        _cleanup_secret_ char *frame = NULL;
        size_t len = 0;

        cJSON_AddStringToObject(in, "text", "a\n\"b\"\xc3\xa4");
        cr_assert_eq(control_encode(in, &frame, &len), 0);
        put(frame, len);
        cr_assert_eq(control_read(&reader, ends[1], &out), 1);
        cr_assert_str_eq(control_type(out), "mount");
        cr_assert(cJSON_Compare(in, out, true));
}

Test(control, a_message_may_come_in_pieces)
{
        static const char text[] = "{\"type\":\"x\"}";
        struct control_reader reader = {0};
        uint32_t head = htonl(sizeof text - 1);
        char frame[sizeof head + sizeof text - 1];
        _cleanup_json_ cJSON *out = NULL, *none = NULL;

        memcpy(frame, &head, sizeof head);
        memcpy(frame + sizeof head, text, sizeof text - 1);
        for (size_t i = 0; i < sizeof frame; i++) {
                cr_assert_eq(control_read(&reader, ends[1], &out), 0);
                put(frame + i, 1);
        }
        cr_assert_eq(control_read(&reader, ends[1], &out), 1);
        cr_assert_eq(control_read(&reader, ends[1], &none), 0);
}

Test(control, two_messages_at_once_are_two)
{
        struct control_reader reader = {0};

        put_text("{\"type\":\"one\"}");
        put_text("{\"type\":\"two\"}");
        for (int i = 0; i < 2; i++) {
                _cleanup_json_ cJSON *j = NULL;
                cr_assert_eq(control_read(&reader, ends[1], &j), 1);
                cr_assert_str_eq(control_type(j), i == 0 ? "one" : "two");
        }
}

Test(control, an_end_between_messages)
{
        struct control_reader reader = {0};
        cJSON *j = NULL;

        shutdown(ends[0], SHUT_WR);
        cr_assert_eq(control_read(&reader, ends[1], &j), -ENODATA);
}

Test(control, an_end_within_a_message)
{
        struct control_reader reader = {0};
        cJSON *j = NULL;
        uint32_t head = htonl(10);

        put(&head, sizeof head);
        put("{\"t", 3);
        shutdown(ends[0], SHUT_WR);
        cr_assert_eq(control_read(&reader, ends[1], &j), -ECONNRESET);
        control_reader_done(&reader);
}

Test(control, lengths_are_bounded_before_memory_is_spent)
{
        const uint32_t lengths[] = {0, CONTROL_MESSAGE_MAX + 1, UINT32_MAX};

        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                struct control_reader reader = {0};
                cJSON *j = NULL;
                uint32_t head = htonl(lengths[i]);

                put(&head, sizeof head);
                cr_assert_eq(control_read(&reader, ends[1], &j), -EMSGSIZE);
                cr_assert_null(reader.body);
        }
}

Test(control, what_is_no_message_is_refused)
{
        static const char *const bad[] = {"x", "[]", "{}", "{\"type\":1}", "{\"type\":\"a\"} b",
                "\"type\"", "{\"type\":\"a\"", "null"};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                struct control_reader reader = {0};
                cJSON *j = NULL;

                put_text(bad[i]);
                cr_assert_eq(control_read(&reader, ends[1], &j), -EBADMSG, "%s", bad[i]);
        }
}

Test(control, a_message_that_is_too_long_is_not_sent)
{
        _cleanup_json_ cJSON *j = control_message("x");
        _cleanup_free_ char *big = malloc(CONTROL_MESSAGE_MAX + 2);
        char *frame = NULL;
        size_t len = 0;

        memset(big, 'a', CONTROL_MESSAGE_MAX + 1);
        big[CONTROL_MESSAGE_MAX + 1] = '\0';
        cJSON_AddStringToObject(j, "big", big);
        cr_assert_eq(control_encode(j, &frame, &len), -EMSGSIZE);
}

Test(control, errors_travel_whole)
{
        _cleanup_err_ struct err in = {0}, out = {0};
        _cleanup_json_ cJSON *j = control_message("failed");

        err_set_cause(&in, ERR_FORBIDDEN, -EACCES, "no access to %s", "x");
        err_hint(&in, "grant it\nand wait");
        cr_assert_eq(control_add_error(j, &in), 0);
        cr_assert_eq(control_add_error(j, &in), 0);
        cr_assert_eq(cJSON_GetArraySize(json_get(j, "errors")), 2);
        control_error_parse(cJSON_GetArrayItem(json_get(j, "errors"), 1), &out);
        cr_assert_eq(out.code, -EACCES);
        cr_assert_eq(out.cause, ERR_FORBIDDEN);
        cr_assert_str_eq(out.text, "no access to x");
        cr_assert_str_eq(out.hint, "grant it\nand wait");
}

Test(control, an_error_that_is_none_still_fails)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_json_ cJSON *j = cJSON_Parse("{\"code\":7,\"cause\":\"nonsense\"}");

        control_error_parse(j, &e);
        cr_assert_lt(e.code, 0);
        cr_assert_eq(e.cause, ERR_OTHER);
        cr_assert_not_null(e.text);
}

Test(control, hellos_travel_whole)
{
        struct control_hello in = {
                .protocol = CONTROL_PROTOCOL,
                .version = (char *)(uintptr_t) "1.2.3",
                .uid = 1000,
                .worker_pid = 12,
                .keeper_pid = 34,
                .accepts = true,
                .log = (char *)(uintptr_t) "syslog",
        };
        struct control_hello out = {0};

        cr_assert_eq(control_place_here(&in.place), 0);
        _cleanup_json_ cJSON *j = control_hello_format(&in);
        cr_assert_eq(control_hello_parse(j, &out), 0);
        cr_assert_str_eq(out.version, "1.2.3");
        cr_assert_str_eq(out.log, "syslog");
        cr_assert_eq(out.uid, 1000);
        cr_assert_eq(out.worker_pid, 12);
        cr_assert_eq(out.keeper_pid, 34);
        cr_assert(out.accepts);
        cr_assert(control_place_equal(&in.place, &out.place));
        control_hello_done(&out);
}

Test(control, another_protocol_is_told_apart_from_nonsense)
{
        struct control_hello out = {0};
        _cleanup_json_ cJSON *other = cJSON_Parse("{\"type\":\"hello\",\"protocol\":2}");
        _cleanup_json_ cJSON *bad = cJSON_Parse("{\"type\":\"hello\",\"protocol\":1,\"uid\":-1}");

        cr_assert_eq(control_hello_parse(other, &out), -EPROTONOSUPPORT);
        cr_assert_eq(control_hello_parse(bad, &out), -EBADMSG);
}

Test(control, other_proxies_are_another_place)
{
        struct control_place a, b;

        unsetenv("https_proxy");
        cr_assert_eq(control_place_here(&a), 0);
        cr_assert_gt(a.mount_ns, 0);
        setenv("https_proxy", "http://user:hunter2@proxy:3128", 1);
        cr_assert_eq(control_place_here(&b), 0);
        cr_assert_not(control_place_equal(&a, &b));
        cr_assert_eq(strlen(b.proxies), 64);
        cr_assert_null(strstr(b.proxies, "hunter2"));
        unsetenv("https_proxy");
}
