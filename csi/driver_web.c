#include "csi/driver_web.h"

struct driver_web {
        struct driver_web_config cfg;
        struct web *web;
};

static int make_health(void *userdata, char **ret, size_t *ret_len)
{
        const struct driver_web *w = userdata;
        bool ready = w->cfg.is_ready(w->cfg.userdata);
        char *text = strdup(ready ? "ok" : "not ready");

        if (!text)
                return -ENOMEM;
        *ret = text;
        *ret_len = strlen(text);
        return ready ? 200 : 503;
}

static int make_metrics(void *userdata, char **ret, size_t *ret_len)
{
        const struct driver_web *w = userdata;

        if (w->cfg.collect)
                w->cfg.collect(w->cfg.userdata);
        int r = driver_metrics_text(w->cfg.metrics, ret, ret_len);
        return r < 0 ? r : 200;
}

int driver_web_new(const struct driver_web_config *cfg, struct driver_web **ret, struct err *e)
{
        static const struct web_page pages[] = {
                {"/healthz", "text/plain; charset=utf-8", make_health},
                {"/metrics", "text/plain; version=0.0.4; charset=utf-8", make_metrics},
        };
        _cleanup_(driver_web_freep) struct driver_web *w = calloc(1, sizeof *w);

        if (!w) {
                safe_close(cfg->listen_fd);
                return err_set(e, -ENOMEM, "out of memory");
        }
        w->cfg = *cfg;
        size_t n = cfg->metrics ? ELEMENTSOF(pages) : 1;
        int r = web_new(cfg->loop, cfg->listen_fd, pages, n, w, &w->web, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

void driver_web_free(struct driver_web *w)
{
        if (!w)
                return;
        web_free(w->web);
        free(w);
}
