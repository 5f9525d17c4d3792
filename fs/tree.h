/* The inode table of one mounted class.
 *
 * A version of a file is an inode and never changes; a rotation makes a new one and puts it under
 * the old name. A superseded inode is answered for until the kernel forgets it, so that a
 * descriptor goes on reading the version it opened. Node ids are 64-bit values with an epoch in
 * them, never pointers and never used twice on a connection; st_ino stays below 2^32 for 32-bit
 * programs.
 *
 * A rotation is planned here before it happens: tree_stage() links the new inode under a name of
 * 128 random bits that nothing lists, a child of the keeper renames that over the final name
 * through the kernel, and tree_rename() accepts exactly that one request. What is planned is the
 * authority, never the caller's ids. A rename that was applied is answered with success again, so
 * that a request which the kernel sends twice does no harm.
 *
 * All files together are a generation as well: a folder TREE_GENERATION_PREFIX and a number, whose
 * inodes and sub-folders are its own and never change, and the symlink TREE_DATA, which points to
 * one and is replaced by the same kind of rename. They share the bytes with the plain names and
 * nothing else. Names of a class never begin with "..".
 *
 * Thread-safe: every function takes the table's lock and none blocks or calls out under it. LOOKUP,
 * GETATTR and READ allocate nothing. Proven by tests/unit/fs/tree.c and tree_generation.c.
 */
#pragma once

#include <sys/stat.h>

#include "cache/view.h"
#include "fs/keeper_proto.h"
#include "fs/snapshot.h"

#define TREE_ROOT ((uint64_t)1)
#define TREE_DATA "..data"
#define TREE_GENERATION_PREFIX ".."
#define TREE_GENERATION_SIZE 24 /* of a generation's name, with its NUL */

struct tree;

struct tree_config {
        uint32_t epoch; /* in the upper bits of every node id; differs between two workers */
        uid_t uid, dir_uid;
        gid_t gid, dir_gid;
        mode_t mode; /* of files whose object has no filePermission */
        /* What the owner writes down of the mount in a new area, before the table's own records;
         * under the table's lock. Optional. */
        void (*dump)(void *userdata, struct snapshot_mount *m);
        void *userdata;
};

int tree_new(const struct tree_config *cfg, struct tree **ret);
void tree_free(struct tree *t);
DEFINE_CLEANUP(struct tree *, tree_free)

/* --- for the kernel: any thread --- */

/* 0 and one look-up counted for *ret_id; -ENOENT, with *ret_cacheable telling whether the kernel
 * may remember the absence; -EACCES for a name that is denied; -ESTALE for a parent that is
 * unknown; -EIO once withdrawn. */
int tree_lookup(struct tree *t, uint64_t parent, const char *name, uint64_t *ret_id,
        struct stat *ret_st, bool *ret_cacheable);
void tree_forget(struct tree *t, uint64_t id, uint64_t n);
int tree_getattr(struct tree *t, uint64_t id, struct stat *ret);
/* -EINVAL for what is no symlink, -ESTALE. */
int tree_readlink(struct tree *t, uint64_t id, char ret[TREE_GENERATION_SIZE]);
/* A reference to the version behind a file's node. -EISDIR, -EINVAL (a symlink), -ESTALE, -EIO. */
int tree_read(struct tree *t, uint64_t id, struct view_file **ret);
/* Where every listing of every folder ends. The kernel remembers a listing from the first offset
 * to the last; one that was begun and not ended, whose folder then changed or whose page was
 * taken back, it would otherwise never complete and never begin again, and ask the worker for
 * that folder's listings for ever (Linux 6.18 fs/fuse/readdir.c, fuse_add_dirent_to_cache and
 * fuse_readdir_cache_end; the test is test_warm.py,
 * test_a_listing_that_was_left_half_way_is_warm_again). What this does not cure is a folder too
 * large for one answer of a page, left between two of them and its page taken back before anybody
 * lists it whole. Within 31 bits, so that programs of 32 bits can seek there; folders count their
 * names' offsets from 3, one for each name they ever had. */
#define TREE_LISTING_END INT32_MAX
/* Calls fn for each name after `offset` (0: from the start) with the offset that continues behind
 * it, until fn returns false. Under the lock: fn only copies. Behind the last of a folder it goes
 * on at TREE_LISTING_END. */
