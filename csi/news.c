#include "csi/news.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "csi/kube_events.h"

struct news {
        struct kube_events *events;
        struct classes *classes;
        struct driver_metrics *metrics;
};

static void _printf_(4, 5)
        say(const struct volume_news *v, bool warning, const char *reason, const char *fmt, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, fmt);
        int n = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return;
        }
        for (char *p = text; *p; p++)
                if (*p == '\n')
                        *p = ' ';
        driver_metrics_event(v->all->metrics, reason);
        kube_events_say(v->all->events, &(struct kube_event){.namespace = v->who->pod_namespace,
                                                .pod = v->who->pod_name,
                                                .uid = v->who->pod_uid,
                                                .warning = warning,
                                                .reason = reason,
                                                .message = text});
}

/* --- what happens --- */

void volume_news_replaced(struct volume_news *v)
{
        if (!v->all)
                return;
        say(v, true, "MountReplaced",
                "the volume of spc %s/%s was mounted anew, for the driver that had mounted it has "
                "ended: containers that were running by then go on with the old one; restart the "
                "pod",
                v->who->pod_namespace, v->who->class_name);
}

void volume_news_polled(struct volume_news *v, const struct view_poll *poll)
{
        const struct err *e = poll->error;

        if (!v->all)
                return;
        driver_metrics_refreshed(v->all->metrics, poll->changed, e ? pod_class_code(e) : RPC_OK);
        if (e && (!v->failing || v->cause != e->cause))
                say(v, true, "MountRotationFailed",
                        "failed to rotate mounted contents for spc %s/%s, err: %s; %s" ERR_HINT_FMT,
                        v->who->pod_namespace, v->who->class_name, err_text(e),
                        poll->taken ? "its files were taken away, as the driver was told to"
                                    : "what was fetched last stays mounted",
                        ERR_HINT_ARGS(e));
        if (!e && v->failing)
                say(v, false, "MountRotationComplete",
                        "mounted contents for spc %s/%s are as the vault has them again",
                        v->who->pod_namespace, v->who->class_name);
        v->failing = e;
        v->cause = e ? e->cause : ERR_OTHER;
}

void volume_news_republished(struct volume_news *v, const struct err *e)
{
        if (!v->all)
                return;
        if (e) {
                driver_metrics_republish_failed(v->all->metrics, pod_class_code(e));
                if (!v->refused || v->refused_cause != e->cause)
                        say(v, true, "MountRepublishFailed",
                                "failed to take what kubelet brings for the volume of spc %s/%s, "
                                "err: %s; what is mounted stays as it is" ERR_HINT_FMT,
                                v->who->pod_namespace, v->who->class_name, err_text(e),
                                ERR_HINT_ARGS(e));
        }
        v->refused = e;
        v->refused_cause = e ? e->cause : ERR_OTHER;
}

static void on_class(void *userdata, enum class_change change)
{
        struct volume_news *v = userdata;

        v->change = change;
        if (change == CLASS_CHANGED)
                say(v, false, "SecretProviderClassChanged",
                        "the secretproviderclass %s/%s has changed since it was mounted: this pod "
                        "goes on with it as it was, and a restart of the pod takes the change",
                        v->who->pod_namespace, v->who->class_name);
        if (change == CLASS_GONE)
                say(v, true, "SecretProviderClassGone",
                        "the secretproviderclass %s/%s is gone: what is mounted stays, and no pod "
                        "can be started with it",
                        v->who->pod_namespace, v->who->class_name);
}

/* --- the life --- */

void volume_news_begin(struct volume_news *v, struct news *n, const struct pod_volume *who)
{
        const struct class_version mounted = {who->class_uid, who->class_generation};

        *v = (struct volume_news){.all = n, .who = who};
        if (class_use_new(n->classes, who->pod_namespace, who->class_name, &mounted, on_class, v,
                    &v->class) < 0)
                log_warning("changes of secretproviderclass %s/%s are not noticed: out of memory",
                        who->pod_namespace, who->class_name);
}

void volume_news_end(struct volume_news *v)
{
        class_use_free(v->class);
        *v = (struct volume_news){0};
}

size_t news_classes(const struct news *n, size_t *ret_failing)
{
        return classes_watched(n->classes, ret_failing);
}

int news_new(const struct news_config *cfg, struct news **ret)
{
        _cleanup_(news_freep) struct news *n = calloc(1, sizeof *n);

        if (!n)
                return -ENOMEM;
        n->metrics = cfg->metrics;
        int r = kube_events_new(cfg->kube, cfg->loop, cfg->driver_name, cfg->node_id, &n->events);
        if (r == 0)
                r = classes_new(cfg->kube, cfg->loop, &n->classes);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(n);
        return 0;
}

void news_free(struct news *n)
{
        if (!n)
                return;
        classes_free(n->classes);
        kube_events_free(n->events);
        free(n);
}
