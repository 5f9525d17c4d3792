#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "csi/volumes_private.h"

#define TEXT_MAX ((size_t)RPC_TEXT_MAX)

/* --- life --- */

static void volume_free(struct volume *volume)
{
        struct volumes *v = volume->all;

        for (struct volume **p = &v->list; *p; p = &(*p)->next)
                if (*p == volume) {
                        *p = volume->next;
                        v->n--;
                        break;
                }
        callers_answer(&volume->publishers, RPC_ABORTED, "the driver ends");
        callers_answer(&volume->unpublishers, RPC_ABORTED, "the driver ends");
        kube_cancel(volume->asking);
        volume_news_end(&volume->news); /* before `who` */
        publish_request_done(&volume->request);
        pod_volume_done(&volume->who);
        loop_timer_free(volume->step);
        free(volume->text);
        free(volume->path);
        free(volume);
        if (v->n == 0)
                loop_timer_in(v->idle, 0);
}

/* What publishers are told, once nothing is left. The first word counts. */
static void _printf_(3, 4)
        note_failure(struct volume *volume, enum rpc_code code, const char *fmt, ...)
{
        va_list ap;

        if (volume->text)
                return;
        volume->code = code;
        va_start(ap, fmt);
        if (vasprintf(&volume->text, fmt, ap) < 0)
                volume->text = NULL;
        va_end(ap);
}

/* One line for people: the text, and what to do. */
static void note_error(struct volume *volume, const struct err *e)
{
        note_failure(volume, pod_class_code(e), "%s" ERR_HINT_FMT, err_text(e), ERR_HINT_ARGS(e));
        for (char *p = volume->text; p && *p; p++)
                if (*p == '\n')
                        *p = ' ';
}

static usec_t since(const struct volume *volume, usec_t when)
{
        return loop_now(volume->all->config.parts.loop) - when;
}

static void gone(struct volume *volume)
{
        const char *text = volume->text ? volume->text : "out of memory";
        enum rpc_code code = volume->code != RPC_OK ? volume->code : RPC_ABORTED;

        if (volume->publishers.list)
                log_error("failed to process mount request: %s: %s: %s", volume->path,
                        rpc_code_name(code), text);
        if (volume->code != RPC_OK && !volume->was_mounted && volume->who.volume_id)
                driver_metrics_mounted(
                        volume->all->config.metrics, code, since(volume, volume->began));
        callers_answer(&volume->publishers, code, text);
        callers_answer(&volume->unpublishers, RPC_OK, NULL);
        volume_free(volume);
}

static void on_cleared(void *userdata, const struct err *error)
{
        struct volume *volume = userdata;

        if (error) {
                enum rpc_code code = error->code == -EPIPE ? RPC_ABORTED : RPC_INTERNAL;

                log_error("unpublish: %s", err_text(error));
                callers_answer(&volume->unpublishers, code, err_text(error));
        }
        gone(volume);
}

/* What is left at the path without a mount of ours. */
static void clear(struct volume *volume)
{
        volume->state = CLEARING;
        int r = fs_clear(volume->all->config.parts.fs, volume->path, on_cleared, volume);
        if (r < 0) {
                _cleanup_err_ struct err e = {0};
                err_set_cause(&e, ERR_LOCAL, r, "%s cannot be taken away: %s", volume->path,
                        strerror(-r));
                on_cleared(volume, &e);
        }
}

/* Nobody wants it any more, in whatever state it is. */
static void end(struct volume *volume)
{
        switch (volume->state) {
        case ASKING:
                volume->asking = kube_cancel(volume->asking);
                volume->state = ENDING;
                loop_timer_in(volume->step, 0);
                break;
        case MOUNTING:
        case MOUNTED:
                volume->state = ENDING;
                class_mount_end(volume->mount);
                break;
        default:
                break;
        }
}

/* No caller of a publish waits any more: an inline volume may never be asked about again. */
static void on_no_publisher(void *userdata)
{
        struct volume *volume = userdata;

        if (volume->state > MOUNTING)
                return;
        note_failure(volume, RPC_DEADLINE_EXCEEDED, "nobody waited for it any more");
        end(volume);
}

static char *say_late(void *userdata)
{
        const struct volume *volume = userdata;
        _cleanup_err_ struct err e = {0};

        if (volume->state == ASKING)
                err_set(&e, -ETIME,
                        "context deadline exceeded: the API server has not sent the class %s yet",
                        volume->who.class_name);
        else if (volume->have == 0)
                err_set(&e, -ETIME, "context deadline exceeded: no object has been fetched yet");
        else
                err_set(&e, -ETIME,
                        "context deadline exceeded: %zu of %zu objects have been fetched",
                        volume->have, volume->of);
        pod_class_failed(volume->who.pod_namespace, volume->who.pod_name, &e);
        return strdup(err_text(&e));
}

