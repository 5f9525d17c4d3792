#include "fs/rotation.h"

#include <stdio.h>

#include "base/log.h"

#define RENAME_TIMEOUT (10 * USEC_PER_SEC)
#define RETRY_DELAY (100 * USEC_PER_MSEC)
#define TRIES 5
#define SUSPECTS_MAX 256 /* asked about at once */

struct rotation {
        struct rotation_config cfg;
        struct loop_timer *timer; /* a rename's deadline, or the pause before the next try */
        struct loop_timer *grace; /* of the generation before */
        struct view_file **queue;
        size_t n_queue, queue_size;
        /* One of these three is staged, or waits to be tried again. */
        struct view_file *current;
        bool data;     /* `..data` */
        bool removing; /* a removed name: */
        char removed[SPC_NAME_MAX + 1];
        uint64_t removed_from;
        bool stale;         /* `..data` does not show all that was handed in */
        size_t before_data; /* files that may still go first */
        bool renaming;
        bool forgetting; /* done in the table alone, and the kernel is to forget this name: */
        uint64_t forget_parent;
        char forget_name[SPC_NAME_MAX + 1];
        bool changed; /* since it was idle */
        unsigned tries;
        uint64_t seq;         /* the last that was asked for */
        unsigned outstanding; /* asked for and not come back, */
        uint64_t abandoned;   /* but for those up to this one */
        uint64_t count;
};

static bool at_work(const struct rotation *r)
{
        return r->current || r->data || r->removing;
}

static bool has_work(const struct rotation *r)
{
        return tree_has_removals(r->cfg.tree) || r->stale || r->n_queue > 0;
}

static const char *what(const struct rotation *r)
{
        return r->data ? TREE_DATA : r->removing ? r->removed : r->current->path;
}

static void mark_stale(struct rotation *r)
{
        if (r->stale)
                return;
        r->stale = true;
        r->before_data = r->n_queue + (r->current ? 1 : 0);
}

/* The change without a rename: right for readers, silent for watchers. What the kernel has to
 * forget then: the first name below what existed, the file's or a new folder's. */
static int put_directly(struct rotation *r)
{
        if (r->removing) {
                memcpy(r->forget_name, r->removed, sizeof r->forget_name);
                r->forget_parent = r->removed_from;
                return 0;
        }
        r->forget_parent = TREE_ROOT;
        if (r->data) {
                snprintf(r->forget_name, sizeof r->forget_name, TREE_DATA);
                return tree_put_data(r->cfg.tree);
        }
        int e = tree_replace(r->cfg.tree, r->current, &r->forget_parent);
        if (e < 0)
                return e;
        uint64_t at = TREE_ROOT;
        for (const char *name = r->current->path;;) {
                size_t n = strcspn(name, "/");
                struct stat st;
                uint64_t child;
                bool cacheable;

                snprintf(r->forget_name, sizeof r->forget_name, "%.*s", (int)n, name);
                if (at == r->forget_parent || !name[n] ||
                        tree_lookup(r->cfg.tree, at, r->forget_name, &child, &st, &cacheable) < 0)
                        return 0;
                tree_forget(r->cfg.tree, child, 1);
                at = child;
                name += n + 1;
        }
}

/* Done with it, one way or the other; next() goes on. */
static void drop(struct rotation *r)
{
        if (r->current && r->before_data > 0)
                r->before_data--;
        r->current = view_file_unref(r->current);
        r->data = r->removing = r->renaming = r->forgetting = false;
        r->tries = 0;
        loop_timer_off(r->timer);
}

void rotation_adopt(struct rotation *r)
{
        uint64_t ids[16];
        size_t n;

        do {
                n = tree_adopt(r->cfg.tree, ids, ELEMENTSOF(ids));
                for (size_t i = 0; i < n; i++)
                        (void)notifier_inval_inode(r->cfg.notifier, r->cfg.session, ids[i]);
        } while (n == ELEMENTSOF(ids));
}

static int ask(struct rotation *r, const struct tree_plan *plan)
{
        int e = r->cfg.rename(r->cfg.userdata, ++r->seq, plan);

        r->outstanding += e == 0;
        return e;
}

