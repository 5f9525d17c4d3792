/* What the tests of a view start from: a class of objects, and who watches the view. */
#pragma once

#include "cache/view.h"
#include "fake_vault.h"

#define SECOND USEC_PER_SEC
#define MINUTE (60 * USEC_PER_SEC)
#define INTERVAL (2 * MINUTE)

struct scene {
        struct loop *loop;
        struct fake *fake;
        struct cache *cache;
        struct vault *vault, *other; /* other: called "other" by objects */
        struct spc_class class;
        struct view_shape shape; /* of what is watched from now on */
        struct view_policy policy;
        bool adopted;
};

void scene_new(struct scene *s);
void scene_free(struct scene *s);
/* Adds a secret shown as `file` to the class. */
struct spc_object *scene_add(struct scene *s, const char *file, const char *name);

/* Adds a selector of secrets; glob is a literal. */
struct spc_selector *scene_select(struct scene *s, const char *glob);

/* What one view told of itself. */
struct watcher {
        struct scene *scene;
        struct view *view;
        unsigned ready, changed, removed, progress, refreshed, polled;
        size_t n_errors;
        struct err errors[20];
        char paths[20][64]; /* of the last changed */
        size_t n_paths;
        char gone[20][64]; /* of the last removed */
        size_t n_gone;
        char denied_paths[20][64]; /* of the last denied */
        size_t n_denied_paths;
        unsigned denied;
        size_t have, of;
        struct err refresh_error;
        struct err poll_error; /* of the last polled */
        bool poll_changed, poll_taken;
        /* Closes the view within that event: 'r'eady, 'c'hanged, 'g'one, 'p'rogress, 'f'reshed,
         * p'o'lled. */
        char close_in;
};

void watch(struct watcher *w, struct scene *s, usec_t interval);
void watch_end(struct watcher *w);
void watch_refresh(struct watcher *w);
/* The file of that path, or NULL. */
struct view_file *watch_file(const struct watcher *w, const char *path);
/* Its bytes; "(none)" when it is not there. */
const char *watch_read(const struct watcher *w, const char *path);
/* State of the file of that path. */
struct cache_state watch_state(const struct watcher *w, const char *path);
