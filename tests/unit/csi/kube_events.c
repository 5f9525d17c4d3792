#include "csi/kube_events.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/log.h"
#include "kube_props.h"

static struct kube_events *events;
static unsigned logged;

static void on_line(enum log_level level, const char *line)
{
        logged++;
}

static void set_up(void)
{
        kube_set_up();
        loop_simulate(loop, 1000, 1700000000);
        cr_assert_eq(kube_events_new(kube, loop, "secrets.akvfs.io", "node-1", &events), 0);
        log_set_writer(on_line);
}

static void tear_down(void)
{
        log_set_writer(NULL);
        kube_events_free(events);
        kube_tear_down();
}

TestSuite(kube_events, .init = set_up, .fini = tear_down, .timeout = 60);

static void say(const char *uid, const char *message)
{
        kube_events_say(events, &(struct kube_event){.namespace = "shop",
                                        .pod = "web-0",
                                        .uid = uid,
                                        .warning = true,
                                        .reason = "Stale",
                                        .message = message});
}

static void on_timer(void *userdata)
{
        *(bool *)userdata = true;
}

/* Until so much simulated time has passed, with whatever is under way. */
static void pass(usec_t time)
{
        struct loop_timer *t;
        bool over = false;

        cr_assert_eq(loop_timer_new(loop, on_timer, &over, &t), 0);
        cr_assert_eq(loop_timer_in(t, time), 0);
        while (!over)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        loop_timer_free(t);
}

static cJSON *sent(unsigned i, struct test_request *ret)
{
        cJSON *body = NULL;

        test_server_get(server, i, ret);
        cr_assert_eq(json_parse(ret->body, ret->body_len, &body), 0);
        return body;
}

Test(kube_events, an_event_is_what_kubectl_shows_on_a_pod)
{
        struct test_request q;

        say("u-1", "the volume has to be mounted again");
        pass(USEC_PER_SEC);
        cr_assert_eq(test_server_requests(server), 1);
        _cleanup_json_ cJSON *body = sent(0, &q);
        cr_expect_str_eq(q.method, "POST");
        cr_expect_str_eq(q.target, "/api/v1/namespaces/shop/events");
        cr_expect_str_eq(json_string(body, "kind"), "Event");
        cr_expect_str_eq(json_string(body, "type"), "Warning");
        cr_expect_str_eq(json_string(body, "reason"), "Stale");
        cr_expect_str_eq(json_string(body, "message"), "the volume has to be mounted again");
        cr_expect_str_eq(json_string(body, "firstTimestamp"), "2023-11-14T22:13:20Z");
        const cJSON *pod = json_get(body, "involvedObject");
        cr_expect_str_eq(json_string(pod, "kind"), "Pod");
        cr_expect_str_eq(json_string(pod, "name"), "web-0");
        cr_expect_str_eq(json_string(pod, "namespace"), "shop");
        cr_expect_str_eq(json_string(pod, "uid"), "u-1");
        cr_expect_str_eq(json_string(json_get(body, "source"), "host"), "node-1");
        cr_expect(startswith(json_string(json_get(body, "metadata"), "name"), "web-0."));
}

Test(kube_events, the_same_again_is_counted_and_told_after_a_pause)
{
        struct test_request q;
        int64_t count;

        test_server_say(server, &(struct test_answer){.body = "{}"});
        for (int i = 0; i < 100; i++)
                say("u-1", "again");
        pass(USEC_PER_SEC);
        cr_assert_eq(test_server_requests(server), 1);
        pass(2 * KUBE_EVENT_PAUSE);
        cr_assert_eq(test_server_requests(server), 2);
        _cleanup_json_ cJSON *first = sent(0, &q), *second = sent(1, &q);
        cr_expect_eq(json_int64(first, "count", &count), 0);
        cr_expect_eq(count, 1);
        cr_expect_eq(json_int64(second, "count", &count), 0);
        cr_expect_eq(count, 100);
        cr_expect_str_eq(q.method, "PATCH");
        cr_expect(startswith(q.target, "/api/v1/namespaces/shop/events/web-0."));
        cr_expect_eq(cJSON_GetArraySize(second), 2);
        /* Nothing new, nothing sent; another pod or text is another event. */
        pass(3 * KUBE_EVENT_PAUSE);
        cr_assert_eq(test_server_requests(server), 2);
        say("u-2", "again");
        say("u-1", "again and again");
        pass(USEC_PER_SEC);
        cr_assert_eq(test_server_requests(server), 4);
}

