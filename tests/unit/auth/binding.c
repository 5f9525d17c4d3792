#include "auth/binding.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#include "support/resolver.h"
#include "support/server.h"

Test(binding, the_name_of_a_cluster)
{
        char sni[BINDING_SNI_MAX];

        cr_assert_eq(auth_binding_sni("696995ccb303450001b31a18", sni), 0);
        cr_assert_str_eq(sni, "aeaf29ip1hi5q38ebc3u4daum81u0unk52t5bg50j25234fmuj78g.ests.aks");
        cr_assert_eq(auth_binding_sni("abc123def456", sni), 0);
        cr_assert_str_eq(sni, "avimke6u6l2eeq8qc1cneuaq4sl2e1av9t4clqgun97le32hub670.ests.aks");
        cr_assert_eq(auth_binding_sni("", sni), -EINVAL);
        cr_assert_eq(auth_binding_sni("a b", sni), -EINVAL);
        char big[200];
        memset(big, 'a', sizeof big - 1);
        big[sizeof big - 1] = '\0';
        cr_assert_eq(auth_binding_sni(big, sni), -EINVAL);
}

Test(binding, the_id_in_a_name)
{
        static const struct {
                const char *name, *id;
        } cases[] = {
                {"hcp-kubernetes.abc.svc.cluster.local", "abc"},
                {"hcp-kubernetes.a.b.svc.cluster.local", NULL},
                {"hcp-kubernetes..svc.cluster.local", NULL},
                {"hcp-kubernetes.svc.cluster.local", NULL},
                {"kubernetes.default.svc.cluster.local", NULL},
                {"hcp-kubernetes.abc.svc.cluster.local.evil", NULL},
                {"", NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                size_t len = 0;
                const char *id = auth_binding_id(cases[i].name, &len);
                cr_expect_eq(!id, !cases[i].id, "%s", cases[i].name);
                if (id && cases[i].id)
                        cr_expect(len == strlen(cases[i].id) && !memcmp(id, cases[i].id, len));
        }
}

Test(binding, which_proxies_there_can_be)
{
        static const char *const good[] = {"https://kubernetes.default.svc.cluster.local",
                "https://p:6443", "https://p:6443/", "https://127.0.0.1:1/a/b"};
        static const char *const bad[] = {"", "p", "http://p", "https://", "https:///x",
                "https://u:s3cr3t@p", "https://p?x", "https://p#x", "https://p:0", "https://p:x",
                "https://p:65536", "https://p:", "https://-p", "https://p /", "https://[::1]:1"};

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                cr_expect_eq(auth_binding_check(good[i], "a.b", NULL), 0, "%s", good[i]);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_err_ struct err e = {0};
                cr_expect_eq(auth_binding_check(bad[i], NULL, &e), -EINVAL, "%s", bad[i]);
                cr_expect_null(strstr(err_text(&e), "s3cr3t"));
                cr_expect_not_null(e.hint);
        }
        cr_expect_eq(auth_binding_check("https://p", "a b", NULL), -EINVAL);
        cr_expect_eq(auth_binding_check("https://p", "", NULL), -EINVAL);
}

static char *read_ca(const struct test_server *s)
{
        char *text = NULL;
        size_t len = 0;

        cr_assert_eq(read_whole_file(test_server_ca_file(s), 65536, &text, &len), 0);
        return text;
}

/* The API server's certificate, asked under its name; the connection goes to 127.0.0.1. */
Test(binding, asking_the_api_server, .timeout = 60)
{
        static const char host[] = "hcp-kubernetes.abc123def456.svc.cluster.local";
        char sni[BINDING_SNI_MAX], port[8];
        _cleanup_err_ struct err e = {0};

        test_init();
        test_resolver_local(".cluster.local");
        _cleanup_(test_server_freep) struct test_server *s =
                test_server_new(&(struct test_server_options){.host = host});
        _cleanup_free_ char *ca = read_ca(s);
        snprintf(port, sizeof port, "%u", test_server_port(s));
        cr_assert_eq(auth_binding_discover(host, port, ca, sni, &e), 0, "%s", err_text(&e));
        cr_assert_str_eq(sni, "avimke6u6l2eeq8qc1cneuaq4sl2e1av9t4clqgun97le32hub670.ests.aks");

        cr_assert_lt(auth_binding_discover("other.cluster.local", port, ca, sni, &e), 0);
        cr_assert_eq(e.cause, ERR_TLS, "a name that is not the certificate's");
        cr_assert_not_null(strstr(err_text(&e), "proxy transport not available"));
}

Test(binding, an_api_server_that_is_none, .timeout = 60)
{
        char sni[BINDING_SNI_MAX], port[8];
        _cleanup_err_ struct err e = {0};

        test_init();
        test_resolver_unknown("nowhere.cluster.local");
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        _cleanup_(test_server_freep) struct test_server *foreign =
                test_server_new(&(struct test_server_options){.foreign_ca = true});
        _cleanup_free_ char *ca = read_ca(s), *other = read_ca(foreign);

        snprintf(port, sizeof port, "%u", test_server_port(s));
        cr_assert_lt(auth_binding_discover("localhost", port, ca, sni, &e), 0);
        cr_assert_not_null(strstr(err_text(&e), "has no name of the form hcp-kubernetes"));
        snprintf(port, sizeof port, "%u", test_server_port(foreign));
        cr_assert_lt(auth_binding_discover("localhost", port, other, sni, &e), 0);
        cr_assert_eq(e.cause, ERR_TLS);
        cr_assert_lt(auth_binding_discover("nowhere.cluster.local", NULL, ca, sni, &e), 0);
        cr_assert_eq(e.cause, ERR_DNS);
        snprintf(port, sizeof port, "%u", test_server_port(s));
        cr_assert_eq(auth_binding_discover("localhost", port, "no PEM", sni, &e), -EBADMSG);
        cr_assert_not_null(strstr(err_text(&e), "authority is not PEM"));
        test_server_free(s);
        s = NULL;
        cr_assert_lt(auth_binding_discover("127.0.0.1", port, ca, sni, &e), 0);
        cr_assert_eq(e.cause, ERR_CONNECT);
}

/* One that says a byte now and then, of a record that never ends. */
static void *drip(void *arg)
{
        static const unsigned char record[] = {22, 3, 3, 0x40};
        int fd = accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC);

        for (size_t i = 0; send(fd, i < sizeof record ? &record[i] : record, 1, MSG_NOSIGNAL) == 1;
                i++)
                (void)poll(NULL, 0, 200);
        close(fd);
        return NULL;
}

Test(binding, an_api_server_that_never_comes_to_an_end, .timeout = 60)
{
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof address;
        char sni[BINDING_SNI_MAX], port[8];
        _cleanup_err_ struct err e = {0};
        pthread_t thread;

        test_init();
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        _cleanup_free_ char *ca = read_ca(s);
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        cr_assert_eq(listen(fd, 1), 0);
        cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
        snprintf(port, sizeof port, "%u", ntohs(address.sin_port));
        cr_assert_eq(pthread_create(&thread, NULL, drip, &fd), 0);
        cr_assert_eq(auth_binding_discover("127.0.0.1", port, ca, sni, &e), -ETIMEDOUT);
        cr_assert_eq(e.cause, ERR_TIMEOUT);
        pthread_join(thread, NULL);
}
