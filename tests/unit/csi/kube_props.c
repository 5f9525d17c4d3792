#include "kube_props.h"

#include <criterion/criterion.h>
#include <fcntl.h>

struct loop *loop;
struct test_server *server;
struct kube *kube;
static struct http_client *http;
static char token_file[] = "/tmp/akvfs-token-XXXXXX";

void kube_write_token(const char *token)
{
        int fd = open(token_file, O_WRONLY | O_TRUNC | O_CLOEXEC);

        cr_assert_eq(write_all(fd, token, strlen(token)), 0);
        close(fd);
}

void kube_remove_token(void)
{
        unlink(token_file);
}

void kube_set_up(void)
{
        test_init();
        cr_assert_eq(loop_new(&loop), 0);
        cr_assert_eq(http_client_new(loop, &http), 0);
        server = test_server_new(NULL);
        close(mkstemp(token_file));
        kube_write_token("first\n");
        const struct kube_config cfg = {
                .server = test_server_url(server),
                .token_file = token_file,
                .ca_file = test_server_ca_file(server),
        };
        cr_assert_eq(kube_new(http, &cfg, &kube), 0);
}

void kube_tear_down(void)
{
        kube_free(kube);
        http_client_free(http);
        loop_free(loop);
        test_server_free(server);
        kube_remove_token();
}