typedef bool (*tree_name_fn)(void *userdata, const char *name, const struct stat *st, off_t next);
int tree_readdir(struct tree *t, uint64_t id, off_t offset, tree_name_fn fn, void *userdata);
/* 0 when this is the planned rename, now or already applied; -EINTR when it only has the kernel
 * forget a name that is no more (see tree_plan_removal); else -EROFS. The second with
 * RENAME_EXCHANGE: a plan is for one of them. */
int tree_rename(struct tree *t, uint64_t parent, const char *name, uint64_t new_parent,
        const char *new_name);
int tree_exchange(struct tree *t, uint64_t parent, const char *name, uint64_t new_parent,
        const char *new_name);
/* 0 when there is no such name, which is what the caller wants (see tree_plan_removal); else
 * -EROFS. */
int tree_unlink(struct tree *t, uint64_t parent, const char *name);

/* --- for the owner: the loop's thread --- */

/* Puts a file in place at once, making folders on the way: the first content. -ENOTDIR, -EISDIR
 * when a file is where a folder has to be, or the reverse. */
int tree_put(struct tree *t, struct view_file *file);
/* The same for what cannot be renamed: what is in the way goes. *ret_parent is the node of the
 * deepest folder that existed before. */
int tree_replace(struct tree *t, struct view_file *file, uint64_t *ret_parent);
/* Removes a name; its inode stays answerable. *ret_parent is the folder's node. The kernel has to
 * forget the name: see tree_plan_removal(). */
int tree_remove(struct tree *t, const char *path, uint64_t *ret_parent);

/* Whether a look-up of this name is refused (EACCES) while nothing has it and no plan is about to,
 * instead of finding nothing; the kernel remembers no refusal. An absence that it may remember,
 * when nothing has the name, is put among the removals. Only the plain name: a generation that
 * lacks it has nothing there. -ENOENT when there is no such folder. Not written down: a successor
 * is told anew by who decides it. */
int tree_deny(struct tree *t, const char *path, bool deny);

/* What a child of the keeper is to do, in `folder` ("" for the root), whose node is `parent`. */
struct tree_plan {
        uint64_t parent;
        char staged[KEEPER_STAGE_LEN + 1];
        char folder[KEEPER_PATH_SIZE];
        char name[KEEPER_NAME_SIZE];
        bool exchange; /* of a file with a folder: the staged name then leads to the old one */
        bool away;     /* the reverse, of a generation's name, which is no more */
        bool unlink;   /* none: the name, which is no more, is unlinked */
        bool forget;   /* none: the kernel is to forget that the name was not there */
};
/* Plans the one rename that may come next (fs/tree_plan.c). The name is the file's, or that of the
 * first folder of its path that does not exist, which then comes with all below it. -EBUSY while
 * another one is planned. */
int tree_stage(struct tree *t, struct view_file *file, struct tree_plan *ret);

/* Removed names that the kernel may still know, for a later worker too (fs/tree_removal.c).
 * unlink(2) succeeds on such a name, makes the kernel forget it and tells watchers. On one that the
 * kernel knows to be absent it fails without asking anybody: see tree_deny().
 *
 * A generation's folder is not unlinked, for nobody may take it from under those who are in it, and
 * a notification would wait for the top folder until every look-up and listing there is answered: a
 * worker that is killed meanwhile could neither die nor answer (tests/integration/stress/crash.c).
 * So its name is renamed away, or rather that is tried: the answer is EINTR, after which the kernel
 * trusts nothing that it knows of the old name (Linux fs/fuse/dir.c, fuse_rename_common). */
bool tree_has_removals(struct tree *t);
int tree_plan_removal(struct tree *t, struct tree_plan *ret); /* of the first; -ENOENT */
void tree_removed(struct tree *t);                            /* the first is done */
bool tree_applied(struct tree *t); /* the rename planned last has come and been done */
/* Gives a plan up: its rename is refused from now on. Returns false when it was applied already. */
bool tree_unstage(struct tree *t);

/* Makes the folder of the next generation: every file under its plain name, but those of `newer`
 * in place of what has the same path. It is seen at once, but nothing points to it. */