static void on_step(void *userdata)
{
        struct volume *volume = userdata;

        if (volume->state != ENDING || volume->mount)
                return;
        if (volume->unpublishers.list)
                clear(volume);
        else
                gone(volume);
}

/* --- the mount --- */

static void on_progress(void *userdata, size_t have, size_t of)
{
        struct volume *volume = userdata;

        volume->have = have;
        volume->of = of;
}

static void note_errors(struct volume *volume, const struct err *errors, size_t n)
{
        _cleanup_err_ struct err e = {0};

        pod_class_failures(
                volume->who.pod_namespace, volume->who.pod_name, errors, n, TEXT_MAX / 2, &e);
        note_error(volume, &e);
}

static void on_started(void *userdata, const struct err *errors, size_t n_errors)
{
        struct volume *volume = userdata;

        if (n_errors > 0) {
                if (volume->state == MOUNTING)
                        note_errors(volume, errors, n_errors);
                volume->state = ENDING; /* `gone` follows */
                return;
        }
        if (volume->state != MOUNTING)
                return; /* it is on its way out */
        volume->state = MOUNTED;
        volume->was_mounted = true;
        usec_t took = since(volume, volume->began);
        driver_metrics_mounted(volume->all->config.metrics, RPC_OK, took);
        log_info("published %s of pod %s/%s at %s in %.1f ms (class %.1f ms)",
                volume->who.class_name, volume->who.pod_namespace, volume->who.pod_name,
                volume->path, (double)took / (double)USEC_PER_MSEC,
                (double)(volume->asked - volume->began) / (double)USEC_PER_MSEC);
        callers_answer(&volume->publishers, RPC_OK, NULL);
        volume_news_begin(&volume->news, volume->all->config.news, &volume->who);
        if (class_mount_has_replaced(volume->mount))
                volume_news_replaced(&volume->news);
}

static void on_polled(void *userdata, const struct view_poll *poll)
{
        struct volume *volume = userdata;

        volume_news_polled(&volume->news, poll);
}

static void on_gone(void *userdata, const struct err *error)
{
        struct volume *volume = userdata;

        volume->mount = NULL; /* frees itself */
        if (error)
                log_warning("%s: %s", volume->path, err_text(error));
        if (volume->state == MOUNTED)
                log_warning("%s is gone, and nobody had asked for it", volume->path);
        else if (volume->unpublishers.list)
                log_info("unpublished %s", volume->path);
        volume->state = ENDING;
        if (error && volume->unpublishers.list)
                clear(volume); /* looks whether anything is left */
        else
                gone(volume);
}

static const struct class_mount_events mount_events = {
        .progress = on_progress, .started = on_started, .polled = on_polled, .gone = on_gone};

static int begin_mount(struct volume *volume, const cJSON *object, struct err *e)
{
        _cleanup_mount_request_ struct mount_request q = {0};
        const struct volumes_config *cfg = &volume->all->config;
        struct pod_volume who = {0};

        int r = pod_class_request(&cfg->class, &volume->request, object, &q, e);
        if (r < 0)
                return r;
        r = pod_volume_parse(q.note, &who); /* with what the class says of it */
        if (r < 0)
                return err_set(e, r, "out of memory");
        pod_volume_done(&volume->who);
        volume->who = who;
        r = class_mount_new(&cfg->parts, &q, &mount_events, volume, &volume->mount, e);
        return r < 0 ? pod_class_failed(volume->who.pod_namespace, volume->who.pod_name, e) : 0;
}

static void on_class(void *userdata, const cJSON *object, int status, const struct err *error)
{
        struct volume *volume = userdata;
        _cleanup_err_ struct err e = {0};

        volume->asking = NULL;
        volume->asked = loop_now(volume->all->config.parts.loop);
        if (error) {
                (void)err_copy(&e, error);
                err_wrap(&e, e.code, "failed to get secretproviderclass %s/%s, error",
                        volume->who.pod_namespace, volume->who.class_name);
                if (e.cause == ERR_NOT_FOUND)
                        err_hint(&e,
                                "the class has to be in the pod's namespace: kubectl get "
                                "secretproviderclass -n %s",
                                volume->who.pod_namespace);
        } else if (begin_mount(volume, object, &e) == 0)
                volume->state = MOUNTING;
        publish_request_done(&volume->request);
        if (volume->state == MOUNTING)
                return;
        note_error(volume, &e);
        gone(volume);
}

