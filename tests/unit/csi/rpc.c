#include "csi/rpc.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <poll.h>

#include "csi/proto/csi.pb-c.h"
#include "grpc_client.h"

struct props {
        struct loop *loop;
        struct rpc_server *server;
        struct client *client;
        char *path;
        struct rpc_call *held[8];
        size_t n_held;
        size_t cancelled;
        enum rpc_code ended; /* of the last call to Echo */
        size_t n_ended;
};

/* Answers what it was asked for, as a PluginInfo. */
static void on_echo(void *userdata, struct rpc_call *call)
{
        Csi__V1__NodeUnpublishVolumeRequest *m =
                rpc_call_message(call, &csi__v1__node_unpublish_volume_request__descriptor);
        Csi__V1__GetPluginInfoResponse info = CSI__V1__GET_PLUGIN_INFO_RESPONSE__INIT;

        if (!m)
                return;
        _cleanup_free_ char *name = calloc(1, m->volume_id.len + 1); /* bytes have no NUL behind */
        cr_assert_not_null(name);
        if (m->volume_id.len > 0)
                memcpy(name, m->volume_id.data, m->volume_id.len);
        info.name = name;
        info.vendor_version = (char[]){"1"};
        rpc_reply(call, &info.base);
        rpc_message_free(m);
}

static void on_refuse(void *userdata, struct rpc_call *call)
{
        rpc_fail(call, RPC_FAILED_PRECONDITION, "not like this");
}

static void count_cancelled(void *userdata, struct rpc_call *call)
{
        struct props *p = userdata;

        p->cancelled++;
        cr_expect(rpc_call_cancelled(call));
}

static void on_hold(void *userdata, struct rpc_call *call)
{
        struct props *p = userdata;

        cr_assert_lt(p->n_held, ELEMENTSOF(p->held));
        p->held[p->n_held++] = call;
        rpc_call_on_cancel(call, count_cancelled, p);
}

TestSuite(rpc, .timeout = 60);

static void on_ended(void *userdata, enum rpc_code code)
{
        struct props *p = userdata;

        p->ended = code;
        p->n_ended++;
}

static const struct rpc_method methods[] = {
        {.path = "/test/Echo", .fn = on_echo, .ended = on_ended},
        {.path = "/test/Refuse", .fn = on_refuse},
        {.path = "/test/Hold", .fn = on_hold},
};

static struct props *open_props(void)
{
        struct props *p = calloc(1, sizeof *p);

        cr_assert_eq(loop_new(&p->loop), 0);
        cr_assert_eq(rpc_server_new(p->loop, methods, ELEMENTSOF(methods), p, &p->server, NULL), 0);
        cr_assert_eq(rpc_server_listen(p->server, listening_socket(&p->path), NULL), 0);
        p->client = client_new(p->loop, p->path);
        return p;
}

static void close_props(struct props *p)
{
        client_free(p->client);
        rpc_server_free(p->server);
        for (size_t i = 0; i < p->n_held; i++)
                rpc_fail(p->held[i], RPC_UNAVAILABLE, "too late for anybody");
        loop_free(p->loop);
        remove_socket(p->path);
        free(p->path);
        free(p);
}

static void wait_held(struct props *p, size_t n)
{
        while (p->n_held < n)
                cr_assert_geq(loop_turn(p->loop, USEC_INFINITY), 0);
}

Test(rpc, a_message_goes_in_and_comes_back)
{
        struct props *p = open_props();
        /* field 1, "abc"; field 9, unknown, skipped */
        static const uint8_t body[] = {0x0a, 3, 'a', 'b', 'c', 0x48, 7};
        _cleanup_answer_ struct answer a = client_ask(p->client, "/test/Echo", body, sizeof body);

        cr_expect_eq(a.code, RPC_OK, "%s", a.text);
        cr_assert_eq(a.length, 8);
        cr_expect_arr_eq(a.body,
                "\x0a\x03"
                "abc\x12\x01"
                "1",
                8);
        close_props(p);
}

Test(rpc, a_status_has_its_text)
{
        struct props *p = open_props();
        _cleanup_answer_ struct answer a = client_ask(p->client, "/test/Refuse", "", 0);

        cr_expect_eq(a.code, RPC_FAILED_PRECONDITION);
        cr_expect_str_eq(a.text, "not like this");
        close_props(p);
}

Test(rpc, an_unknown_method_is_unimplemented)
{
        struct props *p = open_props();
        _cleanup_answer_ struct answer a = client_ask(p->client, "/test/Ech", "", 0);

        cr_expect_eq(a.code, RPC_UNIMPLEMENTED);
        close_props(p);
}

Test(rpc, bytes_that_are_no_message_are_refused)
{
        struct props *p = open_props();
        _cleanup_answer_ struct answer a = client_ask(p->client, "/test/Echo", "\x0a\x7f", 2);

        cr_expect_eq(a.code, RPC_INVALID_ARGUMENT);
        close_props(p);
}

