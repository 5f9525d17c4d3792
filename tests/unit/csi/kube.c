#include "csi/kube.h"

#include <criterion/criterion.h>

#include "kube_props.h"

static struct {
        bool over;
        int status;
        char *name; /* metadata.name */
        struct err error;
} got;

static void tear_down(void)
{
        kube_tear_down();
        free(got.name);
        err_done(&got.error);
}

TestSuite(kube, .init = kube_set_up, .fini = tear_down, .timeout = 60);

static void on_done(void *userdata, const cJSON *answer, int status, const struct err *error)
{
        got.over = true;
        got.status = status;
        const char *name = json_string(json_get(answer, "metadata"), "name");
        free(got.name);
        got.name = name ? strdup(name) : NULL;
        err_done(&got.error);
        if (error)
                cr_assert_eq(err_copy(&got.error, error), 0);
}

static void get(const char *path)
{
        _cleanup_err_ struct err e = {0};

        got.over = false;
        cr_assert_eq(kube_get(kube, path, on_done, NULL, NULL, &e), 0, "%s", e.text);
        while (!got.over)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
}

Test(kube, an_object_is_asked_for_with_the_account_s_token)
{
        struct test_request request;
        char header[64];
        _cleanup_free_ char *path = NULL;

        test_server_say(server, &(struct test_answer){.body = "{\"metadata\":{\"name\":\"web\"}}"});
        cr_assert_eq(kube_class_path("shop", "web", &path), 0);
        get(path);
        cr_expect_eq(got.status, 200);
        cr_expect_str_eq(got.name, "web");
        test_server_get(server, 0, &request);
        cr_expect_str_eq(request.method, "GET");
        cr_expect_str_eq(request.target,
                "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/shop/secretproviderclasses/web");
        cr_assert(test_request_header(&request, "Authorization", header, sizeof header));
        cr_expect_str_eq(header, "Bearer first");
}

Test(kube, a_token_that_was_replaced_is_used)
{
        struct test_request request;
        char header[64];

        test_server_say(server, &(struct test_answer){.body = "{}"});
        get("/a");
        kube_write_token("second");
        get("/b");
        test_server_get(server, 1, &request);
        cr_assert(test_request_header(&request, "Authorization", header, sizeof header));
        cr_expect_str_eq(header, "Bearer second");
}

Test(kube, a_refusal_has_the_server_s_own_words)
{
        static const struct {
                int status;
                enum err_cause cause;
        } cases[] = {
                {401, ERR_AUTH},
                {403, ERR_FORBIDDEN},
                {404, ERR_NOT_FOUND},
                {409, ERR_SERVICE},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                test_server_say(server,
                        &(struct test_answer){.status = cases[i].status,
                                .body = "{\"kind\":\"Status\",\"message\":\"secretproviderclasses."
                                        "secrets-store.csi.x-k8s.io \\\"web\\\" not found\"}"});
                get("/x");
                cr_expect_eq(got.status, cases[i].status);
                cr_expect_eq(got.error.cause, cases[i].cause);
                cr_expect_str_eq(got.error.text,
                        "secretproviderclasses.secrets-store.csi.x-k8s.io \"web\" not found");
        }
}

Test(kube, an_answer_that_is_no_object_is_an_error)
{
        static const char *const bodies[] = {"", "[]", "<html>", "{\"a\":"};

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                test_server_say(server, &(struct test_answer){.body = bodies[i]});
                get("/x");
                cr_expect_eq(got.error.cause, ERR_SERVICE);
        }
        test_server_say(server, &(struct test_answer){.status = 418, .body = "<html>"});
        get("/x");
        cr_expect_not_null(strstr(got.error.text, "answered 418 without a reason"));
}

Test(kube, a_token_that_cannot_be_sent_is_told)
{
        static const char *const bad[] = {"", "\n", "a\r\nX-Other: b", "a b", "\xc3\xa4"};
        _cleanup_err_ struct err e = {0};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                kube_write_token(bad[i]);
                cr_expect_eq(kube_get(kube, "/x", on_done, NULL, NULL, &e), -EINVAL);
        }
        kube_remove_token();
        cr_expect_eq(kube_get(kube, "/x", on_done, NULL, NULL, &e), -ENOENT);
        cr_expect_not_null(strstr(e.hint, "automountServiceAccountToken"));
        cr_expect_eq(test_server_requests(server), 0);
}