/* Nobody waits any more for what does not come back. */
static void abandon(struct rotation *r)
{
        r->abandoned = r->seq;
        r->outstanding = 0;
}

static void drop_generations(struct rotation *r, unsigned keep)
{
        int e;

        do
                e = tree_drop_generation(r->cfg.tree, keep);
        while (e == 0);
        if (e != -ENOENT)
                log_error("%s: an old generation stays until the next change: %s", r->cfg.label,
                        strerror(-e));
}

/* Whoever walks to the generation before still arrives, for a while. */
static void drop_old_generations(struct rotation *r)
{
        drop_generations(r, loop_timer_in(r->grace, r->cfg.grace) < 0 ? 0 : 1);
}

/* What a dead worker had shown may be held by nobody: the kernel knows. */
static void probe_suspects(struct rotation *r)
{
        uint64_t ids[SUSPECTS_MAX];

        size_t n = tree_suspects(r->cfg.tree, ids, ELEMENTSOF(ids));
        for (size_t i = 0; i < n; i++)
                (void)notifier_probe(r->cfg.notifier, r->cfg.session, ids[i]);
}

static void finish(struct rotation *r)
{
        bool data = r->data, file = r->current != NULL;

        if (r->removing) {
                tree_removed(r->cfg.tree);
                /* The listing, which a name that is renamed away stays in. */
                (void)notifier_inval_inode(r->cfg.notifier, r->cfg.session, r->removed_from);
        }
        drop(r);
        r->changed = true;
        if (data)
                drop_old_generations(r);
        r->count += file;
        rotation_adopt(r);
}

static void forgotten(struct rotation *r, int result, const char *why);

/* Readers find what the table has from the moment on in which the kernel does not remember. */
static void forget(struct rotation *r)
{
        r->renaming = true;
        int e = r->cfg.forget(r->cfg.userdata, ++r->seq, r->forget_parent, r->forget_name);
        r->outstanding += e == 0;
        if (e == 0)
                e = loop_timer_in(r->timer, RENAME_TIMEOUT);
        if (e < 0)
                forgotten(r, e, strerror(-e));
}

/* -ENOENT: the kernel did not know the name. */
static void forgotten(struct rotation *r, int result, const char *why)
{
        r->renaming = false;
        if (result < 0 && result != -ENOENT) {
                if (++r->tries < TRIES && loop_timer_in(r->timer, RETRY_DELAY << r->tries) == 0)
                        return;
                log_error(
                        "%s: the kernel was not made to forget %s (%s): readers may be shown what "
                        "was there before",
                        r->cfg.label, what(r), why);
        }
        (void)notifier_inval_inode(r->cfg.notifier, r->cfg.session, r->forget_parent);
        finish(r);
}

static void finish_directly(struct rotation *r)
{
        int e = put_directly(r);
        if (e < 0) {
                log_error("%s: %s cannot be shown: %s", r->cfg.label, what(r), strerror(-e));
                drop(r);
                return;
        }
        r->forgetting = true;
        r->tries = 0;
        forget(r);
}

static void give_up(struct rotation *r, const char *why)
{
        log_warning("%s: %s is %s without a %s (%s): readers see it, watchers do not", r->cfg.label,
                what(r), r->removing ? "gone" : "put in place", r->removing ? "removal" : "rename",
                why);
        finish_directly(r);
}

static void try_again(struct rotation *r, const char *why)
{
        r->renaming = false;
        if (++r->tries >= TRIES) {
                give_up(r, why);
                return;
        }
        log_info("%s: the %s of %s failed (%s), trying again", r->cfg.label,
                r->removing ? "removal" : "rename", what(r), why);
        if (loop_timer_in(r->timer, RETRY_DELAY << r->tries) < 0)
                give_up(r, why);
}

/* What was staged is not there any more, and was not applied. */
static bool not_done(struct rotation *r)
{
        return r->removing || r->forgetting || tree_unstage(r->cfg.tree);
}

static void begin(struct rotation *r, const struct tree_plan *plan)
{
        r->renaming = true;
        int e = ask(r, plan);
        if (e == 0)
                e = loop_timer_in(r->timer, RENAME_TIMEOUT);
        if (e < 0 && not_done(r))
                try_again(r, strerror(-e));
}