/* --- what kubelet asks --- */

static int volume_new(struct volumes *v, const char *path, enum state state, struct volume **ret)
{
        struct volume *volume = calloc(1, sizeof *volume);

        if (!volume)
                return -ENOMEM;
        *volume = (struct volume){.all = v,
                .state = state,
                .path = strdup(path),
                .began = loop_now(v->config.parts.loop),
                .request = {.mount_group = (gid_t)-1}};
        volume->publishers = (struct callers){.loop = v->config.parts.loop,
                .late = say_late,
                .nobody = on_no_publisher,
                .userdata = volume};
        /* an unpublish goes on to its end, whoever waits for it */
        volume->unpublishers = (struct callers){.loop = v->config.parts.loop, .userdata = volume};
        int r = volume->path ? loop_timer_new(v->config.parts.loop, on_step, volume, &volume->step)
                             : -ENOMEM;
        if (r < 0) {
                free(volume->path);
                free(volume);
                return r;
        }
        volume->next = v->list;
        v->list = volume;
        v->n++;
        *ret = volume;
        return 0;
}

/* kubelet hands tokens over about once a minute. */
static int take_token(struct volume *volume, const struct publish_request *r, struct err *e)
{
        _cleanup_sec_ struct sec *token = NULL;

        if (!r->tokens)
                return 0;
        if (!streq(r->pod_namespace, volume->who.pod_namespace) ||
                !streq(r->service_account, volume->who.service_account))
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "the tokens of %s/%s are not those of its pod", r->pod_namespace,
                        r->service_account);
        int k = pod_identity_token(r, volume->who.binding, &token, e);
        if (k == -ENOENT)
                return 0; /* a volume of another kind of identity may well have none */
        if (k < 0)
                return k;
        k = class_mount_set_token(volume->mount, token);
        return k < 0 ? err_set_cause(e, ERR_USAGE, k, "the token is not taken") : 0;
}

static void refresh_token(struct volume *volume, const struct publish_request *r)
{
        _cleanup_err_ struct err e = {0};
        bool taken = take_token(volume, r, &e) == 0;

        if (!taken)
                log_error("republish of %s: %s", volume->path, err_text(&e));
        volume_news_republished(&volume->news, taken ? NULL : &e);
}

static void publish_again(
        struct volume *volume, const struct publish_request *r, struct rpc_call *call)
{
        Csi__V1__Nothing nothing = CSI__V1__NOTHING__INIT;

        if (!streq(volume->who.volume_id ? volume->who.volume_id : "", r->volume_id)) {
                rpc_fail(call, volume->state < ENDING ? RPC_ALREADY_EXISTS : RPC_ABORTED,
                        "another volume is at this path");
                return;
        }
        /* Where there was no label, or is none any more, somebody has changed the CSIDriver object
         * or kubelet: a pod that runs goes on with what it has. */
        const char *label = volume->who.selinux_context;
        if (!isempty(label) && r->selinux_context && !streq(label, r->selinux_context)) {
                rpc_fail(call, RPC_ALREADY_EXISTS,
                        "the volume is published with another SELinux label (mount flag context=)");
                return;
        }
        switch (volume->state) {
        case MOUNTED:
                refresh_token(volume, r);
                rpc_reply(call, &nothing.base);
                break;
        case ASKING:
        case MOUNTING:
                (void)callers_add(&volume->publishers, call, true);
                break;
        default:
                rpc_fail(call, RPC_ABORTED, "the volume is just being taken away");
                break;
        }
}

static int ask(struct volume *volume, struct publish_request *r, struct err *e)
{
        _cleanup_free_ char *path = NULL;

        int k = pod_volume_copy(r, NULL, false, &volume->who);
        if (k == 0)
                k = kube_class_path(r->pod_namespace, r->class_name, &path);
        if (k < 0)
                return err_set(e, k, "out of memory");
        volume->request = *r;
        *r = (struct publish_request){.mount_group = (gid_t)-1};
        k = kube_get(volume->all->config.kube, path, on_class, volume, &volume->asking, e);
        return k < 0 ? err_wrap(e, k, "failed to get secretproviderclass %s/%s, error",
                               volume->who.pod_namespace, volume->who.class_name)
                     : 0;
}

