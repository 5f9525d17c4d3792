#include "cli/csi_start.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "auth/binding.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/daemon.h"
#include "csi/kube.h"
#include "mount/identity.h"

bool csi_is_answered(const char *command, const char *help, const struct csi_options *o, int r,
        struct err *e, int *ret_status)
{
        if (r < 0) {
                *ret_status = cli_fail(command, e);
                return true;
        }
        if (o->help) {
                fputs(help, stdout);
                *ret_status = cli_finish_output(command);
                return true;
        }
        if (o->common.log_level >= 0)
                log_set_level((enum log_level)o->common.log_level);
        log_set_json(o->common.log_json);
        return false;
}

int csi_check_root(const char *what, struct err *e)
{
        if (geteuid() == 0)
                return 0;
        err_set_cause(e, ERR_LOCAL, -EPERM, "%s needs root", what);
        err_hint(
                e, "the worker that speaks to the network gets an account of its own all the same");
        return -EPERM;
}

int csi_check_folder(const struct csi_options *o, struct err *e)
{
        struct stat st;

        if (stat(o->kubelet_dir, &st) == 0 && S_ISDIR(st.st_mode))
                return 0;
        err_set_cause(e, ERR_LOCAL, -ENOENT, "kubelet's folder %s is not there", o->kubelet_dir);
        err_hint(e, "--kubelet-dir, and in a pod a hostPath volume at the same path");
        return -ENOENT;
}

int csi_check_cluster(const struct csi_options *o, struct err *e)
{
        _cleanup_free_ char *server = NULL;

        return o->kube_server ? 0 : kube_server_from_environment(&server, e);
}

int csi_open_ca(const struct csi_options *o, int *ret, struct err *e)
{
        static const char what[] = "the CA file";
        const char *path = o->common.ca_file;
        _cleanup_free_ char *pem = NULL;

        if (!path)
                return 0;
        int r = identity_read_pem(path, what, &pem, e); /* wrong words are said at once */
        if (r < 0)
                return r;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return err_set_cause(e, ERR_LOCAL, -errno, "could not read %s %s: %s", what, path,
                        strerror(errno));
        *ret = fd;
        return 0;
}

/* "--sni-name" of this cluster's token proxy: on AKS the API server's certificate tells. Elsewhere
 * there is none, and a class that asks for identity binding is told so. */
static int find_sni(const struct csi_options *o, char **ret, struct err *e)
{
        _cleanup_free_ char *host = NULL, *prefix = NULL, *pem = NULL;
        _cleanup_err_ struct err why = {0};
        const char *port = getenv("KUBERNETES_SERVICE_PORT");
        char sni[BINDING_SNI_MAX];
        size_t len = 0;

        if (o->common.sni_name || o->kube_server || isempty(port) ||
                read_whole_file(o->kube_ca_file, IDENTITY_CA_MAX, &pem, &len) < 0)
                return 0;
        if (auth_binding_parse_url(BINDING_PROXY_DEFAULT, &host, &prefix) < 0)
                return err_set(e, -ENOMEM, "out of memory");
        *strchr(host, ':') = '\0';
        if (auth_binding_discover(host, port, pem, sni, &why) < 0) {
                log_info("no identity binding here: %s", err_text(&why));
                return 0;
        }
        return xasprintf(ret, "--sni-name=%s", sni) < 0 ? err_set(e, -ENOMEM, "out of memory") : 0;
}

int csi_words_make(const struct csi_options *o, const char *socket, int argc, char **argv,
        struct csi_words *ret, struct err *e)
{
        _cleanup_csi_words_ struct csi_words w = {0};
        const char *base[DAEMON_ARGC_MAX];
        size_t n = 0;

        int r = find_sni(o, &w.sni, e);
        if (r < 0)
                return r;
        const struct daemon_words words = {.socket = socket,
                .log = "stderr",
                .log_level = o->common.log_level < 0 ? LOG_INFO : o->common.log_level,
                .log_json = o->common.log_json,
                .privileged = true,
                .csi = true};
        daemon_words_format(&words, "worker", ret->level, base);
        w.argv = calloc(DAEMON_ARGC_MAX + (size_t)argc + 2, sizeof(const char *));
        if (!w.argv)
                return err_set(e, -ENOMEM, "out of memory");
        for (size_t i = 0; base[i]; i++)
                w.argv[n++] = base[i];
        /* the words that were given, as they came */
        for (int i = 1; i < argc; i++)
                w.argv[n++] = argv[i];
        if (w.sni)
                w.argv[n++] = w.sni;
        ret->argv = TAKE_PTR(w.argv);
        ret->sni = TAKE_PTR(w.sni);
        return 0;
}

void csi_words_done(struct csi_words *w)
{
        free(w->sni);
        free(w->argv);
        w->sni = NULL;
        w->argv = NULL;
}

/* Everything is another process's. This one ends when it is told to, and not before: whatever
 * started it would only start it again, and that would take everything back. */
void csi_wait_for_the_end(void)
{
        sigset_t ends;
        int which;

        log_info("another akvfs has taken over: nothing is left to do here");
        (void)signal(SIGCHLD, SIG_IGN); /* the last worker */
        sigemptyset(&ends);
        sigaddset(&ends, SIGTERM);
        sigaddset(&ends, SIGINT);
        (void)sigwait(&ends, &which);
}