Test(kube, a_call_that_is_cancelled_is_heard_of_no_more)
{
        struct kube_call *call;

        test_server_say(server, &(struct test_answer){.manner = TEST_HANG});
        cr_assert_eq(kube_get(kube, "/x", on_done, NULL, &call, NULL), 0);
        while (test_server_requests(server) == 0)
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
        cr_expect_null(kube_cancel(call));
        cr_expect_not(got.over);
}

Test(kube, the_server_is_found_in_the_environment)
{
        _cleanup_free_ char *url = NULL, *v6 = NULL;
        _cleanup_err_ struct err e = {0};

        unsetenv("KUBERNETES_SERVICE_HOST");
        cr_expect_eq(kube_server_from_environment(&url, &e), -ENOENT);
        setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
        setenv("KUBERNETES_SERVICE_PORT", "0443", 1);
        cr_assert_eq(kube_server_from_environment(&url, &e), 0);
        cr_expect_str_eq(url, "https://10.0.0.1:443");
        setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
        cr_assert_eq(kube_server_from_environment(&v6, &e), 0);
        cr_expect_str_eq(v6, "https://[fd00::1]:443");
        setenv("KUBERNETES_SERVICE_PORT", "70000", 1);
        cr_expect_eq(kube_server_from_environment(&url, &e), -EINVAL);
}

typedef int (*sender)(struct kube *, const char *, const cJSON *, kube_done_fn, void *,
        struct kube_call **, struct err *);

static void say(sender fn, const char *path, const char *json)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_json_ cJSON *body = NULL;

        got.over = false;
        cr_assert_eq(json_parse(json, strlen(json), &body), 0);
        cr_assert_eq(fn(kube, path, body, on_done, NULL, NULL, &e), 0, "%s", e.text);
        while (!got.over)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
}

static void expect_request(unsigned i, const char *method, const char *type, const char *body)
{
        struct test_request request;
        char header[64] = "";

        test_server_get(server, i, &request);
        cr_expect_str_eq(request.method, method);
        (void)test_request_header(&request, "Content-Type", header, sizeof header);
        cr_expect_str_eq(header, type);
        cr_expect_eq(request.body_len, strlen(body));
        cr_expect_eq(memcmp(request.body, body, request.body_len), 0);
}

Test(kube, objects_are_created_patched_and_deleted)
{
        _cleanup_err_ struct err e = {0};

        test_server_say(server,
                &(struct test_answer){.status = 201, .body = "{\"metadata\":{\"name\":\"n\"}}"});
        say(kube_create, "/e", "{\"a\":1}");
        cr_expect_eq(got.status, 201);
        cr_expect_str_eq(got.name, "n");
        expect_request(0, "POST", "application/json", "{\"a\":1}");

        say(kube_patch, "/e/n", "{\"b\":null}");
        expect_request(1, "PATCH", "application/merge-patch+json", "{\"b\":null}");

        got.over = false;
        cr_assert_eq(kube_delete(kube, "/e/n", on_done, NULL, NULL, &e), 0);
        while (!got.over)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        expect_request(2, "DELETE", "", "");
}

Test(kube, a_patch_of_any_version_is_tried_again_on_a_conflict)
{
        loop_simulate(loop, 1000, 5000);
        test_server_say(server, &(struct test_answer){.status = 409, .body = "{}"});
        test_server_say(server, &(struct test_answer){.status = 429, .body = "{}"});
        test_server_say(server, &(struct test_answer){.body = "{}"});
        say(kube_patch, "/e/n", "{\"b\":1}");
        cr_expect_eq(got.status, 200);
        cr_expect_eq(test_server_requests(server), 3);
}

Test(kube, a_conflict_that_its_caller_has_to_solve_is_told_at_once)
{
        test_server_say(server, &(struct test_answer){.status = 409, .body = "{}"});
        say(kube_patch, "/e/n", "{\"metadata\":{\"resourceVersion\":\"7\"}}");
        cr_expect_eq(got.status, 409);
        say(kube_create, "/e", "{}");
        cr_expect_eq(got.status, 409);
        cr_expect_eq(test_server_requests(server), 2);
}
