#include <criterion/criterion.h>

#include "auth/mode.h"

#define NOW 1700000000

static char endpoint[] = "http://localhost:2579", pod[] = "web-0", namespace[] = "prod";

Test(nmi, what_a_configuration_needs)
{
        static const struct {
                const char *pod, *namespace, *why;
        } cases[] = {
                {NULL, "ns", "pod name is not provided"},
                {"", "ns", "pod name is not provided"},
                {"p", "", "pod namespace is not provided"},
                {"p\r\nX: y", "ns", "characters that no pod's has"},
                {"p", "n s", "characters that no pod's has"},
        };
        struct auth_config cfg = {.mode = AUTH_POD_IDENTITY, .pod = "p", .pod_namespace = "ns"};

        cr_assert_eq(auth_nmi.check(&cfg, NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_err_ struct err e = {0};
                cfg.pod = cases[i].pod;
                cfg.pod_namespace = cases[i].namespace;
                cr_expect_eq(auth_nmi.check(&cfg, &e), -EINVAL);
                cr_expect_not_null(strstr(err_text(&e), cases[i].why), "%s", err_text(&e));
        }
}

Test(nmi, the_request)
{
        const struct auth_params p = {.mode = AUTH_POD_IDENTITY,
                .imds_endpoint = endpoint,
                .pod = pod,
                .pod_namespace = namespace};
        const struct auth_material m = {0};
        struct auth_request q = {0};

        cr_assert_eq(auth_nmi.build(&p, &m, "https://vault.azure.net/.default", &q, NULL), 0);
        cr_assert_str_eq(q.request.url,
                "http://localhost:2579/host/token/?resource=https://vault.azure.net");
        cr_assert_str_eq(q.request.headers[0], "podns: prod");
        cr_assert_str_eq(q.request.headers[1], "podname: web-0");
        cr_assert_null(q.request.headers[2]);
        cr_assert_str_eq(q.endpoint.proxy, "");
        cr_assert_eq(auth_nmi.retry->tries, 1);
        auth_request_done(&q);
}

Test(nmi, answers)
{
        static const struct {
                const char *body, *why; /* NULL: good */
        } cases[] = {
                {"{\"token\":{\"access_token\":\"t\",\"expires_on\":1700003600},\"clientid\":\"c\"}",
                        NULL},
                {"{\"token\":{\"access_token\":\"t\",\"expires_on\":\"1700003600\"},\"clientid\":"
                 "\"c\"}",
                        NULL},
                {"{\"token\":{\"access_token\":\"t\",\"expires_on\":1700003600}}",
                        "nmi did not return expected values in response: token and clientid"},
                {"{\"token\":{},\"clientid\":\"c\"}",
                        "nmi did not return expected values in response: token and clientid"},
                {"{\"clientid\":\"c\"}",
                        "nmi did not return expected values in response: token and clientid"},
                {"{\"token\":{\"access_token\":\"t\"},\"clientid\":\"c\"}", "expires_on"},
                {"{\"token\":{\"access_token\":\"t\",\"expires_on\":1},\"clientid\":\"c\"}",
                        "expired"},
                {"[]", "not a JSON object"},
                {"<html>", "not a JSON object"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_sec_ struct sec *token = NULL;
                _cleanup_err_ struct err e = {0};
                int64_t lifetime = 0;
                int r = auth_nmi.parse(
                        cases[i].body, strlen(cases[i].body), NOW, &token, &lifetime, &e);

                cr_expect_eq(r, cases[i].why ? -EBADMSG : 0, "%zu", i);
                if (cases[i].why)
                        cr_expect_not_null(strstr(err_text(&e), cases[i].why), "%s", err_text(&e));
                else
                        cr_expect_eq(lifetime, 3600);
                cr_expect_eq(token ? sec_len(token) : 0, cases[i].why ? 0 : 1, "%zu", i);
        }
}
