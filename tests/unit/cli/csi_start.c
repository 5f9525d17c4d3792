#include "cli/csi_start.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static struct csi_options o;
static struct err e;

static void set_up(void)
{
        unsetenv("KUBERNETES_SERVICE_HOST");
        unsetenv("KUBERNETES_SERVICE_PORT");
        o = (struct csi_options){.kubelet_dir = "/tmp"};
        o.common.log_level = -1;
}

static void tear_down(void)
{
        err_done(&e);
}

TestSuite(csi_start, .init = set_up, .fini = tear_down);

Test(csi_start, kubelets_folder_has_to_be_there)
{
        cr_assert_eq(csi_check_folder(&o, &e), 0);
        o.kubelet_dir = "/nowhere/at/all";
        cr_assert_eq(csi_check_folder(&o, &e), -ENOENT);
        cr_assert_not_null(e.hint);
}

Test(csi_start, the_cluster_is_said_or_known)
{
        cr_assert_lt(csi_check_cluster(&o, &e), 0);
        o.kube_server = "https://10.0.0.1:443";
        err_done(&e);
        cr_assert_eq(csi_check_cluster(&o, &e), 0);
        o.kube_server = NULL;
        setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
        setenv("KUBERNETES_SERVICE_PORT", "443", 1);
        cr_assert_eq(csi_check_cluster(&o, &e), 0);
}

Test(csi_start, a_ca_file_is_looked_into)
{
        char path[] = "/tmp/akvfs-unit-XXXXXX";
        int ca = -EBADF, fd = mkstemp(path);

        cr_assert_eq(csi_open_ca(&o, &ca, &e), 0);
        cr_assert_eq(ca, -EBADF, "none was named");
        o.common.ca_file = path;
        cr_assert_lt(csi_open_ca(&o, &ca, &e), 0, "there is no certificate in it");
        cr_assert_eq(ca, -EBADF);
        safe_close(fd);
        (void)unlink(path);
}

Test(csi_start, a_worker_is_told_what_the_command_was)
{
        static const char *given[] = {"csi", "--nodeid", "n1", "--poll-interval=1s", NULL};
        _cleanup_csi_words_ struct csi_words w = {0};
        size_t n = 0, csi = 0;

        o.kube_server = "https://10.0.0.1:443";
        cr_assert_eq(
                csi_words_make(&o, "/run/akvfs/w-x.sock", 4, (char **)(uintptr_t)given, &w, &e), 0,
                "%s", err_text(&e));
        for (; w.argv[n]; n++)
                if (streq(w.argv[n], "--csi"))
                        csi = n;
        cr_assert_str_eq(w.argv[1], "worker");
        cr_assert_eq(n, csi + 4, "what was given is behind all else");
        for (size_t i = 1; i < 4; i++)
                cr_assert_str_eq(w.argv[csi + i], given[i]);
}
