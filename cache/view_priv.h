/* Inside a view: from the objects of a class to sources, from sources to files.
 *
 *   entry    one object of the class, or one that a selector chose
 *   selector one element of objectSelector: a subscription to the vault's list of names
 *   source   one subscription to the cache: the object itself, the list of its versions, or one of
 *            the versions of a history
 *   shown    one file as it is now
 *
 * A plain object has one member source, and one file unless it is a certificate shown as several.
 * An object with a history has a list source besides, and as many members as the list gives. An
 * entry's files move on together: when all its members are there and all of them can be rendered,
 * else not at all.
 *
 * Nothing here calls the view's events but view_report.c, from a timer of its own: so a callback of
 * the cache never runs a user's code, and a user's code never runs inside one.
 */
#pragma once

#include <sys/queue.h>

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

struct selector {
        struct view *view;
        const struct spc_selector *spec;
        struct vault *vault; /* a reference */
        struct cache_sub *sub;
        struct err error;        /* of the last list */
        struct err select_error; /* the list cannot be shown as the class asks for */
        bool tried, refreshing;
};

struct entry {
        struct view *view;
        const struct spc_object *object;
        struct vault *vault;       /* a reference */
        struct selector *selector; /* that chose it, or NULL */
        struct spc_object chosen;  /* then `object`: name and file are its own */
        struct source *list;       /* NULL without history */
        struct source **members;
        size_t n_members;
        struct shown *shown;
        size_t n_shown;
        size_t first;            /* index of shown[0] in view_files() */
        struct err select_error; /* the list does not give what the class asks for */
        struct err show_error;   /* the members are there but cannot be shown */

        enum view_trouble taken; /* why the policy took its files away, or VIEW_FINE */
        struct err taken_error;  /* the same in words, where the vault said nothing */
        char **away;             /* the paths it took away; none while it is VIEW_FINE */
        size_t n_away;
};

struct gone {
        char *path;
        bool denied;
};

enum view_state { VIEW_OPENING, VIEW_READY, VIEW_FAILED };

struct waiter {
        SLIST_ENTRY(waiter) link;
        void (*done)(void *userdata, const struct err *error);
        void *userdata;
};
SLIST_HEAD(waiters, waiter);

struct view {
        struct cache *cache;
        usec_t poll_interval;
        struct view_policy policy;
        struct view_shape shape;
        bool adopted;
        struct view_events events;
        void *userdata;

        enum view_state state;
        struct entry **entries; /* as the class's objects, then those that selectors chose */
        size_t n_entries, entries_size;
        struct selector *selectors;
        size_t n_selectors;
        struct view_file **files;
        size_t n_files, files_size;
        size_t bytes;
        struct err failure; /* the first one of a view that failed */

        struct loop_timer *report;
        struct loop_timer *expiry; /* the policy's, for what is not polled at that very time */
        size_t reported_have;
        bool polled;       /* an answer came that has not been reported */
        struct gone *gone; /* not reported yet */
        size_t n_gone;
        struct waiters refreshing;

        bool reporting; /* the caller's code is running */
        bool closed;    /* by that code: nothing but the struct itself is left */
};

/* view_report.c */
void view_on_report(void *userdata); /* the report timer's */
/* To be reported as gone, or as refused. */
int view_gone(struct view *v, const char *path, bool denied);
void view_forget_gone(struct view *v);

/* view.c */
void view_report_soon(struct view *v);
/* One more entry, opened; *en is taken over, also on failure. */
int view_add(struct view *v, struct entry *en);
/* Its files are reported as gone. -ENOMEM: nothing has happened. */
int view_drop(struct view *v, struct entry *en);
/* One more subscription: to `version`, or with NULL to the list of versions. */
int source_new(struct entry *en, const char *version, struct source **ret);
struct source *source_free(struct source *s);
/* The entry shows `now` instead of what it showed; takes `now` over on success. -EFBIG above
 * VIEW_BYTES_MAX, -EEXIST when one of its names is another entry's. */
int view_replace(struct entry *en, struct shown *now, size_t n, struct err *e);
void shown_free(struct shown *list, size_t n);

/* names.c */
bool names_clash(const char *a, const char *b); /* the same, or one is a folder above the other */
bool shown_has(const struct shown *list, size_t n, const char *path);
/* -EEXIST when a name of `now` clashes with what another entry shows: the later one gives way. */
int entry_check_names(const struct entry *en, const struct shown *now, size_t n, struct err *e);

/* view_file.c */
/* index: of the version in a history, or -1; suffix: of one file among several, or "". */
int view_file_path(const struct spc_object *so, int index, const char *suffix, char **ret);
int view_file_new(const struct spc_object *so, const char *path, const struct vault_object *o,
        struct sec *bytes, uint64_t serial, struct view_file **ret);
/* Would a file of this object and these bytes look any different to those who read it? */
bool view_file_is(const struct view_file *f, const struct vault_object *o, const struct sec *bytes);

/* policy.c */
int policy_open(struct view *v); /* makes v->expiry */
void policy_watch_expiry(struct view *v);
enum view_trouble entry_trouble(const struct entry *en);
void entry_forget_away(struct entry *en);
/* Takes its files away when the policy says so; true when it has none by that. */
bool entry_is_taken(struct entry *en);
/* It may be missing, and is. */
bool entry_is_absent(const struct entry *en);

/* selector.c */
int selector_open(struct selector *s);
void selector_done(struct selector *s);
static inline bool selector_is_settled(const struct selector *s)
{
        return s->tried && !s->refreshing;
}
const struct err *selector_error(const struct selector *s);

/* entry.c */
struct entry *entry_free(struct entry *en);
int entry_open(struct entry *en);
void entry_close(struct entry *en); /* unsubscribes; what is shown stays */
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
