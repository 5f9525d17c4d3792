#include "csi/volumes.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "csi/callers.h"

#define TEXT_MAX ((size_t)RPC_TEXT_MAX)

enum state { ASKING, MOUNTING, MOUNTED, ENDING, CLEARING };

struct volume {
        struct volume *next;
        struct volumes *all;
        enum state state;
        char *path;
        struct pod_volume who;          /* empty while it is only cleared */
        struct publish_request request; /* while it is asked for; wiped then */
        struct kube_call *asking;
        struct class_mount *mount;
        struct callers publishers, unpublishers;
        size_t have, of;
        usec_t began, asked; /* of the publish, and when the class had come */
        /* What publishers are told in the end. */
        enum rpc_code code;
        char *text;
        bool orphaned;           /* nobody waits for it: it is given up */
        struct loop_timer *step; /* what must not happen within a callback */
};

struct volumes {
        struct volumes_config config;
        struct volume *list;
        size_t n;
        bool draining;
        struct loop_timer *idle;
};

static struct volume *find(const struct volumes *v, const char *path)
{
        for (struct volume *volume = v->list; volume; volume = volume->next)
                if (streq(volume->path, path))
                        return volume;
        return NULL;
}

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
        note_failure(volume, pod_class_code(e), "%s%s%s", err_text(e), e->hint ? ". " : "",
                e->hint ? e->hint : "");
        for (char *p = volume->text; p && *p; p++)
                if (*p == '\n')
                        *p = ' ';
}

static void gone(struct volume *volume)
{
        const char *text = volume->text ? volume->text : "out of memory";
        enum rpc_code code = volume->code != RPC_OK ? volume->code : RPC_ABORTED;

        if (volume->publishers.list)
                log_error("publish of %s: %s: %s", volume->path, rpc_code_name(code), text);
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
        note_failure(volume, RPC_ABORTED, "nobody waited for it any more");
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

/* Of several objects the first says most; the others are named. A cause that all have in common is
 * told once. */
static void note_errors(struct volume *volume, const struct err *errors, size_t n)
{
        _cleanup_err_ struct err e = {0};

        (void)err_copy(&e, &errors[0]);
        for (size_t i = 1; i < n && !err_cause_is_common(e.cause); i++) {
                _cleanup_free_ char *hint = e.hint ? strdup(e.hint) : NULL;
                size_t len = strlen(err_text(&e));

                if (len > TEXT_MAX / 2)
                        break;
                err_set_cause(&e, e.cause, e.code, "%.*s; %s", (int)len, err_text(&e),
                        err_text(&errors[i]));
                if (hint)
                        err_hint(&e, "%s", hint);
        }
        pod_class_failed(volume->who.pod_namespace, volume->who.pod_name, &e);
        note_error(volume, &e);
}

static double ms_since(const struct volume *volume, usec_t when)
{
        return (double)(loop_now(volume->all->config.parts.loop) - when) / (double)USEC_PER_MSEC;
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
        log_info("published %s of pod %s/%s at %s in %.1f ms (class %.1f ms)",
                volume->who.class_name, volume->who.pod_namespace, volume->who.pod_name,
                volume->path, ms_since(volume, volume->began),
                (double)(volume->asked - volume->began) / (double)USEC_PER_MSEC);
        callers_answer(&volume->publishers, RPC_OK, NULL);
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
        .progress = on_progress, .started = on_started, .gone = on_gone};

static int begin_mount(struct volume *volume, const cJSON *object, struct err *e)
{
        _cleanup_mount_request_ struct mount_request q = {0};
        const struct volumes_config *cfg = &volume->all->config;

        int r = pod_class_request(&cfg->class, &volume->request, object, &q, e);
        if (r < 0)
                return r;
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
static void refresh_token(struct volume *volume, const struct publish_request *r)
{
        _cleanup_sec_ struct sec *token = NULL;
        _cleanup_err_ struct err e = {0};

        if (!r->tokens)
                return;
        if (!streq(r->pod_namespace, volume->who.pod_namespace) ||
                !streq(r->service_account, volume->who.service_account)) {
                log_error("republish of %s: the tokens of %s/%s are not those of its pod",
                        volume->path, r->pod_namespace, r->service_account);
                return;
        }
        int k = pod_identity_token(r, volume->who.binding, &token, &e);
        /* a volume of another kind of identity may well have none for this audience */
        if (k == 0)
                k = class_mount_set_token(volume->mount, token);
        else if (k == -ENOENT)
                return;
        if (k < 0)
                log_error("republish of %s: %s", volume->path,
                        e.code ? err_text(&e) : "the token is not taken");
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

        int k = pod_volume_copy(r, false, &volume->who);
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
        struct volume *volume = find(v, r->target_path);
        _cleanup_err_ struct err e = {0};

        if (volume) {
                publish_again(volume, r, call);
                return;
        }
        if (v->draining) {
                rpc_fail(call, RPC_UNAVAILABLE, "this driver ends, and its successor will answer");
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
        struct volume *volume = find(v, path);
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

/* --- looking --- */

bool volumes_is_mounted(const struct volumes *v, const char *path, const char *volume_id)
{
        const struct volume *volume = find(v, path);

        return volume && volume->state == MOUNTED && streq(volume->who.volume_id, volume_id);
}

struct class_mount *volumes_find(const struct volumes *v, const char *path)
{
        const struct volume *volume = find(v, path);

        return volume && volume->state == MOUNTED ? volume->mount : NULL;
}

size_t volumes_mounts(const struct volumes *v, struct class_mount ***ret)
{
        struct class_mount **list = calloc(v->n + 1, sizeof(struct class_mount *));
        size_t n = 0;

        for (const struct volume *volume = v->list; list && volume; volume = volume->next)
                if (volume->mount)
                        list[n++] = volume->mount;
        *ret = list;
        return n;
}

size_t volumes_count(const struct volumes *v)
{
        return v->n;
}

bool volumes_are_quiet(const struct volumes *v)
{
        for (const struct volume *volume = v->list; volume; volume = volume->next)
                if (volume->state != MOUNTED)
                        return false;
        return true;
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
