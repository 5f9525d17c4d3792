#include "cli/csi_options.h"

#include <strings.h>

#include "csi/kube.h"
#include "csi/node.h"
#include "csi/services.h"
#include "csi/web.h"
#include "fs/fs.h"
#include "spc/scalar.h"

enum {
        WORD_ENDPOINT = 1,
        WORD_REGISTRATION_DIR,
        WORD_REGISTERED_PATH,
        WORD_NODE_ID,
        WORD_DRIVER_NAME,
        WORD_KUBELET_DIR,
        WORD_MAX_VOLUMES,
        WORD_KUBE_SERVER,
        WORD_KUBE_TOKEN_FILE,
        WORD_KUBE_CA_FILE,
        WORD_HEALTH_ADDRESS,
        WORD_METRICS_ADDRESS,
        WORD_PEM_CHAIN,
        WORD_CERT_KEY_FILES,
        WORD_HELP
};

/* Where upstream's driver and its registrar have a name for it, theirs is known too. */
static const struct word own[] = {
        {"endpoint", 0, true, WORD_ENDPOINT},
        {"registration-dir", 0, true, WORD_REGISTRATION_DIR},
        {"kubelet-registration-path", 0, true, WORD_REGISTERED_PATH},
        {"nodeid", 0, true, WORD_NODE_ID},
        {"driver-name", 0, true, WORD_DRIVER_NAME},
        {"drivername", 0, true, WORD_DRIVER_NAME},
        {"kubelet-dir", 0, true, WORD_KUBELET_DIR},
        {"max-volumes", 0, true, WORD_MAX_VOLUMES},
        {"kube-server", 0, true, WORD_KUBE_SERVER},
        {"kube-token-file", 0, true, WORD_KUBE_TOKEN_FILE},
        {"kube-ca-file", 0, true, WORD_KUBE_CA_FILE},
        {"health-addr", 0, true, WORD_HEALTH_ADDRESS},
        {"http-endpoint", 0, true, WORD_HEALTH_ADDRESS}, /* the liveness probe's beside it */
        {"metrics-addr", 0, true, WORD_METRICS_ADDRESS},
        {"construct-pem-chain", 0, WORD_AFTER_EQUALS, WORD_PEM_CHAIN},
        {"write-cert-and-key-in-separate-files", 0, WORD_AFTER_EQUALS, WORD_CERT_KEY_FILES},
        {"help", 'h', false, WORD_HELP},
};

/* Of a mount's options those that are the node's to say. */
static const char *const common[] = {"vault-url", "authority-host", "imds-endpoint", "ca-file",
        "token-proxy-url", "sni-name", "cert-key-files", "pem-chain", "poll-interval", "log-level",
        "log-json", "secret-memory", "on-deleted", "on-disabled", "on-expired", "on-forbidden",
        "on-vault-gone"};

static bool is_common(const char *name)
{
        for (size_t i = 0; name && i < ELEMENTSOF(common); i++)
                if (streq(common[i], name))
                        return true;
        return false;
}

/* As gRPC writes it: unix:///path; upstream's unix://path means the same. */
static int parse_endpoint(const char *value, const char **ret, struct err *e)
{
        const char *path = startswith(value, "unix://");

        if (!path && strstr(value, "://"))
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "--endpoint %s is no unix socket", value);
        if (!path)
                path = value;
        if (path[0] != '/' || !path[1]) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "--endpoint %s names no absolute path", value);
                err_hint(e, "write " CSI_ENDPOINT_DEFAULT);
                return -EINVAL;
        }
        *ret = path;
        return 0;
}

/* "0" as upstream's libraries have it, where anything else is an address. */
static const char *address_or_off(const char *value)
{
        return streq(value, "off") || streq(value, "0") ? NULL : value;
}

/* Of the provider's two switches, by its names. */
static int parse_switch(const char *option, const char *value, bool *ret, struct err *e)
{
        if (value && (!*value || scalar_parse_bool(value, ret) < 0))
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "%s=%s is neither true nor false", option, value);
        if (!value)
                *ret = true;
        return 0;
}

