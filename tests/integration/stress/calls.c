/* Many calls of a gRPC method at once, as many kubelet threads would make them.
 *
 *     stress-calls [--connections N] [--at-once N] [--deadline S] SOCKET METHOD <BODIES
 *
 * Standard input has the requests: four bytes of length, little-endian, and so many of a message,
 * each. They are spread over N connections (1), each connection made before the first call; all of
 * them are under way at once, or --at-once of them. Prints one JSON line: how many, how many
 * answers of which code, the first text of an answer that was not OK, all of the time and that of
 * the slowest and of the middle call. Exit status 1 when one was not answered OK. A client in C,
 * for one in Python takes longer for a call than the driver does.
 */
#include <getopt.h>
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <time.h>

#include "base/util.h"

#define BODY_MAX ((size_t)4 << 20)
#define CODES 17

struct call {
        grpc_slice body;
        grpc_call *call;
        grpc_metadata_array initial, trailing;
        grpc_byte_buffer *request, *answer;
        grpc_slice text;
        grpc_status_code code;
        double began, took;
};

struct client {
        grpc_completion_queue *queue;
        grpc_channel **channels;
        unsigned n_channels;
        struct call *calls;
        size_t n, started;
        grpc_slice method;
        unsigned deadline;
};

static double now(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void read_bodies(struct client *c)
{
        unsigned char length[4];
        size_t room = 0;

        while (fread(length, 1, sizeof length, stdin) == sizeof length) {
                size_t n = length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 |
                           (size_t)length[3] << 24;
                if (n > BODY_MAX)
                        exit(2);
                if (c->n == room) {
                        room = MAX(2 * room, (size_t)1024);
                        c->calls = reallocarray(c->calls, room, sizeof *c->calls);
                        if (!c->calls)
                                exit(2);
                }
                c->calls[c->n] = (struct call){.body = grpc_slice_malloc(n)};
                if (fread(GRPC_SLICE_START_PTR(c->calls[c->n].body), 1, n, stdin) != n)
                        exit(2);
                c->n++;
        }
}

static grpc_channel *connect_to(struct client *c, const char *address)
{
        grpc_arg arg = {.type = GRPC_ARG_INTEGER,
                .key = (char[]){GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL},
                .value.integer = 1};
        const grpc_channel_args args = {.num_args = 1, .args = &arg};
        grpc_channel_credentials *plain = grpc_insecure_credentials_create();
        grpc_channel *channel = grpc_channel_create(address, plain, &args);

        grpc_channel_credentials_release(plain);
        for (;;) {
                grpc_connectivity_state state = grpc_channel_check_connectivity_state(channel, 1);
                if (state == GRPC_CHANNEL_READY)
                        return channel;
                grpc_channel_watch_connectivity_state(channel, state,
                        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                gpr_time_from_seconds(10, GPR_TIMESPAN)),
                        c->queue, channel);
                if (!grpc_completion_queue_next(c->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL)
                                .success) {
                        (void)fprintf(stderr, "%s does not answer\n", address);
                        exit(1);
                }
        }
}

static void start(struct client *c)
{
        struct call *it = &c->calls[c->started];

        grpc_metadata_array_init(&it->initial);
        grpc_metadata_array_init(&it->trailing);
        it->text = grpc_empty_slice();
        it->request = grpc_raw_byte_buffer_create(&it->body, 1);
        it->began = now();
        it->call = grpc_channel_create_call(c->channels[c->started % c->n_channels], NULL, 0,
                c->queue, c->method, NULL,
                gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_seconds(c->deadline, GPR_TIMESPAN)),
                NULL);
        const grpc_op ops[] = {
                {.op = GRPC_OP_SEND_INITIAL_METADATA},
                {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = it->request},
                {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
                {.op = GRPC_OP_RECV_INITIAL_METADATA,
                        .data.recv_initial_metadata.recv_initial_metadata = &it->initial},
                {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &it->answer},
                {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                        .data.recv_status_on_client = {.trailing_metadata = &it->trailing,
                                .status = &it->code,
                                .status_details = &it->text}},
        };
        if (grpc_call_start_batch(it->call, ops, ELEMENTSOF(ops), it, NULL) != GRPC_CALL_OK)
                exit(2);
        c->started++;
}