Test(rpc, a_message_beyond_the_limit_is_refused_and_one_within_is_not)
{
        struct props *p = open_props();
        char *big = calloc(1, RPC_MESSAGE_MAX + 1);
        /* a field of the right length: unknown field 15, length-delimited */
        size_t within = RPC_MESSAGE_MAX - 5;

        memcpy(big,
                (uint8_t[]){0x7a, (within & 0x7f) | 0x80, (within >> 7 & 0x7f) | 0x80,
                        (within >> 14 & 0x7f) | 0x80, (uint8_t)(within >> 21)},
                5);
        _cleanup_answer_ struct answer a =
                client_ask(p->client, "/test/Echo", big, RPC_MESSAGE_MAX);
        cr_expect_eq(a.code, RPC_OK, "%s", a.text);
        _cleanup_answer_ struct answer b =
                client_ask(p->client, "/test/Echo", big, RPC_MESSAGE_MAX + 1);
        cr_expect_eq(b.code, RPC_RESOURCE_EXHAUSTED);
        free(big);
        close_props(p);
}

Test(rpc, each_end_of_a_call_is_told_once)
{
        struct props *p = open_props();

        _cleanup_answer_ struct answer good = client_ask(p->client, "/test/Echo", "", 0);
        cr_expect_eq(p->n_ended, 1);
        cr_expect_eq(p->ended, RPC_OK);
        /* before its handler has a word */
        _cleanup_answer_ struct answer bad = client_ask(p->client, "/test/Echo", "\x0a\x7f", 2);
        cr_expect_eq(p->n_ended, 2);
        cr_expect_eq(p->ended, RPC_INVALID_ARGUMENT);
        _cleanup_answer_ struct answer other = client_ask(p->client, "/test/Refuse", "", 0);
        cr_expect_eq(p->n_ended, 2);
        close_props(p);
}

Test(rpc, a_caller_that_gives_up_is_told_to_the_handler)
{
        struct props *p = open_props();
        struct client_call *call = client_start(p->client, "/test/Hold", "", 0, USEC_INFINITY);

        wait_held(p, 1);
        cr_expect_eq(rpc_call_deadline(p->held[0]), USEC_INFINITY);
        client_cancel(call);
        _cleanup_answer_ struct answer a = client_finish(call);
        cr_expect_eq(a.code, GRPC_STATUS_CANCELLED);
        while (p->cancelled == 0)
                cr_assert_geq(loop_turn(p->loop, USEC_INFINITY), 0);
        close_props(p);
}

Test(rpc, a_deadline_is_known)
{
        struct props *p = open_props();
        usec_t before = loop_now(p->loop);
        struct client_call *call = client_start(p->client, "/test/Hold", "", 0, 50 * USEC_PER_SEC);

        wait_held(p, 1);
        cr_expect_gt(rpc_call_deadline(p->held[0]), before);
        cr_expect_lt(rpc_call_deadline(p->held[0]), loop_now(p->loop) + 51 * USEC_PER_SEC);
        client_cancel(call);
        _cleanup_answer_ struct answer a = client_finish(call);
        cr_expect_eq(a.code, GRPC_STATUS_CANCELLED);
        close_props(p);
}

/* Whether the call has come as far as to the handler or not. */
Test(rpc, a_deadline_is_kept)
{
        struct props *p = open_props();
        _cleanup_answer_ struct answer a =
                client_finish(client_start(p->client, "/test/Hold", "", 0, 200 * USEC_PER_MSEC));

        cr_expect_eq(a.code, RPC_DEADLINE_EXCEEDED);
        close_props(p);
}

Test(rpc, calls_are_answered_in_any_order)
{
        struct props *p = open_props();
        struct client_call *calls[4];

        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = client_start(p->client, "/test/Hold", "", 0, USEC_INFINITY);
        wait_held(p, ELEMENTSOF(calls));
        while (p->n_held > 0)
                rpc_fail(p->held[--p->n_held], RPC_ABORTED, "again");
        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                _cleanup_answer_ struct answer a = client_finish(calls[i]);
                cr_expect_eq(a.code, RPC_ABORTED);
        }
        close_props(p);
}

Test(rpc, the_end_of_the_server_cancels_what_is_held)
{
        struct props *p = open_props();
        struct client_call *call = client_start(p->client, "/test/Hold", "", 0, USEC_INFINITY);

        wait_held(p, 1);
        rpc_server_free(TAKE_PTR(p->server));
        cr_expect_eq(p->cancelled, 1);
        _cleanup_answer_ struct answer a = client_finish(call);
        cr_expect_neq(a.code, RPC_OK);
        close_props(p);
}

static size_t count_descriptors(void)
{
        size_t n = 0;

        DIR *dir = opendir("/proc/self/fd");
        cr_assert_not_null(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

Test(rpc, no_descriptor_stays)
{
        /* libgrpc keeps a few for itself from its first start on. */
        close_props(open_props());
        size_t before = count_descriptors();
        for (int i = 0; i < 10; i++)
                close_props(open_props());
        /* its threads close what they had in their own time */
        while (count_descriptors() > before)
                (void)poll(NULL, 0, 1);
}

Test(rpc, codes_are_named_as_clients_print_them)
{
        cr_expect_str_eq(rpc_code_name(RPC_INVALID_ARGUMENT), "InvalidArgument");
        cr_expect_str_eq(rpc_code_name(RPC_UNAVAILABLE), "Unavailable");
}
