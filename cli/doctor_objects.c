#include "cli/doctor_objects.h"

#include <stdio.h>
#include <time.h>

#include "mount/status_json.h"

/* One request, and what came of it; of a named object or of a selector's list. */
struct probe {
        const struct spc_object *object;
        const struct spc_selector *selector;
        struct vault_call *call;
        size_t *waiting;
        struct err error;
        bool done;

        char version[64];
        bool enabled;
        int64_t expires, not_before;
        size_t n_versions, n_listed, n_chosen;
};

static struct vault *vault_of(const struct direct *way, const struct spc_object *o)
{
        for (size_t i = 0; i < way->others.n; i++)
                if (streq(way->others.list[i].name, o->vault))
                        return way->others.list[i].vault;
        return way->vault;
}

static void finish(struct probe *p, const struct err *error)
{
        p->call = NULL;
        p->done = true;
        --*p->waiting;
        (void)err_copy(&p->error, error);
}

static void on_object(void *userdata, const struct vault_answer *answer)
{
        struct probe *p = userdata;
        const struct vault_object *o = answer->object;

        if (o) {
                snprintf(p->version, sizeof p->version, "%s", o->version);
                p->enabled = o->enabled;
                p->expires = o->expires;
                p->not_before = o->not_before;
        }
        finish(p, answer->error);
}

static void on_versions(void *userdata, const struct vault_version *versions, size_t n,
        const struct err *error, unsigned retry_after)
{
        struct probe *p = userdata;

        p->n_versions = n;
        finish(p, error);
        if (!error && n == 0)
                err_set_cause(&p->error, ERR_NOT_FOUND, -ENOENT,
                        "failed to get versions of objectType:%s, objectName:%s: there is none that "
                        "is enabled",
                        spc_type_name(p->object->type), p->object->name);
}

static void on_names(
        void *userdata, struct vault_names *names, const struct err *error, unsigned retry_after)
{
        struct probe *p = userdata;

        for (size_t i = 0; names && i < names->n; i++)
                p->n_chosen += view_selects(p->selector, &names->list[i]);
        p->n_listed = names ? names->n : 0;
        finish(p, error);
}

static void start(const struct direct *way, struct probe *p, size_t *waiting)
{
        const struct spc_object *o = p->selector ? &p->selector->like : p->object;
        struct vault *v = vault_of(way, o);
        int r;

        p->waiting = waiting;
        if (p->selector)
                r = vault_list_names(v, view_kind(o->type), on_names, p, &p->call);
        else if (o->history > 1)
                r = vault_list_versions(v, view_kind(o->type), o->name, on_versions, p, &p->call);
        else
                r = vault_get(v, view_kind(o->type), o->name, o->version, on_object, p, &p->call);
        if (r == 0) {
                ++*waiting;
                return;
        }
        p->done = true;
        err_set_cause(&p->error, r == -EINVAL ? ERR_USAGE : ERR_LOCAL, r,
                "%s cannot be asked for: %s", o->name, strerror(-r));
}

/* --- telling --- */

static void tell_object(const struct probe *p, struct doctor_report *r)
{
        const struct spc_object *o = p->object;
        int64_t now = time(NULL);
        char when[32];

        if (o->history > 1) {
                doctor_say(r, DOCTOR_OBJECT, DOCTOR_OK, o->file, NULL,
                        "%s %s: %zu enabled versions", spc_type_name(o->type), o->name,
                        p->n_versions);
                return;
        }
        const char *note = NULL;
        if (!p->enabled)
                note = "it is disabled";
        else if (p->expires != VAULT_NO_TIME && p->expires <= now)
                note = "it has expired";
        else if (p->not_before != VAULT_NO_TIME && p->not_before > now)
                note = "it is not valid yet";
        const char *expires = status_time(p->expires, when);
        doctor_say(r, DOCTOR_OBJECT, note ? DOCTOR_NOTE : DOCTOR_OK, o->file, NULL,
                "%s %s: version %s%s%s%s%s", spc_type_name(o->type), o->name, p->version,
                expires ? ", expires " : "", expires ? expires : "", note ? "; " : "",
                note ? note : "");
}

static void tell_selector(const struct probe *p, struct doctor_report *r)
{
        _cleanup_free_ char *words = NULL;

        (void)spc_selector_describe(p->selector, &words);
        const char *subject = words ? words : "selector";
        if (p->error.code)
                doctor_fail(r, DOCTOR_OBJECT, subject, &p->error);
        else if (p->n_chosen > p->selector->max)
                doctor_say(r, DOCTOR_OBJECT, DOCTOR_FAIL, subject,
                        "raise `max` of the selector, or choose fewer",
                        "%zu objects are chosen, and at most %u can be shown", p->n_chosen,
                        p->selector->max);
        else
                doctor_say(r, DOCTOR_OBJECT, p->n_chosen ? DOCTOR_OK : DOCTOR_NOTE, subject, NULL,
                        "%zu of %zu enabled objects", p->n_chosen, p->n_listed);
}

static void tell(const struct probe *p, struct doctor_report *r)
{
        enum err_cause cause = p->error.cause;

        if (p->selector)
                tell_selector(p, r);
        else if (p->error.code && p->object->optional &&
                 (cause == ERR_NOT_FOUND || cause == ERR_DISABLED))
                doctor_say(r, DOCTOR_OBJECT, DOCTOR_OK, p->object->file, NULL,
                        "%s %s: is missing, and may be (optional)", spc_type_name(p->object->type),
                        p->object->name);
        else if (p->error.code)
                doctor_fail(r, DOCTOR_OBJECT, p->object->file, &p->error);
        else
                tell_object(p, r);
}

void doctor_check_objects(
        const struct direct *way, const struct spc_class *class, struct doctor_report *r)
{
        size_t n = class->n_objects + class->n_selectors, waiting = 0;
        struct probe *probes = calloc(n + 1, sizeof *probes);
        int e = probes ? 0 : -ENOMEM;

        for (size_t i = 0; i < n && e == 0; i++) {
                if (i < class->n_objects)
                        probes[i].object = &class->objects[i];
                else
                        probes[i].selector = &class->selectors[i - class->n_objects];
                start(way, &probes[i], &waiting);
        }
        while (e >= 0 && waiting > 0)
                e = loop_turn(way->loop, USEC_INFINITY);
        for (size_t i = 0; probes && i < n; i++) {
                if (probes[i].done)
                        tell(&probes[i], r);
                probes[i].call = vault_cancel(probes[i].call);
                err_done(&probes[i].error);
        }
        if (e < 0)
                doctor_say(r, DOCTOR_OBJECT, DOCTOR_FAIL, NULL, NULL, "%s", strerror(-e));
        free(probes);
}
