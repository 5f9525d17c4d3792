#include "fetch.h"

#include <criterion/criterion.h>
#include <stdio.h>

struct loop *loop;
struct http_client *client;
static struct err kept[64]; /* the errors of all results, until the test ends */
static size_t kept_n;

void fetch_set_up(void)
{
        static const char *const variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
                "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"};

        for (size_t i = 0; i < ELEMENTSOF(variables); i++)
                unsetenv(variables[i]);
        test_init();
        cr_assert_eq(loop_new(&loop), 0);
        cr_assert_eq(http_client_new(loop, &client), 0);
}

void fetch_tear_down(void)
{
        http_client_free(client);
        loop_free(loop);
        while (kept_n > 0)
                err_done(&kept[--kept_n]);
}

void on_fetched(void *userdata, struct http_response *resp)
{
        struct fetched *r = userdata;

        r->calls++;
        r->status = resp->status;
        cr_assert_not_null(resp->body);
        cr_assert_eq(resp->body[resp->body_len], '\0');
        r->body_len = resp->body_len;
        snprintf(r->body, sizeof r->body, "%s", resp->body);
        snprintf(r->peer, sizeof r->peer, "%s", resp->peer);
        const char *h = http_header(resp, "X-Test");
        snprintf(r->header, sizeof r->header, "%s", h ? h : "(none)");
        r->tries = resp->tries;
        if (resp->status == 0) {
                cr_assert_lt(kept_n, ELEMENTSOF(kept));
                err_move(&kept[kept_n], &resp->error);
                r->error = kept[kept_n++];
        }
}

void run_until(const unsigned *counter, unsigned n)
{
        while (*counter < n)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
}

struct fetched fetch(const char *url, const struct http_endpoint *ep)
{
        struct fetched r = {0};
        struct http_request q = {.method = "GET", .url = url, .endpoint = ep};
        struct err e = {0};

        int x = http_send(client, &q, on_fetched, &r, NULL, &e);
        cr_assert_eq(x, 0, "%s", err_text(&e));
        cr_assert_eq(r.calls, 0, "called from within http_send");
        run_until(&r.calls, 1);
        return r;
}

struct fetched fetch_from(struct test_server *s, const char *path)
{
        char url[256];
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};

        snprintf(url, sizeof url, "%s%s", test_server_url(s), path);
        return fetch(url, &ep);
}

void assert_no_answer(const struct fetched *r, enum err_cause cause, const char *text)
{
        cr_assert_eq(r->calls, 1);
        cr_assert_eq(r->status, 0);
        cr_assert_lt(r->error.code, 0);
        cr_assert_eq(r->error.cause, cause, "%s: %s", err_cause_name(r->error.cause),
                err_text(&r->error));
        cr_assert_not_null(strstr(err_text(&r->error), text), "%s", err_text(&r->error));
        cr_assert_null(strstr(err_text(&r->error), "query"));
        cr_assert_null(strchr(err_text(&r->error), '\n'));
}