static void finish(struct client *c)
{
        grpc_event e =
                grpc_completion_queue_next(c->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        struct call *it = e.tag;

        it->took = now() - it->began;
        grpc_metadata_array_destroy(&it->initial);
        grpc_metadata_array_destroy(&it->trailing);
        grpc_byte_buffer_destroy(it->request);
        if (it->answer)
                grpc_byte_buffer_destroy(it->answer);
        grpc_call_unref(it->call);
        grpc_slice_unref(it->body);
}

static int by_time(const void *a, const void *b)
{
        const struct call *x = a, *y = b;

        return (x->took > y->took) - (x->took < y->took);
}

static void print_text(const char *text)
{
        for (; *text; text++)
                if (*text == '"' || *text == '\\' || (unsigned char)*text < ' ')
                        putchar('\'');
                else
                        putchar(*text);
}

static bool report(struct client *c, double seconds)
{
        size_t codes[CODES] = {0};
        const struct call *bad = NULL;

        for (size_t i = 0; i < c->n; i++) {
                codes[MIN((size_t)c->calls[i].code, (size_t)CODES - 1)]++;
                if (c->calls[i].code != GRPC_STATUS_OK && !bad)
                        bad = &c->calls[i];
        }
        printf("{\"calls\":%zu,\"ok\":%zu,\"codes\":{", c->n, codes[0]);
        for (size_t i = 0, any = 0; i < CODES; i++)
                if (codes[i] > 0)
                        printf("%s\"%zu\":%zu", any++ ? "," : "", i, codes[i]);
        printf("},\"text\":\"");
        if (bad) {
                char *text = grpc_slice_to_c_string(bad->text);
                print_text(text);
                gpr_free(text);
        }
        for (size_t i = 0; i < c->n; i++)
                grpc_slice_unref(c->calls[i].text);
        qsort(c->calls, c->n, sizeof *c->calls, by_time);
        printf("\",\"seconds\":%.4f,\"slowest_ms\":%.2f,\"middle_ms\":%.2f}\n", seconds,
                c->calls[c->n - 1].took, c->calls[c->n / 2].took);
        return !bad;
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                {"connections", required_argument, NULL, 'c'},
                {"at-once", required_argument, NULL, 'a'},
                {"deadline", required_argument, NULL, 'd'},
                {0},
        };
        struct client c = {.n_channels = 1, .deadline = 120};
        size_t at_once = 0;
        int o;

        while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (o == 'c')
                        c.n_channels = (unsigned)strtoul(optarg, NULL, 10);
                else if (o == 'a')
                        at_once = strtoul(optarg, NULL, 10);
                else if (o == 'd')
                        c.deadline = (unsigned)strtoul(optarg, NULL, 10);
                else
                        return 2;
        }
        if (optind + 2 != argc || c.n_channels == 0)
                return 2;
        read_bodies(&c);
        if (c.n == 0)
                return 2;
        if (at_once == 0 || at_once > c.n)
                at_once = c.n;

        _cleanup_free_ char *address = NULL;
        if (xasprintf(&address, "unix:%s", argv[optind]) < 0)
                return 2;
        grpc_init();
        c.method = grpc_slice_from_static_string(argv[optind + 1]);
        c.queue = grpc_completion_queue_create_for_next(NULL);
        c.channels = calloc(c.n_channels, sizeof(grpc_channel *));
        for (unsigned i = 0; c.channels && i < c.n_channels; i++)
                c.channels[i] = connect_to(&c, address);

        double began = now();
        while (c.started < at_once)
                start(&c);
        for (size_t ended = 0; ended < c.n; ended++) {
                finish(&c);
                if (c.started < c.n)
                        start(&c);
        }
        bool ok = report(&c, (now() - began) / 1e3);

        for (unsigned i = 0; i < c.n_channels; i++)
                grpc_channel_destroy(c.channels[i]);
        grpc_completion_queue_shutdown(c.queue);
        while (grpc_completion_queue_next(c.queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
                GRPC_QUEUE_SHUTDOWN)
                ;
        grpc_completion_queue_destroy(c.queue);
        grpc_shutdown();
        free(c.channels);
        free(c.calls);
        return !ok;
}
