#include "scene.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/log.h"

struct scene scene = {.lifetime = 3600};

void scene_issue(void *userdata, const struct test_request *request, struct test_answer *ret)
{
        static char bodies[200][128];
        char *body = bodies[scene.issued];

        (void)snprintf(body, sizeof bodies[0],
                "{\"token_type\":\"Bearer\",\"expires_in\":%u,\"access_token\":\"token-%u\"}",
                scene.lifetime, scene.issued);
        *ret = (struct test_answer){.body = body};
        scene.issued++;
}

void scene_say(void *userdata, const struct test_request *request, struct test_answer *ret)
{
        *ret = scene.answer;
}

void scene_set_up(void)
{
        test_init();
        unsetenv("https_proxy");
        unsetenv("all_proxy");
        scene.log_fd = memfd_create("log", MFD_CLOEXEC);
        log_set_fd(scene.log_fd);
        cr_assert_eq(loop_new(&scene.loop), 0);
        loop_simulate(scene.loop, START, WALL);
        cr_assert_eq(http_client_new(scene.loop, &scene.http), 0);
        cr_assert_eq(auths_new(scene.loop, scene.http, &scene.auths), 0);
        cr_assert_eq(sec_new("s3cr3t-value", 12, &scene.secret), 0);
        scene.server = test_server_new(NULL);
        test_server_handle(scene.server, scene_issue, NULL);
}

void scene_tear_down(void)
{
        static char text[1 << 16];

        sec_unref(scene.secret);
        auths_free(scene.auths);
        http_client_free(scene.http);
        test_server_free(scene.server);
        loop_free(scene.loop);
        log_set_fd(2);
        ssize_t n = pread(scene.log_fd, text, sizeof text - 1, 0);
        cr_assert_geq(n, 0);
        cr_assert_null(strstr(text, "s3cr3t"), "%s", text);
        cr_assert_null(strstr(text, "token-"), "%s", text);
        close(scene.log_fd);
}

struct auth_config scene_config(void)
{
        return (struct auth_config){
                .mode = AUTH_CLIENT_SECRET,
                .tenant = "contoso.example",
                .client_id = "app",
                .client_secret = scene.secret,
                .authority = test_server_url(scene.server),
                .endpoint = {.ca_file = test_server_ca_file(scene.server)},
        };
}

struct auth *scene_open(void)
{
        struct auth_config cfg = scene_config();
        struct err e = {0};
        struct auth *a = NULL;

        cr_assert_eq(auth_open(scene.auths, &cfg, &a, &e), 0, "%s", err_text(&e));
        return a;
}

void scene_on_token(void *userdata, const struct auth_token *token, const struct err *error)
{
        struct told *r = userdata;

        r->calls++;
        cr_assert((token != NULL) != (error != NULL));
        *r->token = *r->text = '\0';
        if (token) {
                (void)snprintf(r->token, sizeof r->token, "%.*s", (int)sec_len(token->token),
                        (const char *)sec_bytes(token->token));
                r->expires_at = token->expires_at;
                if (r->keep)
                        r->sec = sec_ref(token->token);
        } else {
                r->cause = error->cause;
                (void)snprintf(r->text, sizeof r->text, "%s", err_text(error));
        }
}

void scene_run_until(const unsigned *counter, unsigned n)
{
        while (*counter < n)
                cr_assert_geq(loop_turn(scene.loop, USEC_INFINITY), 0);
}

struct told scene_get(struct auth *a)
{
        struct told r = {0};

        cr_assert_eq(auth_get_token(a, SCOPE, scene_on_token, &r, NULL), 0);
        cr_assert_eq(r.calls, 0, "called from within auth_get_token");
        scene_run_until(&r.calls, 1);
        return r;
}

static void on_time(void *userdata)
{
}

void scene_pass(usec_t time)
{
        struct loop_timer *t;
        usec_t end = loop_now(scene.loop) + time;

        cr_assert_eq(loop_timer_new(scene.loop, on_time, NULL, &t), 0);
        loop_timer_at(t, end);
        while (loop_now(scene.loop) < end)
                cr_assert_geq(loop_turn(scene.loop, USEC_INFINITY), 0);
        loop_timer_free(t);
}
