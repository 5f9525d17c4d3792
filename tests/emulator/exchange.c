#include "tests/emulator/exchange.h"

#include <poll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/wipe.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/faults.h"
#include "tests/emulator/reqlog.h"

#define HANG_LOOK_MS 100 /* how often a hang looks whether its fault was taken away */
#define SLOW_PIECES 20   /* a slow body goes out in this many pieces a second at most */

/* Waits; false when the emulator stops or the client has gone. */
static bool wait_ms(const struct request *r, int64_t ms)
{
        int64_t end = monotonic_ms() + ms;

        for (;;) {
                int64_t left = end - monotonic_ms();
                if (left <= 0)
                        return true;
                struct pollfd fds[] = {
                        {.fd = r->emu->stop_fd, .events = POLLIN},
                        {.fd = r->socket, .events = POLLRDHUP},
                };
                int n = poll(fds, ELEMENTSOF(fds), (int)MIN(left, (int64_t)60000));
                if (n < 0 && errno != EINTR)
                        return false;
                if (n > 0)
                        return false;
        }
}

static enum MHD_Result hang_up(const struct request *r, const struct fault_plan *plan)
{
        if (plan->reset) {
                const struct linger now = {.l_onoff = 1, .l_linger = 0};
                (void)setsockopt(r->socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        } else
                (void)shutdown(r->socket, SHUT_RDWR); /* no TLS goodbye: the peer sees a cut */
        return MHD_NO;
}

/* --- bodies that do not come as they should --- */

struct body {
        struct request *request; /* borrowed: MHD asks while the request lives */
        char *data;
        size_t len, cut;
        int64_t bytes_per_second;
};

static ssize_t read_body(void *cls, uint64_t at, char *to, size_t max)
{
        struct body *b = cls;

        if (at >= b->cut)
                return MHD_CONTENT_READER_END_WITH_ERROR;
        size_t n = MIN(max, b->cut - (size_t)at);
        if (b->bytes_per_second > 0) {
                int64_t piece = MAX(b->bytes_per_second / SLOW_PIECES, (int64_t)1);
                n = MIN(n, (size_t)piece);
                if (!wait_ms(b->request, (int64_t)n * 1000 / b->bytes_per_second))
                        return MHD_CONTENT_READER_END_WITH_ERROR;
        }
        memcpy(to, b->data + at, n);
        return (ssize_t)n;
}

static void free_body(void *cls)
{
        struct body *b = cls;

        erase_and_free(b->data);
        free(b);
}

static struct MHD_Response *make_response(
        struct request *r, struct answer *a, const struct fault_plan *plan)
{
        bool odd = plan && (plan->cut_after >= 0 || plan->bytes_per_second > 0);

        if (plan && plan->garbage && a->body_len > 0)
                (void)random_bytes(a->body, a->body_len);
        if (!odd || a->body_len == 0)
                return MHD_create_response_from_buffer_with_free_callback(
                        a->body_len, TAKE_PTR(a->body), erase_and_free);

        struct body *b = calloc(1, sizeof *b);
        if (!b)
                return NULL;
        *b = (struct body){
                .request = r,
                .len = a->body_len,
                .cut = plan->cut_after >= 0 ? MIN((size_t)plan->cut_after, a->body_len)
                                            : a->body_len,
                .data = TAKE_PTR(a->body),
                .bytes_per_second = plan->bytes_per_second,
        };
        struct MHD_Response *resp =
                MHD_create_response_from_callback(b->len, 4096, read_body, b, free_body);
        if (!resp)
                free_body(b);
        return resp;
}

static enum MHD_Result send_answer(
        struct request *r, struct answer *a, const struct fault_plan *plan)
{
        struct MHD_Response *resp = make_response(r, a, plan);

        if (!resp)
                return MHD_NO;
        for (size_t i = 0; i < a->n_headers; i++)
                (void)MHD_add_response_header(resp, a->headers[i].name, a->headers[i].value);
        if (plan && plan->close)
                (void)MHD_add_response_header(resp, "Connection", "close");
        enum MHD_Result result = MHD_queue_response(r->connection, a->status, resp);
        MHD_destroy_response(resp);
        return result;
}

/* --- handling --- */

static void handle(struct request *r, struct answer *a)
{
        switch (r->listener) {
        case LISTEN_HTTPS:
                handle_https(r, a);
                break;
        case LISTEN_IMDS:
                handle_imds(r, a);
                break;
        case LISTEN_ADMIN:
                handle_admin(r, a);
                break;
        }
}

static void fault_answer(struct request *r, const struct fault_plan *plan, struct answer *a)
{
        /* Not through the real handler, which would change the store. */
        fault_status_answer(r, plan->status, a);
        if (plan->body) {
                struct out o = {0};
                out_raw(&o, plan->body, plan->body_len);
                answer_out(a, plan->status, &o);
                answer_drop_header(a, "Content-Type");
                answer_header(a, "Content-Type", "%s",
                        plan->content_type ? plan->content_type
                                           : "application/json; charset=utf-8");
        }
}

enum MHD_Result exchange(struct request *r)
{
        _cleanup_(answer_done) struct answer a = {0};
        _cleanup_(fault_plan_done) struct fault_plan plan = {.cut_after = -1};
        struct emulator *emu = r->emu;
        bool admin = r->listener == LISTEN_ADMIN;

        if (!admin) {
                note_identity(r);
                r->log_id = reqlog_begin(emu->log, r);
        }
        bool faulty = !admin && faults_match(emu->faults, r, &plan);
        if (faulty) {
                bool alive = true;
                if (plan.latency_ms > 0)
                        alive = wait_ms(r, plan.latency_ms);
                while (alive && plan.hang && faults_exists(emu->faults, plan.id))
                        alive = wait_ms(r, HANG_LOOK_MS);
                if (!alive || plan.drop || plan.reset) {
                        reqlog_end(emu->log, r, 0, plan.id);
                        return hang_up(r, &plan);
                }
        }
        if (faulty && plan.status != 0)
                fault_answer(r, &plan, &a);
        else
                handle(r, &a);
        for (size_t i = 0; faulty && i < plan.n_headers; i++) {
                answer_drop_header(&a, plan.headers[i].name);
                answer_header(&a, plan.headers[i].name, "%s", plan.headers[i].value);
        }
        if (!admin)
                reqlog_end(emu->log, r, a.status, faulty ? plan.id : 0);
        return send_answer(r, &a, faulty ? &plan : NULL);
}