static void start(struct rotation *r)
{
        struct tree_plan plan;

        int e = r->data       ? tree_stage_data(r->cfg.tree, &plan)
                : r->removing ? tree_plan_removal(r->cfg.tree, &plan)
                              : tree_stage(r->cfg.tree, r->current, &plan);
        if (e < 0) {
                try_again(r, strerror(-e));
                return;
        }
        if (r->removing) {
                snprintf(r->removed, sizeof r->removed, "%s", plan.name);
                r->removed_from = plan.parent;
        }
        if (plan.forget)
                finish_directly(r);
        else
                begin(r, &plan);
}

static void start_data(struct rotation *r)
{
        r->stale = false;
        int e = tree_make_generation(r->cfg.tree, r->queue, r->n_queue);
        if (e < 0) {
                log_error("%s: " TREE_DATA " lags behind: %s", r->cfg.label, strerror(-e));
                return;
        }
        r->data = true;
        start(r);
}

/* Whoever may have left the place of `current` empty calls this last. A loop, for a thousand files
 * that need no rename would be a thousand frames deep. */
static void next(struct rotation *r)
{
        while (!at_work(r) && has_work(r)) {
                if (tree_has_removals(r->cfg.tree)) {
                        r->removing = true;
                        start(r);
                        continue;
                }
                if (r->stale && (r->n_queue == 0 || r->before_data == 0)) {
                        start_data(r);
                        continue;
                }
                r->current = r->queue[0];
                memmove(r->queue, r->queue + 1, --r->n_queue * sizeof(struct view_file *));
                start(r);
        }
        if (!r->changed || at_work(r))
                return;
        /* The kernel goes on moving its caches after a rename was answered. */
        if (r->outstanding > 0) {
                (void)loop_timer_in(r->timer, RENAME_TIMEOUT);
                return;
        }
        loop_timer_off(r->timer);
        r->changed = false;
        probe_suspects(r);
        r->cfg.idle(r->cfg.userdata);
}

static void on_timer(void *userdata)
{
        struct rotation *r = userdata;

        if (!at_work(r) || r->renaming)
                abandon(r);
        if (!at_work(r)) {
                next(r);
                return;
        }
        if (!r->renaming && r->forgetting)
                forget(r);
        else if (!r->renaming)
                start(r);
        else if (r->forgetting)
                forgotten(r, -ETIMEDOUT, "no answer within 10 s");
        else if (not_done(r))
                give_up(r, "it did not come within 10 s");
        else
                finish(r); /* applied at this very moment */
        next(r);
}

static void on_grace(void *userdata)
{
        struct rotation *r = userdata;

        drop_generations(r, 0);
        next(r);
}

int rotation_new(const struct rotation_config *cfg, struct rotation **ret)
{
        struct rotation *r = calloc(1, sizeof *r);
        if (!r)
                return -ENOMEM;
        r->cfg = *cfg;
        int e = loop_timer_new(cfg->loop, on_timer, r, &r->timer);
        if (e == 0)
                e = loop_timer_new(cfg->loop, on_grace, r, &r->grace);
        if (e < 0) {
                rotation_free(r);
                return e;
        }
        r->seq = r->abandoned = cfg->first_seq;
        *ret = r;
        return 0;
}

void rotation_free(struct rotation *r)
{
        if (!r)
                return;
        loop_timer_free(r->timer);
        loop_timer_free(r->grace);
        view_file_unref(r->current);
        for (size_t i = 0; i < r->n_queue; i++)
                view_file_unref(r->queue[i]);
        free(r->queue);
        free(r);
}

