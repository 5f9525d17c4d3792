#include "cli/csi_options.h"

#include <criterion/criterion.h>

static struct csi_options o;
static struct err e;

static void set_up(void)
{
        unsetenv("KUBE_NODE_NAME");
}

static void tear_down(void)
{
        csi_options_done(&o);
        err_done(&e);
}

TestSuite(csi_options, .init = set_up, .fini = tear_down);

#define PARSE(...)                                                                                \
        ({                                                                                        \
                const char *words[] = {"csi", __VA_ARGS__, NULL};                                 \
                csi_options_done(&o);                                                             \
                err_done(&e);                                                                     \
                csi_options_parse((int)ELEMENTSOF(words) - 1, (char **)(uintptr_t)words, &o, &e); \
        })

Test(csi_options, a_node_is_all_that_has_to_be_said)
{
        cr_assert_eq(PARSE("--nodeid", "n1"), 0, "%s", err_text(&e));
        cr_assert_str_eq(o.node_id, "n1");
        cr_assert_str_eq(o.driver_name, "secrets.akvfs.io");
        cr_assert_str_eq(o.endpoint, "/csi/csi.sock");
        cr_assert_str_eq(o.registration_dir, "/registration");
        cr_assert_str_eq(o.registered_path, "/var/lib/kubelet/plugins/secrets.akvfs.io/csi.sock");
        cr_assert_null(o.kube_server);
        cr_assert_eq(o.common.poll_interval, OPTIONS_POLL_DEFAULT);
        cr_assert_eq(o.max_volumes, 4096);

        setenv("KUBE_NODE_NAME", "n2", 1);
        cr_assert_eq(PARSE("--log-json"), 0, "%s", err_text(&e));
        cr_assert_str_eq(o.node_id, "n2");
        cr_assert(o.common.log_json);
}

Test(csi_options, upstream_s_words_are_known)
{
        cr_assert_eq(PARSE("--endpoint=unix:///csi/other.sock", "--nodeid=n",
                             "--drivername=secrets-store.csi.k8s.io",
                             "--kubelet-registration-path=/x/csi.sock", "--max-volumes=7"),
                0, "%s", err_text(&e));
        cr_assert_eq(o.max_volumes, 7);
        cr_assert_str_eq(o.endpoint, "/csi/other.sock");
        cr_assert_str_eq(o.driver_name, "secrets-store.csi.k8s.io");
        cr_assert_str_eq(o.registered_path, "/x/csi.sock");
}

Test(csi_options, the_provider_s_switches_are_known_as_go_writes_them)
{
        cr_assert_eq(PARSE("--nodeid=n", "--write-cert-and-key-in-separate-files",
                             "--construct-pem-chain=false"),
                0, "%s", err_text(&e));
        cr_assert(o.common.shape.cert_key_files);
        cr_assert(o.common.shape.keep_chain_order);

        cr_assert_eq(PARSE("--nodeid=n", "--write-cert-and-key-in-separate-files=false",
                             "--construct-pem-chain=true"),
                0, "%s", err_text(&e));
        cr_assert_not(o.common.shape.cert_key_files);
        cr_assert_not(o.common.shape.keep_chain_order);

        cr_assert_eq(PARSE("--nodeid=n", "--construct-pem-chain=maybe"), -EINVAL);
        cr_assert_eq(PARSE("--nodeid=n", "--construct-pem-chain="), -EINVAL);
        cr_assert_eq(PARSE("--nodeid=n", "--construct-pem-chain", "false"), -EINVAL,
                "a word of its own is none of the option's");
}

Test(csi_options, pages_are_on_this_machine_alone_unless_told_otherwise)
{
        cr_assert_eq(PARSE("--nodeid=n"), 0, "%s", err_text(&e));
        cr_expect_str_eq(o.health_address, "127.0.0.1:9808");
        cr_expect_str_eq(o.metrics_address, "127.0.0.1:8095");
        cr_assert_eq(PARSE("--nodeid=n", "--metrics-addr=:8095", "--http-endpoint=0.0.0.0:9808"), 0,
                "%s", err_text(&e));
        cr_expect_str_eq(o.metrics_address, ":8095");
        cr_expect_str_eq(o.health_address, "0.0.0.0:9808");
        cr_assert_eq(PARSE("--nodeid=n", "--metrics-addr=0", "--health-addr=off"), 0);
        cr_expect_null(o.metrics_address);
        cr_expect_null(o.health_address);
        cr_assert_eq(PARSE("--nodeid=n", "--metrics-addr=8095"), -EINVAL);
        cr_assert_eq(PARSE("--nodeid=n", "--health-addr=localhost:9808"), -EINVAL);
        cr_expect_eq(e.cause, ERR_USAGE);
}

Test(csi_options, what_makes_no_sense_is_refused)
{
        cr_assert_eq(PARSE("--log-json"), -EINVAL);
        cr_assert_not_null(strstr(e.hint, "--nodeid"));
        cr_assert_eq(PARSE("--nodeid", "n", "--endpoint", "tcp://1.2.3.4:5"), -EINVAL);
        cr_assert_eq(PARSE("--nodeid", "n", "--endpoint", "unix://csi.sock"), -EINVAL);
        cr_assert_eq(PARSE("--nodeid", "n", "--driver-name", "-x"), -EINVAL);
        cr_assert_eq(PARSE("--nodeid", "n", "--kubelet-dir", "var/lib"), -EINVAL);
        cr_assert_eq(PARSE("--nodeid", "n", "--kubelet-dir", "/var/lib/kubelet/"), -EINVAL);
        cr_assert_eq(PARSE("--nodeid", "n", "--max-volumes", "0"), -EINVAL);
        cr_assert_eq(PARSE("--nodeid", "n", "--max-volumes", "4097"), -EINVAL);
        cr_assert_eq(PARSE("--nodeid", "n", "--kube-server", "http://api"), -EINVAL);
        cr_assert_eq(PARSE("--nodeid", "n", "class.yaml"), -EINVAL);
        cr_assert_eq(PARSE("--nodeid", "n", "--client-secret-file", "/x"), -EINVAL,
                "no pod is asked as the node's own service principal");
        cr_assert_eq(e.cause, ERR_USAGE);
        cr_assert_eq(PARSE("--help"), 0, "needs no node");
        cr_assert(o.help);
}
