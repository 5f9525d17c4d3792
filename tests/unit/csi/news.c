#include "csi/news.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

#include "kube_props.h"

static struct driver_metrics *metrics;
static struct news *news;
static struct volume_news v;
static struct pod_volume who = {.pod_name = (char[]){"web-0"},
        .pod_namespace = (char[]){"shop"},
        .pod_uid = (char[]){"u-1"},
        .class_name = (char[]){"app"},
        .class_uid = (char[]){"c-1"},
        .class_generation = 1};

/* What was said, "Reason: message\n" each; class is what is listed. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char said[4096];
static unsigned n_said;
static const char *class = "";

/* On the server's thread. */
static void answer(void *userdata, const struct test_request *q, struct test_answer *ret)
{
        static char list[512];

        pthread_mutex_lock(&lock);
        if (streq(q->method, "POST")) {
                _cleanup_json_ cJSON *body = NULL;
                size_t had = strlen(said);

                cr_assert_eq(json_parse(q->body, q->body_len, &body), 0);
                snprintf(said + had, sizeof said - had, "%s %s: %s\n", json_string(body, "type"),
                        json_string(body, "reason"), json_string(body, "message"));
                n_said++;
                ret->body = "{}";
        } else if (strstr(q->target, "watch=true"))
                ret->manner = TEST_HANG;
        else {
                snprintf(list, sizeof list,
                        "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[%s]}", class);
                ret->body = list;
        }
        pthread_mutex_unlock(&lock);
}

static void list_class(const char *now)
{
        pthread_mutex_lock(&lock);
        class = now;
        pthread_mutex_unlock(&lock);
}

static void set_up(void)
{
        kube_set_up();
        test_server_handle(server, answer, NULL);
        cr_assert_eq(driver_metrics_new(&metrics), 0);
        const struct news_config cfg = {.loop = loop,
                .kube = kube,
                .driver_name = "secrets.akvfs.io",
                .node_id = "node-1",
                .metrics = metrics};
        cr_assert_eq(news_new(&cfg, &news), 0);
        list_class("{\"metadata\":{\"name\":\"app\",\"resourceVersion\":\"3\",\"uid\":\"c-1\","
                   "\"generation\":1}}");
}

static void tear_down(void)
{
        volume_news_end(&v);
        news_free(news);
        driver_metrics_free(metrics);
        kube_tear_down();
}

TestSuite(news, .init = set_up, .fini = tear_down, .timeout = 60);

/* Turns the loop until so many events have been said, and checks the last of them. */
static void expect(unsigned n, const char *text)
{
        unsigned now = 0;

        while (now < n) {
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
                pthread_mutex_lock(&lock);
                now = n_said;
                pthread_mutex_unlock(&lock);
        }
        pthread_mutex_lock(&lock);
        cr_expect_eq(n_said, n, "%s", said);
        cr_expect_not_null(strstr(said, text), "%s", said);
        said[0] = '\0';
        pthread_mutex_unlock(&lock);
}

static void expect_series(const char *line)
{
        _cleanup_free_ char *text = NULL;
        size_t len;

        cr_assert_eq(driver_metrics_text(metrics, &text, &len), 0);
        cr_expect_not_null(strstr(text, line), "%s", line);
}

static void poll(enum err_cause cause, bool taken)
{
        _cleanup_err_ struct err e = {0};

        err_set_cause(&e, cause, -EIO, "object pw: no");
        err_hint(&e, "look\nthere");
        volume_news_polled(&v, &(struct view_poll){.error = &e, .taken = taken});
}

static void poll_well(bool changed)
{
        volume_news_polled(&v, &(struct view_poll){.changed = changed});
}

Test(news, a_rotation_that_fails_is_told_when_it_begins_and_when_it_is_over)
{
        volume_news_begin(&v, news, &who);
        poll_well(true);
        for (int i = 0; i < 3; i++)
                poll(ERR_SERVICE, false);
        cr_expect(v.failing);
        expect(1,
                "Warning MountRotationFailed: failed to rotate mounted contents for spc shop/app, "
                "err: object pw: no; what was fetched last stays mounted. look there\n");
        poll(ERR_NOT_FOUND, true);
        expect(2, "err: object pw: no; its files were taken away");
        poll_well(false);
        poll_well(false);
        cr_expect_not(v.failing);
        expect(3, "Normal MountRotationComplete: mounted contents for spc shop/app are as");
        expect_series("rotation_reconcile_total{provider=\"azure\",os_type=\"linux\",rotated="
                      "\"true\"} 1\n");
        expect_series("rotation_reconcile_total{provider=\"azure\",os_type=\"linux\",rotated="
                      "\"false\"} 2\n");
        expect_series(
                "rotation_reconcile_error_total{provider=\"azure\",error_type=\"Unavailable\","
                "os_type=\"linux\",rotated=\"false\"} 3\n");
        expect_series("akvfs_events_total{reason=\"MountRotationFailed\"} 2\n");
}

Test(news, a_republish_that_cannot_be_taken_is_told_once)
{
        _cleanup_err_ struct err e = {0};

        volume_news_begin(&v, news, &who);
        err_set_cause(&e, ERR_USAGE, -EINVAL, "the token is not taken");
        volume_news_republished(&v, NULL);
        volume_news_republished(&v, &e);
        volume_news_republished(&v, &e);
        expect(1, "Warning MountRepublishFailed: failed to take what kubelet brings for the volume "
                  "of spc shop/app, err: the token is not taken; what is mounted stays as it is\n");
        volume_news_republished(&v, NULL);
        cr_expect_not(v.refused);
        expect_series("akvfs_republish_error_total{error_type=\"InvalidArgument\"} 2\n");
}

Test(news, one_that_was_replaced_wants_a_restart)
{
        volume_news_begin(&v, news, &who);
        volume_news_replaced(&v);
        expect(1, "Warning MountReplaced: the volume of spc shop/app was mounted anew");
}

Test(news, a_class_that_has_changed_is_told)
{
        who.class_generation = 0;
        volume_news_begin(&v, news, &who);
        expect(1,
                "Normal SecretProviderClassChanged: the secretproviderclass shop/app has changed");
        cr_expect_eq(v.change, CLASS_CHANGED);
}

Test(news, a_class_that_is_gone_is_told)
{
        list_class("");
        volume_news_begin(&v, news, &who);
        expect(1, "Warning SecretProviderClassGone: the secretproviderclass shop/app is gone");
        cr_expect_eq(v.change, CLASS_GONE);
}

Test(news, nothing_is_told_of_a_volume_that_is_not_mounted)
{
        volume_news_replaced(&v);
        poll(ERR_SERVICE, false);
        volume_news_republished(&v, NULL);
        volume_news_end(&v);
        cr_expect_not(v.failing);
        expect_series("akvfs_volumes 0\n");
}