void rotation_add(struct rotation *r, struct view_file *const *files, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                size_t at = 0;
                while (at < r->n_queue && !streq(r->queue[at]->path, files[i]->path))
                        at++;
                if (at < r->n_queue) {
                        view_file_unref(r->queue[at]);
                        r->queue[at] = view_file_ref(files[i]);
                        continue;
                }
                if (r->n_queue == r->queue_size) {
                        size_t size = r->queue_size ? 2 * r->queue_size : 16;
                        struct view_file **bigger = realloc(r->queue, size * sizeof *bigger);
                        if (!bigger) {
                                log_error("%s: out of memory, %s keeps its old version",
                                        r->cfg.label, files[i]->path);
                                continue;
                        }
                        r->queue = bigger;
                        r->queue_size = size;
                }
                r->queue[r->n_queue++] = view_file_ref(files[i]);
        }
        mark_stale(r);
        next(r);
}

static void cancel(struct rotation *r, const char *path)
{
        for (size_t i = 0; i < r->n_queue; i++)
                if (streq(r->queue[i]->path, path)) {
                        view_file_unref(r->queue[i]);
                        memmove(r->queue + i, r->queue + i + 1,
                                (--r->n_queue - i) * sizeof(struct view_file *));
                        break;
                }
        if (!r->current || !streq(r->current->path, path))
                return;
        /* Applied, or put into the table already: the name is removed next. */
        if (r->forgetting || (r->renaming && !tree_unstage(r->cfg.tree)))
                finish(r);
        else
                drop(r);
}

void rotation_remove(struct rotation *r, const char *const *paths, size_t n, bool deny)
{
        for (size_t i = 0; i < n; i++) {
                uint64_t parent;

                cancel(r, paths[i]);
                /* First: an absence that is asked for in between must not be remembered. */
                if (tree_deny(r->cfg.tree, paths[i], deny) == -ENOMEM)
                        log_error("%s: %s is not there instead of refused", r->cfg.label, paths[i]);
                if (tree_remove(r->cfg.tree, paths[i], &parent) < 0)
                        continue;
                /* The listing. */
                (void)notifier_inval_inode(r->cfg.notifier, r->cfg.session, parent);
        }
        mark_stale(r);
        next(r);
}

void rotation_applied(struct rotation *r)
{
        if (r->renaming && !r->removing && !r->forgetting && tree_applied(r->cfg.tree))
                finish(r);
        next(r);
}

void rotation_resume(struct rotation *r, struct view_file *file)
{
        struct tree_plan plan;

        drop_old_generations(r);
        r->stale = tree_generation_is_stale(r->cfg.tree);
        r->data = !file && tree_pending_data(r->cfg.tree);
        if (!file && !r->data) {
                (void)tree_unstage(r->cfg.tree); /* not written to its end, so not asked for */
                next(r);
                return;
        }
        r->current = view_file_ref(file);
        int e = tree_pending_plan(r->cfg.tree, &plan);
        if (e == 0 && !plan.exchange)
                begin(r, &plan);
        else if (tree_unstage(r->cfg.tree)) /* if it is under way, it is refused */
                start(r);
        else
                finish(r);
        next(r);
}

/* Also when its folder is no more, or when the kernel asked for the name and was refused. */
static bool is_removed(int result)
{
        return result == 0 || result == -ENOENT || result == -ENOTDIR || result == -EACCES;
}

static bool is_done(struct rotation *r, int result)
{
        if (r->removing)
                return is_removed(result);
        return tree_applied(r->cfg.tree) || !tree_unstage(r->cfg.tree);
}

void rotation_ended(struct rotation *r, uint64_t seq, int result, const char *detail)
{
        if (seq > r->abandoned && seq <= r->seq && r->outstanding > 0)
                r->outstanding--;
        if (!r->renaming || seq != r->seq) {
                next(r);
                return;
        }
        if (r->forgetting)
                forgotten(r, result, detail);
        else if (is_done(r, result))
                finish(r);
        else if (result < 0)
                try_again(r, detail);
        else
                try_again(r, "it succeeded elsewhere"); /* mounted over by another file system */
        next(r);
}

void rotation_lost(struct rotation *r)
{
        if (r->renaming)
                r->tries = 0; /* it is not the rename's fault, however often it happens */
        abandon(r);
        rotation_ended(r, r->seq, -ECONNRESET, "the keeper died");
}

bool rotation_busy(const struct rotation *r)
{
        return at_work(r) || has_work(r) || r->outstanding > 0;
}

uint64_t rotation_count(const struct rotation *r)
{
        return r->count;
}
