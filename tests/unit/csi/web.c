#include "csi/web.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

static struct loop *loop;
static struct web *web;
static in_port_t port; /* as the network has it */
static int status = 200;

static int make_page(void *userdata, char **ret, size_t *ret_len)
{
        unsigned *made = userdata;

        if (status < 0)
                return status;
        (*made)++;
        *ret = strdup("fine\n");
        *ret_len = strlen(*ret);
        return status;
}

static const struct web_page pages[] = {{"/healthz", "text/plain", make_page}};
static unsigned made;

static void set_up(void)
{
        cr_assert_eq(loop_new(&loop), 0);
        struct sockaddr_in a;
        socklen_t len = sizeof a;
        int fd;

        cr_assert_eq(web_listen("127.0.0.1:0", &fd, NULL, NULL), 0);
        cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
        port = a.sin_port;
        cr_assert_eq(web_new(loop, fd, pages, ELEMENTSOF(pages), &made, &web, NULL), 0);
}

static void tear_down(void)
{
        web_free(web);
        loop_free(loop);
}

TestSuite(web, .init = set_up, .fini = tear_down, .timeout = 60);

static int dial(void)
{
        struct sockaddr_in a = {
                .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        return fd;
}

/* What comes until the server closes the connection, or for as long as text is not in it. */
static void receive(int fd, const char *text, char *out, size_t size)
{
        size_t len = 0;

        for (*out = '\0'; !text || !strstr(out, text);) {
                cr_assert_geq(loop_turn(loop, 10 * USEC_PER_MSEC), 0);
                ssize_t n = read(fd, out + len, size - 1 - len);
                if (n == 0)
                        break;
                if (n > 0)
                        out[len += (size_t)n] = '\0';
        }
}

static void ask(const char *request, char *out, size_t size)
{
        int fd = dial();

        cr_assert_eq(write_all(fd, request, strlen(request)), 0);
        receive(fd, NULL, out, size);
        close(fd);
}

static void expect(const char *method, const char *path, int code, const char *text)
{
        char request[128], answer[2048], first[32];

        snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                method, path);
        ask(request, answer, sizeof answer);
        snprintf(first, sizeof first, "HTTP/1.1 %d ", code);
        cr_expect_not_null(startswith(answer, first), "%s: %s", request, answer);
        cr_expect_not_null(strstr(answer, text), "%s: %s", request, answer);
}

Test(web, a_page_is_made_for_each_who_asks)
{
        expect("GET", "/healthz", 200, "\r\n\r\nfine\n");
        expect("GET", "/healthz", 200, "Content-Type: text/plain\r\n");
        expect("GET", "/healthz?verbose=1", 200, "fine");
        expect("HEAD", "/healthz", 200, "Content-Length: 5\r\n");
        cr_expect_eq(made, 4);
        status = 503;
        expect("GET", "/healthz", 503, "fine");
        status = -ENOMEM;
        expect("GET", "/healthz", 500, "out of memory");
}

Test(web, nothing_else_is_answered)
{
        expect("GET", "/", 404, "not found");
        expect("GET", "/healthz/", 404, "not found");
        expect("GET", "/../healthz", 404, "not found");
        expect("POST", "/healthz", 405, "Allow: GET, HEAD");
        expect("DELETE", "/nothing", 405, "not allowed");
        cr_expect_eq(made, 0);
}

