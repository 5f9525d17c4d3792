#include "csi/classes.h"

#include <sys/queue.h>

#include "base/log.h"
#include "csi/kube_watch.h"

/* Numbers of JSON are exact up to here, and no class is changed as often. */
#define GENERATION_MAX 9007199254740992.0

struct class_use {
        LIST_ENTRY(class_use) entry;
        struct watched *watched;
        char *uid;
        uint64_t generation;
        class_change_fn fn;
        void *userdata;
        enum class_change told;
};

struct watched {
        LIST_ENTRY(watched) entry;
        struct classes *all;
        char *namespace, *name;
        struct kube_watch *watch;
        LIST_HEAD(, class_use) uses;
        struct loop_timer *linger; /* runs while there is none */
        struct loop_timer *late;   /* one came for which the news is not new */
        bool failing;
        bool is_there; /* at the last word of the watch: */
        char *uid;
        uint64_t generation;
};

struct classes {
        struct kube *kube;
        struct loop *loop;
        LIST_HEAD(, watched) list;
        size_t n, n_failing;
};

struct class_version class_version_of(const cJSON *object)
{
        const cJSON *metadata = json_get(object, "metadata");
        const cJSON *generation = json_get(metadata, "generation");
        const char *uid = json_string(metadata, "uid");
        struct class_version v = {.uid = uid ? uid : ""};

        if (cJSON_IsNumber(generation) && generation->valuedouble > 0 &&
                generation->valuedouble < GENERATION_MAX)
                v.generation = (uint64_t)generation->valuedouble;
        return v;
}

/* --- telling --- */

static void tell(struct class_use *u, enum class_change now)
{
        if (u->told == now)
                return;
        u->told = now;
        u->fn(u->userdata, now);
}

static enum class_change change_of(const struct class_use *u, const struct watched *w)
{
        if (!w->is_there)
                return CLASS_GONE;
        if (!*u->uid || !*w->uid)
                return CLASS_SAME; /* nobody can tell */
        /* A volume may have been mounted from a newer one than the watch has heard of yet. */
        return !streq(u->uid, w->uid) || w->generation > u->generation ? CLASS_CHANGED : CLASS_SAME;
}

static void on_changed(void *userdata, const cJSON *object)
{
        struct watched *w = userdata;
        struct class_version v = class_version_of(object);
        struct class_use *u;

        char *uid = strdup(v.uid);
        if (!uid)
                return; /* the next change tells of this one too */
        free(w->uid);
        w->uid = uid;
        w->is_there = object;
        w->generation = v.generation;
        LIST_FOREACH (u, &w->uses, entry)
                tell(u, change_of(u, w));
}

/* Of a newer generation of the same class the watch knew before the volume was there. */
static void on_late(void *userdata)
{
        const struct watched *w = userdata;
        struct class_use *u;

        LIST_FOREACH (u, &w->uses, entry)
                if (w->is_there && streq(u->uid, w->uid))
                        tell(u, change_of(u, w));
}

static void count_failing(struct watched *w, bool failing, const struct err *error)
{
        struct classes *c = w->all;

        if (w->failing == failing)
                return;
        w->failing = failing;
        c->n_failing += failing ? 1 : -(size_t)1;
        if (failing && c->n_failing == 1)
                log_warning("changes of secretproviderclass %s/%s, and perhaps of others, are not "
                            "noticed for the time being: %s" ERR_HINT_FMT,
                        w->namespace, w->name, err_text(error), ERR_HINT_ARGS(error));
        if (c->n_failing == 0)
                log_info("changes of all classes in use are noticed again");
}

static void on_trouble(void *userdata, const struct err *error)
{
        count_failing(userdata, error != NULL, error);
}

/* --- the watches --- */

static void watched_free(struct watched *w)
{
        struct classes *c = w->all;

        LIST_REMOVE(w, entry);
        c->n--;
        c->n_failing -= w->failing;
        kube_watch_free(w->watch);
        loop_timer_free(w->linger);
        loop_timer_free(w->late);
        free(w->namespace);
        free(w->name);
        free(w->uid);
        free(w);
}

static void on_linger(void *userdata)
{
        watched_free(userdata);
}

static struct watched *find(const struct classes *c, const char *namespace, const char *name)
{
        struct watched *w;

        LIST_FOREACH (w, &c->list, entry)
                if (streq(w->name, name) && streq(w->namespace, namespace))
                        return w;
        return NULL;
}

static int start(struct watched *w)
{
        static const struct kube_watch_events events = {
                .changed = on_changed, .trouble = on_trouble};
        const struct classes *c = w->all;
        _cleanup_free_ char *path = NULL;

        int r = w->namespace && w->name && w->uid ? 0 : -ENOMEM;
        if (r == 0)
                r = loop_timer_new(c->loop, on_linger, w, &w->linger);
        if (r == 0)
                r = loop_timer_new(c->loop, on_late, w, &w->late);
        if (r == 0)
                r = kube_class_path(w->namespace, NULL, &path);
        if (r == 0)
                r = kube_watch_new(c->kube, c->loop, path, w->name, &events, w, &w->watch);
        return r;
}

static int watched_new(
        struct classes *c, const char *namespace, const char *name, struct watched **ret)
{
        struct watched *w = calloc(1, sizeof *w);

        if (!w)
                return -ENOMEM;
        w->all = c;
        LIST_INIT(&w->uses);
        LIST_INSERT_HEAD(&c->list, w, entry);
        c->n++;
        w->namespace = strdup(namespace);
        w->name = strdup(name);
        w->uid = strdup("");
        int r = start(w);
        if (r < 0) {
                watched_free(w);
                return r;
        }
        *ret = w;
        return 0;
}

/* --- uses --- */

int class_use_new(struct classes *c, const char *namespace, const char *name,
        const struct class_version *mounted, class_change_fn fn, void *userdata,
        struct class_use **ret)
{
        struct watched *w = find(c, namespace, name);
        struct class_use *u = calloc(1, sizeof *u);
        char *uid = strdup(mounted->uid);

        int r = u && uid ? 0 : -ENOMEM;
        if (r == 0 && !w)
                r = watched_new(c, namespace, name, &w);
        if (r < 0) {
                free(u);
                free(uid);
                return r;
        }
        *u = (struct class_use){.watched = w,
                .uid = uid,
                .generation = mounted->generation,
                .fn = fn,
                .userdata = userdata};
        LIST_INSERT_HEAD(&w->uses, u, entry);
        loop_timer_off(w->linger);
        loop_timer_in(w->late, 0);
        *ret = u;
        return 0;
}

struct class_use *class_use_free(struct class_use *u)
{
        if (!u)
                return NULL;
        struct watched *w = u->watched;

        LIST_REMOVE(u, entry);
        free(u->uid);
        free(u);
        if (LIST_EMPTY(&w->uses))
                loop_timer_in(w->linger, CLASSES_LINGER);
        return NULL;
}

/* --- all of them --- */

size_t classes_watched(const struct classes *c, size_t *ret_failing)
{
        *ret_failing = c->n_failing;
        return c->n;
}

int classes_new(struct kube *k, struct loop *l, struct classes **ret)
{
        struct classes *c = calloc(1, sizeof *c);

        if (!c)
                return -ENOMEM;
        c->kube = k;
        c->loop = l;
        LIST_INIT(&c->list);
        *ret = c;
        return 0;
}

void classes_free(struct classes *c)
{
        if (!c)
                return;
        while (!LIST_EMPTY(&c->list))
                watched_free(LIST_FIRST(&c->list));
        free(c);
}
