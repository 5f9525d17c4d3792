#include "cli/direct.h"

#include "auth/helper.h"

int direct_resolve(const struct spc_class *class, struct options *o, credentials_warn_fn warn,
        struct direct *d, struct err *e)
{
        _cleanup_credentials_ struct credentials found = {0};

        int r = options_resolve_files(o, e);
        if (r == 0)
                r = credentials_find(o, warn, &found, e);
        if (r == 0)
                r = identity_resolve(class, o, &found, warn, &d->identity, e);
        if (r == 0)
                r = vault_urls_resolve(class, o->vault_url, &d->urls, e);
        return r < 0 ? r : identity_find_sni(&d->identity, e);
}

int direct_open(struct direct *d, struct err *e)
{
        int r = loop_new(&d->loop);

        if (r == 0)
                r = http_client_new(d->loop, &d->http);
        if (r == 0)
                r = auths_new(d->loop, d->http, &d->auths);
        if (r == 0 && d->identity.source) {
                r = helper_start(-EBADF, d->identity.source, &d->helper_fd);
                if (r == 0)
                        r = auth_helper_new(d->loop, d->helper_fd, &d->helper);
                if (r == 0)
                        auths_set_helper(d->auths, d->helper);
        }
        if (r == 0)
                r = vaults_new(d->loop, d->http, &d->vaults);
        if (r < 0)
                return err_set(e, r, "could not start: %s", strerror(-r));
        r = identity_open(&d->identity, d->auths, d->vaults, &d->vault, e);
        return r < 0 ? r
                     : vault_urls_open(&d->urls, &d->identity, d->auths, d->vaults, &d->others, e);
}

void direct_done(struct direct *d)
{
        vault_unref(d->vault);
        vault_set_done(&d->others);
        vaults_free(d->vaults);
        auths_free(d->auths);
        auth_helper_free(d->helper);
        safe_close(d->helper_fd);
        http_client_free(d->http);
        loop_free(d->loop);
        vault_urls_done(&d->urls);
        identity_done(&d->identity);
        *d = DIRECT_NONE;
}
