#include "scene.h"

#include <criterion/criterion.h>

void scene_new(struct scene *s)
{
        *s = (struct scene){.loop = simulated_loop()};
        s->fake = fake_new(s->loop);
        s->vault = fake_open(s->fake, FAKE_URL, "alice");
        s->other = fake_open(s->fake, FAKE_URL_2, "alice");
        s->class.vault = (char *)"one";
        s->class.selectors = calloc(10, sizeof *s->class.selectors);
        s->class.objects = calloc(SPC_OBJECTS_MAX, sizeof *s->class.objects);
        cr_assert_eq(cache_new(s->loop, &s->cache), 0);
}

void scene_free(struct scene *s)
{
        cache_free(s->cache);
        vault_unref(s->vault);
        vault_unref(s->other);
        fake_free(s->fake);
        loop_free(s->loop);
        for (size_t i = 0; i < s->class.n_objects; i++) {
                free(s->class.objects[i].name);
                free(s->class.objects[i].file);
                free(s->class.objects[i].version);
        }
        free(s->class.objects);
        free(s->class.selectors);
}

struct spc_selector *scene_select(struct scene *s, const char *glob)
{
        struct spc_selector *one = &s->class.selectors[s->class.n_selectors++];

        *one = (struct spc_selector){.like = {.name = (char *)"",
                                             .alias = (char *)"",
                                             .version = (char *)"",
                                             .vault = (char *)"",
                                             .file = (char *)"",
                                             .mode = -1,
                                             .history = 1},
                .prefix = (char *)"",
                .glob = (char *)(uintptr_t)glob,
                .tag = (char *)"",
                .max = SPC_SELECTED_DEFAULT};
        return one;
}

struct spc_object *scene_add(struct scene *s, const char *file, const char *name)
{
        struct spc_object *o = &s->class.objects[s->class.n_objects++];

        *o = (struct spc_object){.name = strdup(name),
                .file = strdup(file),
                .version = strdup(""),
                .mode = -1,
                .history = 1};
        return o;
}

static void close_if(struct watcher *w, char event)
{
        if (w->close_in == event) {
                view_close(w->view);
                w->view = NULL;
        }
}

static void on_ready(void *userdata, const struct err *errors, size_t n)
{
        struct watcher *w = userdata;

        cr_assert_leq(n, ELEMENTSOF(w->errors));
        w->ready++;
        w->n_errors = n;
        for (size_t i = 0; i < n; i++)
                cr_assert_eq(err_copy(&w->errors[i], &errors[i]), 0);
        close_if(w, 'r');
}

static void on_changed(void *userdata, struct view_file *const *files, size_t n)
{
        struct watcher *w = userdata;

        cr_assert_eq(w->ready, 1, "never before ready");
        cr_assert_leq(n, ELEMENTSOF(w->paths));
        cr_assert_gt(n, 0);
        w->changed++;
        w->n_paths = n;
        for (size_t i = 0; i < n; i++) {
                strncpy(w->paths[i], files[i]->path, sizeof w->paths[i] - 1);
                cr_assert_eq(watch_file(w, files[i]->path), files[i]);
        }
        close_if(w, 'c');
}

static void on_removed(void *userdata, const char *const *paths, size_t n)
{
        struct watcher *w = userdata;

        cr_assert_eq(w->ready, 1, "never before ready");
        cr_assert_leq(n, ELEMENTSOF(w->gone));
        cr_assert_gt(n, 0);
        w->removed++;
        w->n_gone = n;
        for (size_t i = 0; i < n; i++) {
                strncpy(w->gone[i], paths[i], sizeof w->gone[i] - 1);
                cr_assert_null(watch_file(w, paths[i]));
        }
        close_if(w, 'g');
}

static void on_denied(void *userdata, const char *const *paths, size_t n)
{
        struct watcher *w = userdata;

        cr_assert_leq(n, ELEMENTSOF(w->denied_paths));
        w->denied++;
        w->n_denied_paths = n;
        for (size_t i = 0; i < n; i++) {
                strncpy(w->denied_paths[i], paths[i], sizeof w->denied_paths[i] - 1);
                cr_assert_null(watch_file(w, paths[i]));
        }
}

static void on_progress(void *userdata, size_t have, size_t of)
{
        struct watcher *w = userdata;

        cr_assert_eq(w->ready, 0, "never after ready");
        cr_assert_gt(have, w->have);
        w->progress++;
        w->have = have;
        w->of = of;
        close_if(w, 'p');
}

static void on_polled(void *userdata, const struct view_poll *poll)
{
        struct watcher *w = userdata;

        cr_assert_gt(w->ready, 0, "never before ready");
        w->polled++;
        w->poll_changed = poll->changed;
        w->poll_taken = poll->taken;
        err_done(&w->poll_error);
        if (poll->error)
                cr_assert_eq(err_copy(&w->poll_error, poll->error), 0);
        close_if(w, 'o');
}

static void on_refreshed(void *userdata, const struct err *error)
{
        struct watcher *w = userdata;

        w->refreshed++;
        err_done(&w->refresh_error);
        if (error)
                cr_assert_eq(err_copy(&w->refresh_error, error), 0);
        close_if(w, 'f');
}

void watch(struct watcher *w, struct scene *s, usec_t interval)
{
        static const struct view_events events = {.ready = on_ready,
                .changed = on_changed,
                .removed = on_removed,
                .denied = on_denied,
                .polled = on_polled,
                .progress = on_progress};
        const struct view_vault vaults[] = {{"other", s->other}};
        const struct view_config cfg = {.class = &s->class,
                .shape = s->shape,
                .vault = s->vault,
                .vaults = vaults,
                .n_vaults = 1,
                .poll_interval = interval,
                .policy = s->policy,
                .adopted = s->adopted};

        w->scene = s;
        cr_assert_eq(view_open(s->cache, &cfg, &events, w, &w->view, NULL), 0);
        cr_assert_eq(w->ready + w->progress, 0, "never from within view_open()");
}

void watch_end(struct watcher *w)
{
        view_close(w->view);
        for (size_t i = 0; i < w->n_errors; i++)
                err_done(&w->errors[i]);
        err_done(&w->refresh_error);
        err_done(&w->poll_error);
}

void watch_refresh(struct watcher *w)
{
        unsigned before = w->refreshed;

        view_refresh(w->view, on_refreshed, w);
        cr_assert_eq(w->refreshed, before, "never from within view_refresh()");
}

static size_t find(const struct watcher *w, const char *path, struct view_file *const **files)
{
        size_t n = view_files(w->view, files), i = 0;

        while (i < n && !streq((*files)[i]->path, path))
                i++;
        return i < n ? i : SIZE_MAX;
}

struct view_file *watch_file(const struct watcher *w, const char *path)
{
        struct view_file *const *files;
        size_t i = find(w, path, &files);

        return i == SIZE_MAX ? NULL : files[i];
}

const char *watch_read(const struct watcher *w, const char *path)
{
        static char text[256];
        struct view_file *f = watch_file(w, path);

        if (!f)
                return "(none)";
        cr_assert_lt(sec_len(f->bytes), sizeof text);
        memcpy(text, sec_bytes(f->bytes), sec_len(f->bytes));
        text[sec_len(f->bytes)] = '\0';
        return text;
}

struct cache_state watch_state(const struct watcher *w, const char *path)
{
        struct view_file *const *files;
        struct cache_state state;
        size_t i = find(w, path, &files);

        cr_assert_neq(i, SIZE_MAX);
        view_file_state(w->view, i, &state);
        return state;
}
