#include "csi/kube_watch.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "kube_props.h"

static struct kube_watch *watch;
static struct {
        char log[512]; /* "7 8 - !" : versions, "-" for none, "!" for trouble, "." when it is over
                        */
        unsigned calls;
        char trouble[256];
        bool free_it;
} seen;

static void note(const char *what)
{
        size_t had = strlen(seen.log);

        snprintf(seen.log + had, sizeof seen.log - had, "%s ", what);
        seen.calls++;
        if (seen.free_it) {
                kube_watch_free(watch);
                watch = NULL;
        }
}

static void on_changed(void *userdata, const cJSON *object)
{
        const char *version = json_string(json_get(object, "metadata"), "resourceVersion");

        note(object ? version : "-");
}

static void on_trouble(void *userdata, const struct err *error)
{
        if (error)
                snprintf(seen.trouble, sizeof seen.trouble, "%s", err_text(error));
        note(error ? "!" : ".");
}

static const struct kube_watch_events events = {.changed = on_changed, .trouble = on_trouble};

static void set_up(void)
{
        kube_set_up();
        loop_simulate(loop, 1000, 5000);
}

static void tear_down(void)
{
        kube_watch_free(watch);
        kube_tear_down();
}

TestSuite(kube_watch, .init = set_up, .fini = tear_down, .timeout = 60);

