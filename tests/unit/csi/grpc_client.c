#include "grpc_client.h"

#include <criterion/criterion.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <sys/socket.h>
#include <sys/un.h>

struct client {
        struct loop *loop;
        grpc_channel *channel;
        grpc_completion_queue *queue;
};

struct client_call {
        bool over;
        struct client *client;
        grpc_call *call;
        grpc_byte_buffer *request, *response;
        grpc_metadata_array initial, trailing;
        grpc_status_code code;
        grpc_slice text;
};

void answer_done(struct answer *a)
{
        free(a->text);
        free(a->body);
}

struct client *client_new(struct loop *server, const char *socket_path)
{
        struct client *c = calloc(1, sizeof *c);
        _cleanup_free_ char *target = NULL;

        grpc_init();
        cr_assert_eq(xasprintf(&target, "unix:%s", socket_path), 0);
        grpc_channel_credentials *open = grpc_insecure_credentials_create();
        c->loop = server;
        c->channel = grpc_channel_create(target, open, NULL);
        grpc_channel_credentials_release(open);
        c->queue = grpc_completion_queue_create_for_next(NULL);
        return c;
}

void client_free(struct client *c)
{
        grpc_channel_destroy(c->channel);
        grpc_completion_queue_shutdown(c->queue);
        while (grpc_completion_queue_next(c->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL)
                        .type != GRPC_QUEUE_SHUTDOWN)
                ;
        grpc_completion_queue_destroy(c->queue);
        grpc_shutdown();
        free(c);
}

struct client_call *client_start(
        struct client *c, const char *method, const void *body, size_t len, usec_t timeout)
{
        struct client_call *call = calloc(1, sizeof *call);
        grpc_slice name = grpc_slice_from_copied_string(method);
        gpr_timespec deadline =
                timeout == USEC_INFINITY
                        ? gpr_inf_future(GPR_CLOCK_REALTIME)
                        : gpr_time_add(gpr_now(GPR_CLOCK_REALTIME),
                                  gpr_time_from_micros((int64_t)timeout, GPR_TIMESPAN));

        call->client = c;
        call->call = grpc_channel_create_call(
                c->channel, NULL, GRPC_PROPAGATE_DEFAULTS, c->queue, name, NULL, deadline, NULL);
        grpc_slice_unref(name);
        grpc_metadata_array_init(&call->initial);
        grpc_metadata_array_init(&call->trailing);
        grpc_slice bytes = grpc_slice_from_copied_buffer(body, len);
        call->request = grpc_raw_byte_buffer_create(&bytes, 1);
        grpc_slice_unref(bytes);
        const grpc_op ops[] = {
                {.op = GRPC_OP_SEND_INITIAL_METADATA},
                {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = call->request},
                {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
                {.op = GRPC_OP_RECV_INITIAL_METADATA,
                        .data.recv_initial_metadata.recv_initial_metadata = &call->initial},
                {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->response},
                {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                        .data.recv_status_on_client = {.trailing_metadata = &call->trailing,
                                .status = &call->code,
                                .status_details = &call->text}},
        };
        cr_assert_eq(
                grpc_call_start_batch(call->call, ops, ELEMENTSOF(ops), call, NULL), GRPC_CALL_OK);
        return call;
}

void client_cancel(struct client_call *call)
{
        cr_assert_eq(grpc_call_cancel(call->call, NULL), GRPC_CALL_OK);
}

static void take_body(struct answer *a, grpc_byte_buffer *b)
{
        grpc_byte_buffer_reader reader;

        cr_assert(grpc_byte_buffer_reader_init(&reader, b));
        grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
        a->length = GRPC_SLICE_LENGTH(all);
        a->body = malloc(a->length + 1);
        memcpy(a->body, GRPC_SLICE_START_PTR(all), a->length);
        a->body[a->length] = '\0';
        grpc_slice_unref(all);
        grpc_byte_buffer_reader_destroy(&reader);
}

struct answer client_finish(struct client_call *call)
{
        struct client *c = call->client;
        struct answer a = {0};

        for (;;) {
                grpc_event e = grpc_completion_queue_next(c->queue,
                        gpr_time_add(
                                gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_millis(1, GPR_TIMESPAN)),
                        NULL);
                if (e.type == GRPC_OP_COMPLETE)
                        ((struct client_call *)e.tag)->over = true; /* perhaps another's */
                if (call->over)
                        break;
                cr_assert_geq(loop_turn(c->loop, USEC_PER_MSEC), 0);
        }
        char *text = grpc_slice_to_c_string(call->text);
        a.code = (int)call->code;
        a.text = strdup(text);
        gpr_free(text);
        if (call->response)
                take_body(&a, call->response);
        grpc_byte_buffer_destroy(call->request);
        grpc_byte_buffer_destroy(call->response);
        grpc_metadata_array_destroy(&call->initial);
        grpc_metadata_array_destroy(&call->trailing);
        grpc_slice_unref(call->text);
        grpc_call_unref(call->call);
        free(call);
        return a;
}

struct answer client_ask(struct client *c, const char *method, const void *body, size_t len)
{
        return client_finish(client_start(c, method, body, len, USEC_INFINITY));
}

int listening_socket(char **ret_path)
{
        char folder[] = "/tmp/akvfs-csi-XXXXXX";
        struct sockaddr_un at = {.sun_family = AF_UNIX};

        cr_assert_not_null(mkdtemp(folder));
        cr_assert_eq(xasprintf(ret_path, "%s/s", folder), 0);
        memcpy(at.sun_path, *ret_path, strlen(*ret_path) + 1);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        cr_assert_geq(fd, 0);
        cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
        cr_assert_eq(listen(fd, 16), 0);
        return fd;
}

void remove_socket(const char *path)
{
        _cleanup_free_ char *folder = strdup(path);

        unlink(path);
        *strrchr(folder, '/') = '\0';
        rmdir(folder);
}

void rpc_pair_open(struct rpc_pair *p, const struct rpc_method *methods, size_t n, void *userdata)
{
        cr_assert_eq(loop_new(&p->loop), 0);
        cr_assert_eq(rpc_server_new(p->loop, methods, n, userdata, &p->server, NULL), 0);
        cr_assert_eq(rpc_server_listen(p->server, listening_socket(&p->path), NULL), 0);
        p->client = client_new(p->loop, p->path);
}

void rpc_pair_close(struct rpc_pair *p)
{
        client_free(p->client);
        rpc_server_free(p->server);
        loop_free(p->loop);
        remove_socket(p->path);
        free(p->path);
}
