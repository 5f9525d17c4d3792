/* The pages of a driver that has done a little of everything, for tests: prints its port, serves
 * until its input ends. A line makes it not ready, the next one ready again. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "csi/driver_web.h"

struct sample {
        struct loop *loop;
        struct driver_metrics *metrics;
        bool not_ready;
};

static void on_input(void *userdata, int fd, uint32_t revents)
{
        struct sample *s = userdata;
        char line[16];

        if (read(fd, line, sizeof line) > 0)
                s->not_ready = !s->not_ready;
        else
                loop_exit(s->loop, 0);
}

static bool is_ready(void *userdata)
{
        return !((struct sample *)userdata)->not_ready;
}

static void collect(void *userdata)
{
        struct sample *s = userdata;

        driver_metrics_levels(s->metrics,
                &(struct driver_levels){.volumes = 30, .vault_requests = 1234567890123});
}

static void count(struct driver_metrics *d)
{
        for (unsigned i = 0; i < 100; i++) {
                driver_metrics_published(d, i % 10 ? RPC_OK : RPC_UNAVAILABLE);
                driver_metrics_mounted(d, i % 10 ? RPC_OK : RPC_UNAVAILABLE, i * i * 1000);
        }
        driver_metrics_unpublished(d, RPC_OK);
        driver_metrics_unpublished(d, RPC_INTERNAL);
        driver_metrics_refreshed(d, true, RPC_OK);
        driver_metrics_refreshed(d, false, RPC_NOT_FOUND);
        driver_metrics_republish_failed(d, RPC_INVALID_ARGUMENT);
        driver_metrics_event(d, "a \"quoted\\ reason\n\xc3\xa4");
}

int main(void)
{
        _cleanup_(driver_metrics_freep) struct driver_metrics *d = NULL;
        _cleanup_(loop_freep) struct loop *loop = NULL;
        _cleanup_(driver_web_freep) struct driver_web *web = NULL;
        struct sockaddr_in a = {0};
        socklen_t len = sizeof a;
        struct loop_io *input;
        int fd;

        if (driver_metrics_new(&d) < 0 || loop_new(&loop) < 0 ||
                web_listen("127.0.0.1:0", &fd, NULL, NULL) < 0 ||
                getsockname(fd, (struct sockaddr *)&a, &len) < 0)
                return 1;
        struct sample s = {.loop = loop, .metrics = d};
        const struct driver_web_config cfg = {.loop = loop,
                .listen_fd = fd,
                .metrics = d,
                .is_ready = is_ready,
                .collect = collect,
                .userdata = &s};
        if (driver_web_new(&cfg, &web, NULL) < 0 ||
                loop_io_new(loop, 0, EPOLLIN, on_input, &s, &input) < 0)
                return 1;
        count(d);
        printf("%u\n", ntohs(a.sin_port));
        fflush(stdout);
        int r = loop_run(loop);
        loop_io_free(input);
        return r < 0 ? 1 : 0;
}