static int take(struct csi_options *o, int id, const char *value, struct err *e)
{
        switch (id) {
        case WORD_ENDPOINT:
                return parse_endpoint(value, &o->endpoint, e);
        case WORD_REGISTRATION_DIR:
                o->registration_dir = value;
                return 0;
        case WORD_REGISTERED_PATH:
                free(o->registered_path);
                o->registered_path = strdup(value);
                return o->registered_path ? 0 : err_set(e, -ENOMEM, "out of memory");
        case WORD_NODE_ID:
                o->node_id = value;
                return 0;
        case WORD_DRIVER_NAME:
                o->driver_name = value;
                return 0;
        case WORD_KUBELET_DIR:
                o->kubelet_dir = value;
                return 0;
        case WORD_MAX_VOLUMES:
                if (parse_u64(value, FS_MOUNTS_MAX, &o->max_volumes) < 0 || o->max_volumes == 0)
                        return err_set_cause(e, ERR_USAGE, -EINVAL,
                                "--max-volumes %s is no number from 1 to %d", value, FS_MOUNTS_MAX);
                return 0;
        case WORD_KUBE_SERVER:
                o->kube_server = value;
                return 0;
        case WORD_KUBE_TOKEN_FILE:
                o->kube_token_file = value;
                return 0;
        case WORD_KUBE_CA_FILE:
                o->kube_ca_file = value;
                return 0;
        case WORD_HEALTH_ADDRESS:
                o->health_address = address_or_off(value);
                return 0;
        case WORD_METRICS_ADDRESS:
                o->metrics_address = address_or_off(value);
                return 0;
        case WORD_PEM_CHAIN: {
                bool sorted;
                int r = parse_switch("--construct-pem-chain", value, &sorted, e);
                if (r == 0)
                        o->common.shape.keep_chain_order = !sorted;
                return r;
        }
        case WORD_CERT_KEY_FILES:
                return parse_switch("--write-cert-and-key-in-separate-files", value,
                        &o->common.shape.cert_key_files, e);
        case WORD_HELP:
                o->help = true;
                return 0;
        case WORD_PLAIN:
                return err_set_cause(e, ERR_USAGE, -EINVAL, "word %s was not expected", value);
        default:
                return options_set_word(&o->common, id, value, e);
        }
}

static int check_folder(const char *option, const char *path, struct err *e)
{
        size_t len = strlen(path);

        if (path[0] == '/' && len > 1 && path[len - 1] != '/')
                return 0;
        return err_set_cause(e, ERR_USAGE, -EINVAL,
                "%s %s is not an absolute path without a slash at its end", option, path);
}

static int check(struct csi_options *o, struct err *e)
{
        int r = csi_driver_name_check(o->driver_name, e);
        if (r == 0)
                r = check_folder("--kubelet-dir", o->kubelet_dir, e);
        if (r == 0)
                r = check_folder("--registration-dir", o->registration_dir, e);
        if (r == 0 && o->health_address)
                r = web_address_check(o->health_address, e);
        if (r == 0 && o->metrics_address)
                r = web_address_check(o->metrics_address, e);
        if (r < 0)
                return r;
        if (isempty(o->node_id) || strlen(o->node_id) > NODE_ID_MAX) {
                err_set_cause(e, ERR_USAGE, -EINVAL,
                        isempty(o->node_id) ? "which node this is was not said"
                                            : "--nodeid is too long");
                err_hint(e, "--nodeid NAME, in a pod $(KUBE_NODE_NAME) from fieldRef "
                            "spec.nodeName");
                return -EINVAL;
        }
        if (o->kube_server && strncasecmp(o->kube_server, "https://", 8) != 0)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "--kube-server %s is not https: tokens are never sent unencrypted",
                        o->kube_server);
        if (!o->registered_path && xasprintf(&o->registered_path, "%s/plugins/%s/csi.sock",
                                           o->kubelet_dir, o->driver_name) < 0)
                return err_set(e, -ENOMEM, "out of memory");
        return 0;
}

int csi_options_parse(int argc, char **argv, struct csi_options *ret, struct err *e)
{
        _cleanup_csi_options_ struct csi_options o = {
                .registration_dir = CSI_REGISTRATION_DEFAULT,
                .node_id = getenv("KUBE_NODE_NAME"),
                .driver_name = CSI_DRIVER_NAME,
                .kubelet_dir = CSI_KUBELET_DEFAULT,
                .max_volumes = FS_MOUNTS_MAX,
                .kube_token_file = KUBE_TOKEN_FILE,
                .kube_ca_file = KUBE_CA_FILE,
                .health_address = WEB_HEALTH_ADDRESS,
                .metrics_address = WEB_METRICS_ADDRESS,
        };
        struct word table[ELEMENTSOF(own) + ELEMENTSOF(common)];
        const char *value = NULL;
        struct words w;
        size_t n = ELEMENTSOF(own), n_all;
        int id = 0, r;

        options_init(&o.common);
        memcpy(table, own, sizeof own);
        const struct word *all = options_words(false, &n_all);
        for (size_t i = 0; i < n_all && n < ELEMENTSOF(table); i++)
                if (is_common(all[i].name))
                        table[n++] = all[i];
        r = parse_endpoint(CSI_ENDPOINT_DEFAULT, &o.endpoint, e);
        words_init(&w, argc, argv);
        while (r >= 0 && (r = words_next(&w, table, n, &id, &value, e)) > 0)
                r = take(&o, id, value, e);
        if (r == 0 && !o.help)
                r = check(&o, e);
        if (r < 0)
                return r;
        *ret = o;
        o = (struct csi_options){0};
        return 0;
}

void csi_options_done(struct csi_options *o)
{
        options_done(&o->common);
        free(o->registered_path);
        *o = (struct csi_options){0};
}