Test(kube_events, one_that_is_gone_is_made_anew)
{
        struct test_request q;

        test_server_say(server, &(struct test_answer){.body = "{}"});
        test_server_say(server, &(struct test_answer){.status = 404, .body = "{}"});
        test_server_say(server, &(struct test_answer){.body = "{}"});
        say("u-1", "x");
        pass(2 * KUBE_EVENT_PAUSE);
        say("u-1", "x");
        pass(2 * KUBE_EVENT_PAUSE);
        cr_assert_eq(test_server_requests(server), 3);
        _cleanup_json_ cJSON *third = sent(2, &q);
        cr_expect_str_eq(q.method, "POST");
        cr_expect_str_eq(json_string(third, "kind"), "Event");
}

Test(kube_events, one_whose_answer_got_lost_is_there)
{
        struct test_request q;

        test_server_say(server, &(struct test_answer){.manner = TEST_CLOSE});
        test_server_say(server, &(struct test_answer){.status = 409, .body = "{}"});
        test_server_say(server, &(struct test_answer){.body = "{}"});
        say("u-1", "x");
        pass(2 * KUBE_EVENT_PAUSE);
        say("u-1", "x");
        pass(2 * KUBE_EVENT_PAUSE);
        cr_assert_eq(test_server_requests(server), 3);
        test_server_get(server, 2, &q);
        cr_expect_str_eq(q.method, "PATCH");
        cr_expect_eq(logged, 0);
}

Test(kube_events, a_refusal_is_logged_once)
{
        test_server_say(server, &(struct test_answer){.status = 403, .body = "{}"});
        for (int i = 0; i < 5; i++) {
                say("u-1", "x");
                pass(2 * KUBE_EVENT_PAUSE);
        }
        cr_expect_geq(test_server_requests(server), 5);
        cr_expect_eq(logged, 1);
}

Test(kube_events, long_texts_are_cut_between_characters)
{
        char text[KUBE_EVENT_MESSAGE_MAX + 100], pod[254], uid[] = "u-1";
        struct test_request q;

        memset(text, 'x', sizeof text);
        memcpy(text + KUBE_EVENT_MESSAGE_MAX - 1, "\xc3\xa4", 2);
        text[sizeof text - 1] = '\0';
        memset(pod, 'p', sizeof pod - 1);
        pod[sizeof pod - 1] = '\0';
        memset(pod + 230, '.', 10);
        for (int i = 0; i < 2; i++)
                kube_events_say(events, &(struct kube_event){.namespace = "shop",
                                                .pod = pod,
                                                .uid = uid,
                                                .reason = "R",
                                                .message = text});
        pass(USEC_PER_SEC);
        cr_assert_eq(test_server_requests(server), 1);
        _cleanup_json_ cJSON *body = sent(0, &q);
        cr_expect_eq(strlen(json_string(body, "message")), KUBE_EVENT_MESSAGE_MAX - 1);
        const char *name = json_string(json_get(body, "metadata"), "name");
        cr_expect_eq(strlen(name), 230 + 1 + 16);
        cr_expect_eq(name[229], 'p');
}

Test(kube_events, what_is_remembered_is_bounded)
{
        char uid[32];

        test_server_say(server, &(struct test_answer){.manner = TEST_HANG});
        for (unsigned i = 0; i < KUBE_EVENTS_MAX; i++) {
                snprintf(uid, sizeof uid, "u-%u", i);
                say(uid, "x");
        }
        cr_expect_eq(logged, 0);
        say("one more", "x"); /* all are under way */
        cr_expect_eq(logged, 1);
}

Test(kube_events, the_one_said_longest_ago_makes_room)
{
        char uid[32];

        test_server_say(server, &(struct test_answer){.body = "{}"});
        for (unsigned i = 0; i <= KUBE_EVENTS_MAX; i++) {
                snprintf(uid, sizeof uid, "u-%u", i);
                say(uid, "x");
                pass(2 * KUBE_EVENT_PAUSE);
        }
        cr_expect_eq(logged, 0);
        cr_expect_eq(test_server_requests(server), KUBE_EVENTS_MAX + 1);
        say("u-0", "x"); /* forgotten: a new one */
        say("u-2", "x");
        pass(USEC_PER_SEC);
        struct test_request q;
        unsigned posts = 0;
        for (unsigned i = 1; i <= 2; i++) {
                test_server_get(server, KUBE_EVENTS_MAX + i, &q);
                posts += q.method[1] == 'O';
        }
        cr_expect_eq(posts, 1);
}