Test(web, connections_are_bounded_in_number)
{
        int fds[WEB_CONNECTIONS_MAX + 1];
        char answer[256];

        for (size_t i = 0; i < ELEMENTSOF(fds) - 1; i++)
                fds[i] = dial();
        cr_assert_eq(write_all(fds[0], "GET /h", 6), 0);
        while (loop_turn(loop, 20 * USEC_PER_MSEC) > 0)
                ;
        /* One more waits, or is closed, until one of them goes. */
        size_t last = ELEMENTSOF(fds) - 1;
        fds[last] = dial();
        static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        (void)write_all(fds[last], request, sizeof request - 1);
        while (loop_turn(loop, 20 * USEC_PER_MSEC) > 0)
                ;
        cr_expect_eq(made, 0);
        for (size_t i = 1; i < ELEMENTSOF(fds); i++)
                close(fds[i]);
        cr_assert_eq(write_all(fds[0], request + 6, sizeof request - 7), 0);
        receive(fds[0], "fine", answer, sizeof answer);
        cr_expect_not_null(strstr(answer, "200 OK"));
        close(fds[0]);
}

Test(web, headers_are_bounded)
{
        static char request[64 << 10];
        char answer[512];

        memset(request, 'x', sizeof request - 1);
        memcpy(request, "GET /healthz HTTP/1.1\r\nA: ", 26);
        int fd = dial();
        (void)send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
        receive(fd, "\r\n", answer, sizeof answer);
        close(fd);
        cr_expect(!*answer || startswith(answer, "HTTP/1.1 431 ") ||
                  startswith(answer, "HTTP/1.1 4"));
        cr_expect_eq(made, 0);
}

Test(web, an_address_that_is_none_is_told)
{
        static const char *const bad[] = {"", "9808", ":", "localhost:9808", "127.0.0.1",
                "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "[::1:9808", "::1:9808", "[]:1",
                "1111.1111.1111.1111.1111.1111.1111.1111.1111.1111:1"};
        int fd = -EBADF;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_err_ struct err e = {0};
                cr_expect_eq(web_listen(bad[i], &fd, NULL, &e), -EINVAL, "%s", bad[i]);
                cr_expect_eq(e.cause, ERR_USAGE);
        }
        cr_expect_eq(web_address_check("127.0.0.1:9808", NULL), 0);
        _cleanup_err_ struct err e = {0};
        cr_expect_eq(web_listen("192.0.2.1:9808", &fd, NULL, &e), -EADDRNOTAVAIL);
        cr_expect_not_null(strstr(e.text, "192.0.2.1:9808"));
        cr_expect_eq(fd, -EBADF);
}

Test(web, a_port_alone_is_every_address)
{
        _cleanup_free_ char *address = NULL;
        int fd = -EBADF;

        cr_assert_eq(web_listen(":0", &fd, &address, NULL), 0);
        const char *colon = strrchr(address, ':');
        cr_expect(startswith(address, "[::]:") || startswith(address, "0.0.0.0:"), "%s", address);
        cr_expect_str_neq(colon, ":0", "the port that was free is told");
        port = htons((in_port_t)strtoul(colon + 1, NULL, 10));
        web_free(web);
        cr_assert_eq(web_new(loop, fd, pages, 1, &made, &web, NULL), 0);
        expect("GET", "/healthz", 200, "fine"); /* of 127.0.0.1 */
}

Test(web, a_second_process_may_have_the_same_port)
{
        struct web *other = NULL;
        char address[32];
        int fd;

        snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(port));
        cr_assert_eq(web_listen(address, &fd, NULL, NULL), 0);
        cr_assert_eq(web_new(loop, fd, pages, 1, &made, &other, NULL), 0);
        web_free(web);
        web = other;
        expect("GET", "/healthz", 200, "fine");
}

Test(web, a_port_that_another_program_has_is_told)
{
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof a;
        _cleanup_err_ struct err e = {0};
        char address[32];
        int fd;

        _cleanup_close_ int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(bind(other, (struct sockaddr *)&a, sizeof a), 0);
        cr_assert_eq(listen(other, 1), 0);
        cr_assert_eq(getsockname(other, (struct sockaddr *)&a, &len), 0);
        snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(a.sin_port));
        cr_expect_eq(web_listen(address, &fd, NULL, &e), -EADDRINUSE);
        cr_expect_not_null(strstr(e.hint, "another program has this port"));
}