void volumes_publish(struct volumes *v, struct publish_request *r, struct rpc_call *call)
{
        struct volume *volume = volumes_at(v, r->target_path);
        _cleanup_err_ struct err e = {0};

        if (volume) {
                publish_again(volume, r, call);
                return;
        }
        if (v->draining) {
                rpc_fail(call, RPC_UNAVAILABLE, "this driver ends, and its successor will answer");
                return;
        }
        if (v->n >= v->config.max) {
                _cleanup_free_ char *text = NULL;

                (void)xasprintf(&text,
                        "this node has %zu volumes, and may have no more (--max-volumes)", v->n);
                log_error("failed to process mount request: %s: %s", r->target_path,
                        text ? text : "too many volumes");
                rpc_fail(call, RPC_RESOURCE_EXHAUSTED, text ? text : "too many volumes");
                return;
        }
        if (volume_new(v, r->target_path, ASKING, &volume) < 0) {
                rpc_fail(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
                return;
        }
        if (callers_add(&volume->publishers, call, true) < 0) {
                volume_free(volume);
                return;
        }
        if (ask(volume, r, &e) < 0) {
                note_error(volume, &e);
                gone(volume);
        }
}

void volumes_unpublish(struct volumes *v, const char *path, struct rpc_call *call)
{
        struct volume *volume = volumes_at(v, path);
        bool fresh = !volume;

        if (fresh && volume_new(v, path, CLEARING, &volume) < 0) {
                rpc_fail(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
                return;
        }
        if (callers_add(&volume->unpublishers, call, false) < 0) {
                if (fresh)
                        volume_free(volume);
                return;
        }
        if (fresh) {
                clear(volume);
                return;
        }
        note_failure(volume, RPC_ABORTED, "the volume was unpublished meanwhile");
        end(volume);
}

/* --- all of them --- */

static void adopt_one(struct volumes *v, struct fs_mount *mount)
{
        _cleanup_err_ struct err e = {0};
        struct volume *volume = NULL;

        int r = volume_new(v, "", MOUNTED, &volume);
        if (r == 0)
                r = class_mount_adopt(
                        &v->config.parts, mount, &mount_events, volume, &volume->mount, &e);
        if (r < 0) {
                log_error("a volume cannot be gone on with and is unmounted: %s", err_text(&e));
                if (volume)
                        volume_free(volume);
                fs_mount_end(mount);
                return;
        }
        const char *note = class_mount_note(volume->mount);
        char *path = strdup(class_mount_path(volume->mount));
        r = path && note ? pod_volume_parse(note, &volume->who) : -ENOMEM;
        if (r < 0) {
                log_error("%s cannot be gone on with and is unmounted: its note cannot be read",
                        class_mount_path(volume->mount));
                free(path);
                end(volume);
                return;
        }
        free(volume->path);
        volume->path = path;
        volume->was_mounted = true;
        volume_news_begin(&volume->news, v->config.news, &volume->who);
}

static int adopt(struct volumes *v)
{
        struct fs *fs = v->config.parts.fs;
        size_t n = fs_adopted(fs, NULL, 0);
        _cleanup_free_ struct fs_mount **mounts = calloc(n + 1, sizeof(struct fs_mount *));

        if (!mounts)
                return -ENOMEM;
        n = fs_adopted(fs, mounts, n);
        for (size_t i = 0; i < n; i++)
                adopt_one(v, mounts[i]);
        if (n > 0)
                log_info("%zu volumes of the last worker are gone on with", n);
        return 0;
}

static void on_idle(void *userdata)
{
        const struct volumes *v = userdata;

        if (v->n == 0)
                v->config.idle(v->config.userdata);
}

int volumes_new(const struct volumes_config *cfg, struct volumes **ret, struct err *e)
{
        struct volumes *v = calloc(1, sizeof *v);

        if (!v)
                return err_set(e, -ENOMEM, "out of memory");
        v->config = *cfg;
        int r = loop_timer_new(cfg->parts.loop, on_idle, v, &v->idle);
        if (r == 0)
                r = adopt(v);
        if (r < 0) {
                volumes_free(v);
                return err_set(e, r, "out of memory");
        }
        *ret = v;
        return 0;
}

void volumes_free(struct volumes *v)
{
        if (!v)
                return;
        while (v->list)
                volume_free(v->list);
        loop_timer_free(v->idle);
        free(v);
}

void volumes_drain(struct volumes *v)
{
        v->draining = true;
}

void volumes_end(struct volumes *v)
{
        volumes_drain(v);
        for (struct volume *volume = v->list; volume; volume = volume->next) {
                note_failure(volume, RPC_UNAVAILABLE, "this driver ends");
                end(volume);
        }
        loop_timer_in(v->idle, 0);
}
