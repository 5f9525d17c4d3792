/* What one class shows: its objects as named files, kept current by the cache.
 *
 * view_open() subscribes to every object at once and reports once: ready with all files, or failed
 * with all reasons. After that each change is reported as the set of files whose bytes, time or
 * version are new; a file keeps its last good bytes whatever happens to the vault. Changes that
 * arrive together are reported together.
 *
 * An object with a history is a folder: FILE/0 is the version it starts at, FILE/1 the one before
 * it, and so on. Its versions are listed once per interval and its files move on together, when all
 * of them are there. The secret of a certificate may be several files (certificateFiles,
 * view_shape): all of one version, reported together.
 *
 * An object may be missing where the class says so (`optional`): it has no file then. A selector's
 * objects are those of the vault's list that it takes; they come and go with each list, have files
 * behind those of the class's objects, and may be missing too. What happens to the file of an
 * object that is deleted, disabled, expired or newly forbidden is the policy's to say.
 *
 * Events come from the loop, never from within a function of this header, and may call any of them,
 * view_close() included.
 *
 * Loop thread only, but a struct view_file is immutable and reference-counted: fs/ keeps references
 * to it in other threads.
 */
#pragma once

#include "base/sec.h"
#include "cache/cache.h"
#include "spc/spc.h"

/* All files of a view together; an object that would take it above fails. */
#define VIEW_BYTES_MAX ((size_t)64 << 20)

struct view;

/* The objects of a class, and those chosen by its selectors. */
#define VIEW_OBJECTS_MAX (2 * (size_t)SPC_OBJECTS_MAX)

/* What an object's type in a class is to the vault. */
enum vault_kind view_kind(enum spc_type type);
/* Does the selector choose this one of a vault's list? */
bool view_selects(const struct spc_selector *s, const struct vault_listed *o);

/* What is the matter with an object, by the vault's last word on it. */
enum view_trouble {
        VIEW_FINE,
        VIEW_FAILING,   /* no answer, or none that says anything of the object */
        VIEW_DELETED,   /* 404, or no enabled version */
        VIEW_DISABLED,  /* refused as disabled, or an object with enabled: false */
        VIEW_EXPIRED,   /* its last answer has an expiry that is past */
        VIEW_FORBIDDEN, /* 403 for who asks, not for where from (that is VIEW_FAILING) */
};
const char *view_trouble_name(enum view_trouble t); /* "ok", "failing", "deleted", ... */

/* Which of them take the file away; else the last good bytes are kept. VIEW_FAILING always keeps.
 */
struct view_policy {
        bool remove_deleted, remove_disabled, remove_expired, remove_forbidden;
};

/* One version of one file. */
struct view_file {
        const char *path; /* clean relative path: "tls/key" */
        int mode;         /* filePermission, or -1 */
        struct sec *bytes;
        int64_t mtime; /* the object's `updated` (else `created`), seconds; 0 unknown */
        enum vault_kind kind;
        const char *object_name;
        const char *object_id; /* with the concrete version */
        const char *version;
        const char *content_type;
        bool enabled;
        int64_t expires; /* VAULT_NO_TIME when never */
        uint64_t serial; /* grows with each new version of any file of this process */
        _Atomic unsigned refs;
        /* followed by private memory */
};
/* A file with the fields of proto: strings are copied, bytes get a reference. For what did not come
 * from a vault just now: a worker's successor, tests. */
int view_file_make(const struct view_file *proto, struct view_file **ret);
struct view_file *view_file_ref(struct view_file *f);
struct view_file *view_file_unref(struct view_file *f);
DEFINE_CLEANUP(struct view_file *, view_file_unref)

/* What the Azure provider takes as flags of the whole node, and a mount as options: the form of
 * certificates. All zero is the default there and here. */
struct view_shape {
        bool cert_key_files;   /* .crt and .key files beside the secret of a certificate */
        bool keep_chain_order; /* certificates stay as the PFX has them */
};

/* A vault that objects of the class name themselves. */
struct view_vault {
        const char *name;
        struct vault *vault;
};

struct view_config {
        const struct spc_class *class; /* borrowed until view_close */
        struct view_shape shape;
        struct vault *vault;             /* the class's; a reference is taken */
        const struct view_vault *vaults; /* one for each other name; references are taken */
        size_t n_vaults;
        usec_t poll_interval; /* CACHE_NO_POLL: never */
        struct view_policy policy;
        bool adopted; /* shown before: what the policy takes away is no failure to open */
};

/* What a poll came to. */
struct view_poll {
        bool changed;            /* a file is new, another one, or gone */
        const struct err *error; /* of the first object, as those of `ready`, that is not shown as
                                    the vault has it now; NULL: there is none */
        bool taken;              /* and the policy has taken its files away */
};

struct view_events {
        /* Once. errors has one entry for each object that failed (all of them, in the class's
         * order; each begins "object FILE: "), n_errors 0 when every file is there. After failure
         * nothing more is fetched; the view is still the caller's to close. */
        void (*ready)(void *userdata, const struct err *errors, size_t n_errors);
        /* After ready: files that changed, borrowed. A path may be new: a history grew. */
        void (*changed)(void *userdata, struct view_file *const *files, size_t n);
        /* Optional, after ready (and in the same turn): paths that are no more: a history shrank, a
         * certificate became a plain secret, a selector's object went, the policy says so. What
         * changed with them is reported first. */
        void (*removed)(void *userdata, const char *const *paths, size_t n);
        /* Optional: the same for paths that are to be refused (EACCES) until they change or are
         * removed. Without it they are removed. */
        void (*denied)(void *userdata, const char *const *paths, size_t n);
        /* Optional, after ready: objects were polled, and what that changed has been reported.
         * Answers that come in one turn of the loop are told together. */
        void (*polled)(void *userdata, const struct view_poll *poll);
        /* Optional: how many of how many objects are there, while they are first fetched. */
        void (*progress)(void *userdata, size_t have, size_t of);
};

int view_open(struct cache *c, const struct view_config *cfg, const struct view_events *events,
        void *userdata, struct view **ret, struct err *e);
void view_close(struct view *v); /* no callback after this */
DEFINE_CLEANUP(struct view *, view_close)

/* Poll every object now. done (optional) is called once when all have been tried, after `changed`;
 * error is the first failure in the class's order, or NULL. Only a lack of memory calls it from
 * within. */
void view_refresh(
        struct view *v, void (*done)(void *userdata, const struct err *error), void *userdata);

/* The current files, in the class's order; borrowed until the next turn of the loop. */
size_t view_files(const struct view *v, struct view_file *const **ret);

/* State behind file i of view_files(): ages, next poll, last error (the vault's, or why the newest
 * answer could not be shown). Borrowed as view_files(). For a file of a history it is that of the
 * list of versions, which is what is polled. */
void view_file_state(const struct view *v, size_t i, struct cache_state *ret);
enum view_trouble view_file_trouble(const struct view *v, size_t i);

/* Objects that have no file now: optional ones that are missing, and what the policy took away. */
struct view_absent {
        const struct spc_object *object;
        enum view_trouble trouble;
        bool taken; /* by the policy */
        struct cache_state state;
};
size_t view_n_absent(const struct view *v);
void view_get_absent(const struct view *v, size_t i, struct view_absent *ret);

/* The class's selectors, in its order. */
struct view_selected {
        const struct spc_selector *selector;
        size_t n_objects;
        struct cache_state state; /* of the list */
};
size_t view_n_selectors(const struct view *v);
void view_get_selected(const struct view *v, size_t i, struct view_selected *ret);
