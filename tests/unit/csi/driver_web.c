#include "csi/driver_web.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

static struct loop *loop;
static struct driver_metrics *metrics;
static struct driver_web *web;
static in_port_t port; /* as the network has it */
static bool ready = true;

static bool is_ready(void *userdata)
{
        return ready;
}

static void collect(void *userdata)
{
        driver_metrics_levels(metrics, &(struct driver_levels){.volumes = 7});
}

static void set_up(void)
{
        struct sockaddr_in a;
        socklen_t len = sizeof a;
        int fd;

        cr_assert_eq(web_listen("127.0.0.1:0", &fd, NULL, NULL), 0);
        cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
        port = a.sin_port;
        cr_assert_eq(loop_new(&loop), 0);
        cr_assert_eq(driver_metrics_new(&metrics), 0);
        const struct driver_web_config cfg = {.loop = loop,
                .listen_fd = fd,
                .metrics = metrics,
                .is_ready = is_ready,
                .collect = collect};
        cr_assert_eq(driver_web_new(&cfg, &web, NULL), 0);
}

static void tear_down(void)
{
        driver_web_free(web);
        driver_metrics_free(metrics);
        loop_free(loop);
}

TestSuite(driver_web, .init = set_up, .fini = tear_down, .timeout = 60);

static void get(const char *path, char *out, size_t size)
{
        struct sockaddr_in a = {
                .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char request[128];
        size_t len = 0;
        ssize_t n;

        cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        int m = snprintf(request, sizeof request,
                "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
        cr_assert_eq(write_all(fd, request, (size_t)m), 0);
        while ((n = recv(fd, out + len, size - 1 - len, MSG_DONTWAIT)) != 0) {
                if (n > 0)
                        len += (size_t)n;
                else
                        cr_assert_geq(loop_turn(loop, 10 * USEC_PER_MSEC), 0);
        }
        out[len] = '\0';
        close(fd);
}

Test(driver_web, health_is_whether_the_process_can_work)
{
        char answer[1024];

        get("/healthz", answer, sizeof answer);
        cr_expect_not_null(startswith(answer, "HTTP/1.1 200 "));
        cr_expect_str_eq(strstr(answer, "\r\n\r\n"), "\r\n\r\nok");
        ready = false;
        get("/healthz", answer, sizeof answer);
        cr_expect_not_null(startswith(answer, "HTTP/1.1 503 "));
        cr_expect_str_eq(strstr(answer, "\r\n\r\n"), "\r\n\r\nnot ready");
}

Test(driver_web, metrics_are_collected_when_they_are_asked_for)
{
        static char answer[32 << 10];

        get("/metrics", answer, sizeof answer);
        cr_expect_not_null(startswith(answer, "HTTP/1.1 200 "));
        cr_expect_not_null(strstr(answer, "Content-Type: text/plain; version=0.0.4"));
        cr_expect_not_null(strstr(answer, "\nakvfs_volumes 7\n"));
}