int tree_make_generation(struct tree *t, struct view_file *const *newer, size_t n_newer);
/* Plans the rename that makes TREE_DATA point to the generation made last. -ENOENT: there is none,
 * or it is pointed to already. */
int tree_stage_data(struct tree *t, struct tree_plan *ret);
/* The same at once, without a rename. */
int tree_put_data(struct tree *t);
/* Takes the oldest folder away that is older than the generation pointed to, but for `keep` of
 * those. Whoever is in it goes on. Its name is put among the removals. -ENOENT when there is none,
 * -ENOMEM. */
int tree_drop_generation(struct tree *t, unsigned keep);
/* What is shown under plain names is not what the generation pointed to has. */
bool tree_generation_is_stale(struct tree *t);

/* A bind mount has this inode as its root, or one has not any more. Its id when an earlier worker
 * may have given it other bytes and died before the kernel was told, else 0. */
uint64_t tree_bind(struct tree *t, uint64_t ino, bool bound);
/* None is known of any more: another keeper will tell of those there are. */
void tree_unbind(struct tree *t);
/* Versions that are the root of a bind mount take the bytes that their name has now. At most n of
 * them, whose ids are what the kernel has to forget the pages of; once more when it is n. */
size_t tree_adopt(struct tree *t, uint64_t *ids, size_t n);

/* From now on LOOKUP and READ answer EIO: the volume is being taken away. */
void tree_withdraw(struct tree *t);

/* Every node that the kernel knows or may know, at most n of them; returns how many there are. */
size_t tree_known(struct tree *t, uint64_t *ids, size_t n);

/* Versions without a name that an earlier worker knew of and the kernel perhaps never did: at most
 * n of them. */
size_t tree_suspects(struct tree *t, uint64_t *ids, size_t n);
/* The kernel does not know this one, nor what is in it. */
void tree_unknown(struct tree *t, uint64_t id);

/* What xattrs tell of a file beside its version: when the vault last confirmed it, and why not. */
void tree_set_state(struct tree *t, const char *path, int64_t refreshed_at, const char *error);
struct tree_state {
        int64_t refreshed_at; /* 0 unknown */
        char error[512];      /* "" for none */
};
int tree_get_state(struct tree *t, uint64_t id, struct tree_state *ret);

struct tree_stats {
        size_t files, bytes; /* under a plain name */
        size_t superseded;   /* versions that only open descriptors still see */
        uint64_t generation; /* 1 for the first content; one more for each set of changes */
};
void tree_get_stats(struct tree *t, struct tree_stats *ret);

/* --- for a successor (fs/tree_journal.c): the loop's thread --- */

/* From now on every change is written down; what is there already, with the next new area. */
int tree_set_snapshot(struct tree *t, struct snapshot *s, uint64_t mount);
void tree_drop_snapshot(struct tree *t);
/* The owner's own records: room first, without any lock, then the record. */
void tree_make_room(struct tree *t, size_t len);
void tree_write_raw(struct tree *t, enum record_type type, const struct iovec *parts, size_t n);

/* Applies a NODE, STAGED, PLAN or event record of this mount, in the order they were written, to a
 * table that has nothing but its root. -EBADMSG when it makes no sense. The kernel's look-ups of
 * what is restored are not known: such a version is answered for until the kernel forgets it. */
int tree_restore(struct tree *t, const struct journal_record *record);
/* The file whose rename was planned and neither came nor was given up; a reference, or NULL. */
struct view_file *tree_pending(struct tree *t);
bool tree_pending_data(struct tree *t); /* it is TREE_DATA's */
/* The plan of that rename, so that the keeper can be asked for it once more: whichever of two comes
 * first is done, the other one finds nothing. Not so when it is an exchange: the second would undo
 * the first. -ENOENT when there is none. */
int tree_pending_plan(struct tree *t, struct tree_plan *ret);
/* What is shown under a name; a reference, or NULL. */
struct view_file *tree_shown(struct tree *t, const char *path);
/* Every file under its name: a list that the caller frees, of references that it drops. 0 also when
 * memory is short. */
size_t tree_files(struct tree *t, struct view_file ***ret);
