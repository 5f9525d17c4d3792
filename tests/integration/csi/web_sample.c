/* csi/web with the pages of a driver that has done a little of everything, for tests: prints its
 * port, serves until its input ends. */
#include <stdio.h>
#include <sys/epoll.h>

#include "csi/driver_metrics.h"
#include "csi/web.h"

static int make_metrics(void *userdata, char **ret, size_t *ret_len)
{
        int r = driver_metrics_text(userdata, ret, ret_len);

        return r < 0 ? r : 200;
}

static void on_input(void *userdata, int fd, uint32_t revents)
{
        loop_exit(userdata, 0);
}

static void count(struct driver_metrics *d)
{
        for (unsigned i = 0; i < 100; i++)
                driver_metrics_published(d, i % 10 ? RPC_OK : RPC_UNAVAILABLE, i * i * 1000);
        driver_metrics_unpublished(d, RPC_OK);
        driver_metrics_unpublished(d, RPC_INTERNAL);
        driver_metrics_refreshed(d, true, RPC_OK);
        driver_metrics_refreshed(d, false, RPC_NOT_FOUND);
        driver_metrics_volumes(d, 30);
        driver_metrics_vault_requests(d, 1234567890123);
        driver_metrics_event(d, "a \"quoted\\ reason\n\xc3\xa4");
}

int main(void)
{
        static const struct web_page pages[] = {
                {"/metrics", "text/plain; version=0.0.4; charset=utf-8", make_metrics}};
        _cleanup_(driver_metrics_freep) struct driver_metrics *d = NULL;
        _cleanup_(loop_freep) struct loop *loop = NULL;
        _cleanup_(web_freep) struct web *web = NULL;
        struct loop_io *input;

        if (driver_metrics_new(&d) < 0 || loop_new(&loop) < 0 ||
                web_new(loop, "127.0.0.1:0", pages, ELEMENTSOF(pages), d, &web, NULL) < 0 ||
                loop_io_new(loop, 0, EPOLLIN, on_input, loop, &input) < 0)
                return 1;
        count(d);
        printf("%u\n", web_port(web));
        fflush(stdout);
        int r = loop_run(loop);
        loop_io_free(input);
        return r < 0 ? 1 : 0;
}