#define OBJECT(name, version) \
        "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define LIST(version, items) \
        "{\"metadata\":{\"resourceVersion\":\"" version "\"},\"items\":[" items "]}"
#define LINE(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define BOOKMARK(version) LINE("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"" version "\"}}")

static void say(const char *body, enum test_manner manner)
{
        test_server_say(server, &(struct test_answer){.body = body, .manner = manner});
}

static void say_status(int status, const char *body)
{
        test_server_say(server, &(struct test_answer){.status = status, .body = body});
}

/* What is said last hangs, so that the test knows where it ends. */
static void run(void)
{
        test_server_say(server, &(struct test_answer){.manner = TEST_HANG});
        cr_assert_eq(kube_watch_new(kube, loop, "/c", "web", &events, NULL, &watch), 0);
}

static void on_tick(void *userdata, int fd, uint32_t revents)
{
        uint64_t n;

        cr_assert_eq(read(fd, &n, sizeof n), sizeof n);
}

/* Simulated time leaps as far as it likes, and real time is looked at each millisecond: a request
 * that is never answered is no event of the loop. */
static void until_requests(unsigned n)
{
        struct itimerspec each = {{0, 1000000}, {0, 1000000}};
        struct loop_io *io;
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

        cr_assert_eq(timerfd_settime(fd, 0, &each, NULL), 0);
        cr_assert_eq(loop_io_new(loop, fd, EPOLLIN, on_tick, NULL, &io), 0);
        while (test_server_requests(server) < n)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        loop_io_free(io);
        close(fd);
}

static void expect_target(unsigned i, const char *target)
{
        struct test_request request;

        test_server_get(server, i, &request);
        cr_expect_str_eq(request.target, target);
}

#define LISTED "/c?fieldSelector=metadata.name%3Dweb"
#define WATCHED(version) \
        LISTED "&watch=true&allowWatchBookmarks=true&resourceVersion=" version "&timeoutSeconds=300"

Test(kube_watch, an_object_is_listed_and_then_each_change_told_once)
{
        say(LIST("5", OBJECT("other", "4") "," OBJECT("web", "3")), TEST_ANSWER);
        say(LINE("MODIFIED", OBJECT("web", "6")) LINE("MODIFIED", OBJECT("web", "6"))
                        LINE("ADDED", OBJECT("other", "7")) LINE("DELETED", OBJECT("web", "8"))
                                LINE("ADDED", OBJECT("web", "9")) BOOKMARK("12"),
                TEST_DRIP);
        run();
        until_requests(3);
        cr_expect_str_eq(seen.log, "3 6 - 9 ");
        expect_target(0, LISTED);
        expect_target(1, WATCHED("5"));
        expect_target(2, WATCHED("12"));
}

Test(kube_watch, an_object_that_is_not_there_is_told_and_watched_for)
{
        say(LIST("5", ""), TEST_ANSWER);
        say(LINE("ADDED", OBJECT("web", "6")), TEST_ANSWER);
        run();
        until_requests(3);
        cr_expect_str_eq(seen.log, "- 6 ");
}

Test(kube_watch, a_version_that_is_gone_leads_to_a_new_list)
{
        say(LIST("5", OBJECT("web", "3")), TEST_ANSWER);
        say(LINE("ERROR", "{\"kind\":\"Status\",\"code\":410}"), TEST_ANSWER);
        say(LIST("50", OBJECT("web", "3")), TEST_ANSWER);
        say_status(410, "{}");
        say(LIST("60", OBJECT("web", "55")), TEST_ANSWER);
        run();
        until_requests(6);
        /* Nothing is told twice, and it is no trouble. */
        cr_expect_str_eq(seen.log, "3 55 ");
        expect_target(2, LISTED);
        expect_target(3, WATCHED("50"));
        expect_target(4, LISTED);
        expect_target(5, WATCHED("60"));
}

Test(kube_watch, a_cut_connection_goes_on_where_it_was)
{
        static const char body[] = LINE("MODIFIED", OBJECT("web", "6")) BOOKMARK(
                "7") "                                                                          ";

        say(LIST("5", OBJECT("web", "3")), TEST_ANSWER);
        say(body, TEST_CUT); /* half of it: the first line is whole */
        run();
        until_requests(3);
        cr_expect_str_eq(seen.log, "3 6 ");
        expect_target(2, WATCHED("6"));
}

Test(kube_watch, trouble_is_told_when_it_begins_and_when_it_ends)
{
        static const char refused[] = "{\"kind\":\"Status\",\"message\":\"no role\"}";

        say_status(403, refused);
        say("", TEST_CLOSE);
        say(LIST("5", ""), TEST_ANSWER);
        say_status(500, "{}");
        say("<html>\n", TEST_ANSWER);
        say(BOOKMARK("6"), TEST_ANSWER);
        run();
        until_requests(7);
        cr_expect_str_eq(seen.trouble, "no role");
        cr_expect_str_eq(seen.log, "! - . ");
        expect_target(6, WATCHED("6"));
}

Test(kube_watch, failures_are_tried_again_after_growing_pauses)
{
        usec_t at[8];

        for (size_t i = 0; i < ELEMENTSOF(at); i++)
                say_status(503, "{}");
        run();
        for (unsigned i = 0; i < ELEMENTSOF(at); i++) {
                until_requests(i + 1);
                at[i] = loop_now(loop);
        }
        /* From half of 2 s upwards, and never more than the limit. */
        cr_expect_geq(at[1] - at[0], USEC_PER_SEC);
        cr_expect_geq(at[4] - at[3], 8 * USEC_PER_SEC);
        cr_expect_geq(at[7] - at[6], 30 * USEC_PER_SEC);
        cr_expect_leq(at[7] - at[6], 61 * USEC_PER_SEC);
}

Test(kube_watch, retry_after_is_kept_to)
{
        test_server_say(
                server, &(struct test_answer){
                                .status = 429, .body = "{}", .headers = "Retry-After: 100\r\n"});
        run();
        until_requests(1);
        usec_t first = loop_now(loop);
        until_requests(2);
        cr_expect_geq(loop_now(loop) - first, 100 * USEC_PER_SEC);
}

Test(kube_watch, a_line_that_never_ends_is_given_up)
{
        static char chunk[64 << 10];

        memset(chunk, 'x', sizeof chunk - 1);
        say(LIST("5", ""), TEST_ANSWER);
        say(chunk, TEST_ENDLESS);
        run();
        until_requests(3);
        cr_expect_str_eq(seen.log, "- ! ");
        cr_expect_not_null(strstr(seen.trouble, "is not taken"));
        expect_target(2, WATCHED("5"));
}

Test(kube_watch, it_may_be_freed_by_any_of_its_callbacks)
{
        static const char two[] =
                LINE("MODIFIED", OBJECT("web", "6")) LINE("MODIFIED", OBJECT("web", "7"));
        unsigned before = 0;

        for (int i = 0; i < 3; i++) {
                seen.calls = 0;
                seen.free_it = i != 1;
                if (i == 0)
                        say_status(403, "{}");
                else
                        say(LIST("5", OBJECT("web", "3")), TEST_ANSWER);
                if (i == 1)
                        say(two, TEST_DRIP);
                cr_assert_eq(kube_watch_new(kube, loop, "/c", "web", &events, NULL, &watch), 0);
                while (seen.calls < 1)
                        cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
                seen.free_it = true;
                while (watch)
                        cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
                before += i == 1 ? 2 : 1;
                cr_expect_eq(test_server_requests(server), before);
        }
        cr_expect_str_eq(seen.log, "! 3 6 3 ");
}
