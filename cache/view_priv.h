/* Inside a view: from the objects of a class to sources, from sources to files.
 *
 *   entry    one object of the class
 *   source   one subscription to the cache: the object itself, the list of its versions, or one of
 *            the versions of a history
 *   shown    one file as it is now
 *
 * A plain object has one member source, and one file unless it is a certificate shown as several.
 * An object with a history has a list source besides, and as many members as the list gives. An
 * entry's files move on together: when all its members are there and all of them can be rendered,
 * else not at all.
 *
 * Nothing here calls the view's events but the report in view.c, from a timer of its own: so a
 * callback of the cache never runs a user's code, and a user's code never runs inside one.
 */
#pragma once

#include "cache/view.h"

struct source {
        struct entry *entry;
        struct cache_sub *sub;
        char *version;               /* NULL for a list */
        struct vault_object *object; /* last good one; a reference */
        struct err error;            /* of the last try */
        bool tried;
        bool refreshing; /* a view_refresh() waits for its next answer */
        bool keep;       /* history.c, while it replaces members */
};

struct shown {
        struct view_file *file;
        struct vault_object *from; /* what file was made from: the same again needs no rendering */
        size_t member;             /* whose: all files of one lie together, in order */
        bool dirty;                /* not reported yet */
};

struct entry {
        struct view *view;
        const struct spc_object *object;
        struct source *list; /* NULL without history */
        struct source **members;
        size_t n_members;
        struct shown *shown;
        size_t n_shown;
        size_t first;            /* index of shown[0] in view_files() */
        struct err select_error; /* the list does not give what the class asks for */
        struct err show_error;   /* the members are there but cannot be shown */
};

/* view.c */
struct cache *view_cache(const struct view *v);
const char *view_vault_url(const struct view *v);
const struct view_shape *view_shape(const struct view *v);
/* One more subscription: to `version`, or with NULL to the list of versions. */
int source_new(struct entry *en, const char *version, struct source **ret);
struct source *source_free(struct source *s);
/* The entry shows `now` instead of what it showed; takes `now` over on success. -EFBIG above
 * VIEW_BYTES_MAX, -EEXIST when one of its names is another entry's. */
int view_replace(struct entry *en, struct shown *now, size_t n, struct err *e);
void shown_free(struct shown *list, size_t n);

/* view_file.c */
enum vault_kind view_kind(enum spc_type type);
/* index: of the version in a history, or -1; suffix: of one file among several, or "". */
int view_file_path(const struct spc_object *so, int index, const char *suffix, char **ret);
int view_file_new(const struct spc_object *so, const char *path, const struct vault_object *o,
        struct sec *bytes, uint64_t serial, struct view_file **ret);
/* Would a file of this object and these bytes look any different to those who read it? */
bool view_file_is(const struct view_file *f, const struct vault_object *o, const struct sec *bytes);

/* entry.c */
int entry_open(struct entry *en);
void entry_close(struct entry *en); /* unsubscribes; what is shown stays */
void entry_done(struct entry *en);
/* Shows what the members hold, if all of them are there. */
void entry_update(struct entry *en);
/* Everything it subscribes to was answered at least once, and nobody waits for a refresh of it. */
bool entry_is_settled(const struct entry *en);
void entry_refresh(struct entry *en);
/* Why the newest list or the newest answers cannot be shown; an empty error when they can. Logs the
 * transitions once there is something shown. Takes e's contents. */
void entry_select_error(struct entry *en, struct err *e);
/* The first reason why it is not there or not current, or NULL. */
const struct err *entry_error(const struct entry *en);

/* history.c: makes the members those that a new list of versions asks for. */
void history_select(struct entry *en, const struct cache_versions *versions);
