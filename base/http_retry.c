/* Requests that are tried again: a call that makes one transfer after the other. */
#include <assert.h>
#include <limits.h>

#include "base/http_impl.h"
#include "base/wipe.h"

#define RETRY_AFTER_MAX 86400 /* nobody means more than a day */

const struct http_retry http_retry_default = {.tries = 4, .base_ms = 800, .cap_ms = 60000};

struct retrying {
        struct http_call call; /* first: a call is cast to it */
        struct http_call *attempt;
        struct loop_timer *timer;
        struct http_retry policy;
        unsigned tried;

        struct http_request request; /* what follows holds it */
        struct http_endpoint endpoint;
        char *method, *url, *connect_to;
        char **headers;
        void *body;

        http_done_fn done;
        void *userdata;
};

bool http_retry_status(int status)
{
        switch (status) {
        case 408:
        case 429:
        case 500:
        case 502:
        case 503:
        case 504:
                return true;
        default:
                return false;
        }
}

static void retrying_free(struct retrying *y)
{
        loop_timer_free(y->timer);
        free(y->method);
        free(y->connect_to);
        erase_and_free(y->url);
        for (char **h = y->headers; h && *h; h++)
                erase_and_free(*h);
        free(y->headers);
        erase_and_free(y->body);
        free(y);
}

static void retrying_destroy(struct http_call *call)
{
        struct retrying *y = (struct retrying *)call;

        http_cancel(y->attempt);
        http_call_unlink(call);
        retrying_free(y);
}

static void retrying_finish(struct retrying *y, struct http_response *resp)
{
        if (resp->status == 0 && y->tried > 1) {
                char *text = NULL;
                if (xasprintf(&text, "%s (tried %u times)", err_text(&resp->error), y->tried) ==
                        0) {
                        free(resp->error.text);
                        resp->error.text = text;
                }
        }
        resp->tries = y->tried;
        http_call_unlink(&y->call);
        y->done(y->userdata, resp);
        retrying_free(y);
}

/* (2^n - 1) * base with jitter after the n-th try, in microseconds. */
static usec_t pause_after(const struct http_retry *policy, unsigned n)
{
        uint32_t random = 0;
        uint64_t ms = n < 20 ? (((uint64_t)1 << n) - 1) * policy->base_ms : policy->cap_ms;
        usec_t usec = MIN(ms, (uint64_t)policy->cap_ms) * USEC_PER_MSEC;

        (void)random_bytes(&random, sizeof random); /* without it: the shortest pause */
        usec = usec * 4 / 5 + usec / 2 * random / UINT32_MAX;
        return MIN(usec, policy->cap_ms * USEC_PER_MSEC);
}

static bool wants_another(const struct retrying *y, const struct http_response *resp)
{
        unsigned tries = y->policy.tries;

        if (resp->status == 0 && y->policy.transport_tries)
                tries = y->policy.transport_tries;
        if (y->tried >= tries)
                return false;
        if (resp->status == 0)
                return ((const struct http_exchange *)resp->private)->transient;
        return y->policy.retry_status ? y->policy.retry_status(resp->status)
                                      : http_retry_status(resp->status);
}

static void on_attempt(void *userdata, struct http_response *resp)
{
        struct retrying *y = userdata;
        struct loop *l = http_client_loop(y->call.client);

        y->attempt = NULL;
        y->tried++;
        if (wants_another(y, resp)) {
                usec_t pause = pause_after(&y->policy, y->tried);
                usec_t asked = http_retry_after(resp, loop_wall(l)) * USEC_PER_SEC;
                /* One who asks for more than the cap is not bothered again before: the caller gets
                 * the answer and decides. */
                if (asked <= y->policy.cap_ms * USEC_PER_MSEC &&
                        loop_timer_in(y->timer, asked ? asked : pause) == 0)
                        return;
        }
        retrying_finish(y, resp);
}

static void on_pause_over(void *userdata)
{
        struct retrying *y = userdata;
        struct http_exchange nothing = {0};
        struct http_response resp = {.body = "", .peer = "", .private = &nothing};

        int r = http_send(y->call.client, &y->request, on_attempt, y, &y->attempt, &resp.error);
        if (r < 0) {
                retrying_finish(y, &resp);
                err_done(&resp.error);
        }
}

static int copy_request(struct retrying *y, const struct http_request *req)
{
        size_t n = 0;

        y->method = strdup(req->method);
        y->url = strdup(req->url);
        if (!y->method || !y->url)
                return -ENOMEM;
        while (req->headers && req->headers[n])
                n++;
        y->headers = calloc(n + 1, sizeof *y->headers);
        if (!y->headers)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (!(y->headers[i] = strdup(req->headers[i])))
                        return -ENOMEM;
        if (req->body) {
                y->body = malloc(MAX(req->body_len, (size_t)1));
                if (!y->body)
                        return -ENOMEM;
                memcpy(y->body, req->body, req->body_len);
        }
        if (req->endpoint)
                y->endpoint = *req->endpoint;
        /* made for this request, unlike the endpoint's other strings */
        if (y->endpoint.connect_to) {
                y->connect_to = strdup(y->endpoint.connect_to);
                if (!y->connect_to)
                        return -ENOMEM;
                y->endpoint.connect_to = y->connect_to;
        }
        y->request = (struct http_request){
                .method = y->method,
                .url = y->url,
                .headers = (const char *const *)y->headers,
                .body = y->body,
                .body_len = req->body_len,
                .endpoint = &y->endpoint,
        };
        return 0;
}

int http_send_retrying(struct http_client *c, const struct http_request *req,
        const struct http_retry *policy, http_done_fn done, void *userdata, struct http_call **ret,
        struct err *e)
{
        assert(!req->on_data);
        struct retrying *y = calloc(1, sizeof *y);
        if (!y)
                return err_set_cause(e, ERR_LOCAL, -ENOMEM, "not enough memory for a request");
        y->call.destroy = retrying_destroy;
        y->policy = policy ? *policy : http_retry_default;
        y->done = done;
        y->userdata = userdata;

        int r = copy_request(y, req);
        if (r == 0)
                r = loop_timer_new(http_client_loop(c), on_pause_over, y, &y->timer);
        if (r < 0)
                err_set_cause(e, ERR_LOCAL, r, "not enough memory for a request");
        else
                r = http_send(c, &y->request, on_attempt, y, &y->attempt, e);
        if (r < 0) {
                retrying_free(y);
                return r;
        }
        http_call_link(c, &y->call);
        if (ret)
                *ret = &y->call;
        return 0;
}

unsigned http_retry_after(const struct http_response *resp, int64_t now)
{
        const char *s = http_header(resp, "Retry-After");
        uint64_t v;

        if (isempty(s))
                return 0;
        int r = parse_u64(s, RETRY_AFTER_MAX, &v);
        if (r == 0)
                return (unsigned)v;
        if (r == -ERANGE)
                return RETRY_AFTER_MAX;
        time_t when = curl_getdate(s, NULL);
        if (when < 0 || when <= now)
                return 0;
        return (unsigned)MIN(when - now, (int64_t)RETRY_AFTER_MAX);
}
