#include "cli/identity_find.h"

#include "auth/binding.h"
#include "auth/helper.h"
#include "cli/identity_mode.h"

int identity_resolve(const struct spc_class *class, const struct options *o,
        const struct credentials *found, credentials_warn_fn warn, struct identity *ret,
        struct err *e)
{
        _cleanup_identity_ struct identity i = {0};

        const struct identity_endpoints endpoints = {.vault_url = o->vault_url,
                .authority_host = o->authority_host,
                .imds_endpoint = o->imds_endpoint,
                .ca_file = o->ca_file};

        int r = identity_resolve_endpoints(class, &endpoints, &i, e);
        if (r == 0)
                r = identity_choose(class, o, found, warn, &i, e);
        if (r == -ENOMEM)
                return err_set(e, r, "out of memory");
        if (r < 0)
                return r;
        *ret = i;
        i = (struct identity){0};
        return 0;
}

int identity_find_sni(struct identity *i, struct err *e)
{
        _cleanup_free_ char *host = NULL, *prefix = NULL;
        char sni[BINDING_SNI_MAX];

        if (!i->token_proxy || i->sni)
                return 0;
        if (!i->proxy_ca_pem) {
                err_set_cause(e, ERR_LOCAL, -ENOENT,
                        "proxy transport not available: " BINDING_CA_DEFAULT ": %s",
                        strerror(ENOENT));
                err_hint(e, "identity binding works in a pod of an AKS cluster; elsewhere set "
                            "AZURE_KUBERNETES_CA_FILE and --sni-name");
                return -ENOENT;
        }
        int r = auth_binding_parse_url(BINDING_PROXY_DEFAULT, &host, &prefix);
        if (r < 0)
                return err_set(e, r, "out of memory");
        *strchr(host, ':') = '\0';
        r = auth_binding_discover(host, getenv("KUBERNETES_SERVICE_PORT"), i->proxy_ca_pem, sni, e);
        if (r == 0 && !(i->sni = strdup(sni)))
                r = err_set(e, -ENOMEM, "out of memory");
        return r;
}

int identity_register(const struct identity *i, int control_dir_fd, struct err *e)
{
        return i->source ? helper_register(control_dir_fd, i->source, e) : 0;
}

void identity_unregister(const struct identity *i, int control_dir_fd)
{
        if (i->source)
                helper_unregister(control_dir_fd, i->source);
}
