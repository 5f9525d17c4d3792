#include "fs/rotation.h"

#include "base/log.h"

#define RENAME_TIMEOUT (10 * USEC_PER_SEC)
#define RETRY_DELAY (100 * USEC_PER_MSEC)
#define TRIES 5
#define SUSPECTS_MAX 256 /* asked about at once */

struct rotation {
        struct rotation_config cfg;
        struct loop_timer *timer; /* a rename's deadline, or the pause before the next try */
        struct view_file **queue;
        size_t n_queue, queue_size;
        struct view_file *current; /* staged, or waiting to be tried again */
        bool data;                 /* instead of it: `..data` is */
        bool stale;                /* `..data` does not show all that was handed in */
        size_t before_data;        /* files that may still go first */
        bool renaming;
        unsigned tries;
        uint64_t seq, ended; /* the last rename asked for, and the last that came back */
        uint64_t count;
};

static bool at_work(const struct rotation *r)
{
        return r->current || r->data;
}

static const char *what(const struct rotation *r)
{
        return r->data ? TREE_DATA : r->current->path;
}

static void mark_stale(struct rotation *r)
{
        if (r->stale)
                return;
        r->stale = true;
        r->before_data = r->n_queue + (r->current ? 1 : 0);
}

/* The change without a rename: right for readers, silent for watchers. */
static int put_data_directly(struct rotation *r)
{
        int e = tree_put_data(r->cfg.tree);
        if (e < 0) {
                log_error("%s: " TREE_DATA " cannot be moved: %s", r->cfg.label, strerror(-e));
                return e;
        }
        (void)notifier_inval_entry(r->cfg.notifier, r->cfg.session, TREE_ROOT, TREE_DATA);
        (void)notifier_inval_inode(r->cfg.notifier, r->cfg.session, TREE_ROOT);
        return 0;
}

static int put_directly(struct rotation *r)
{
        struct view_file *f = r->current;
        uint64_t parent = TREE_ROOT;

        if (r->data)
                return put_data_directly(r);
        int e = tree_put(r->cfg.tree, f, &parent);
        if (e < 0) {
                log_error("%s: %s cannot be shown: %s", r->cfg.label, f->path, strerror(-e));
                return e;
        }
        /* The name to forget is the first below what existed: the file's, or a new folder's. */
        const char *name = f->path;
        char component[SPC_NAME_MAX + 1];
        struct stat st;
        uint64_t at = TREE_ROOT;
        for (;;) {
                size_t n = strcspn(name, "/");
                bool cacheable;
                memcpy(component, name, MIN(n, (size_t)SPC_NAME_MAX));
                component[MIN(n, (size_t)SPC_NAME_MAX)] = '\0';
                if (at == parent || !name[n])
                        break;
                uint64_t child;
                if (tree_lookup(r->cfg.tree, at, component, &child, &st, &cacheable) < 0)
                        break;
                tree_forget(r->cfg.tree, child, 1);
                at = child;
                name += n + 1;
        }
        (void)notifier_inval_entry(r->cfg.notifier, r->cfg.session, parent, component);
        (void)notifier_inval_inode(r->cfg.notifier, r->cfg.session, parent);
        return 0;
}

/* Done with it, one way or the other; next() goes on. */
static void drop(struct rotation *r)
{
        if (r->current && r->before_data > 0)
                r->before_data--;
        r->current = view_file_unref(r->current);
        r->data = r->renaming = false;
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

/* Whoever walks to the generation before still arrives. */
static void drop_old_generations(struct rotation *r)
{
        char name[TREE_GENERATION_SIZE];
        struct tree_plan plan;
        bool dropped = false;

        while (tree_drop_generation(r->cfg.tree, name, &plan)) {
                /* Not tried again: what the kernel remembers of it costs memory, no more. */
                int e = r->cfg.rename(r->cfg.userdata, ++r->seq, &plan);
                if (e < 0) {
                        r->ended = MAX(r->ended, r->seq);
                        log_info("%s: %s: %s", r->cfg.label, name, strerror(-e));
                }
                dropped = true;
        }
        /* The listing. */
        if (dropped)
                (void)notifier_inval_inode(r->cfg.notifier, r->cfg.session, TREE_ROOT);
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
        bool data = r->data;

        drop(r);
        if (data) {
                drop_old_generations(r);
                probe_suspects(r);
        } else
                r->count++;
        rotation_adopt(r);
}

static void finish_directly(struct rotation *r)
{
        if (put_directly(r) < 0)
                drop(r);
        else
                finish(r);
}

static void give_up(struct rotation *r, const char *why)
{
        log_warning("%s: %s is put in place without a rename (%s): readers see it, watchers do not",
                r->cfg.label, what(r), why);
        finish_directly(r);
}

static void try_again(struct rotation *r, const char *why)
{
        r->renaming = false;
        if (++r->tries >= TRIES) {
                give_up(r, why);
                return;
        }
        log_info("%s: the rename of %s failed (%s), trying again", r->cfg.label, what(r), why);
        if (loop_timer_in(r->timer, RETRY_DELAY << r->tries) < 0)
                give_up(r, why);
}

static void ask(struct rotation *r, const struct tree_plan *plan)
{
        r->renaming = true;
        int e = r->cfg.rename(r->cfg.userdata, ++r->seq, plan);
        if (e == 0)
                e = loop_timer_in(r->timer, RENAME_TIMEOUT);
        if (e < 0 && tree_unstage(r->cfg.tree))
                try_again(r, strerror(-e));
}

static void start(struct rotation *r)
{
        struct tree_plan plan;

        int e = r->data ? tree_stage_data(r->cfg.tree, &plan)
                        : tree_stage(r->cfg.tree, r->current, &plan);
        if (e == -ENOENT) { /* its folder is new: nothing to rename into, nobody watches it yet */
                finish_directly(r);
                return;
        }
        if (e < 0) {
                try_again(r, strerror(-e));
                return;
        }
        ask(r, &plan);
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
        while (!at_work(r) && (r->stale || r->n_queue > 0)) {
                if (r->stale && (r->n_queue == 0 || r->before_data == 0)) {
                        start_data(r);
                        continue;
                }
                r->current = r->queue[0];
                memmove(r->queue, r->queue + 1, --r->n_queue * sizeof(struct view_file *));
                start(r);
        }
}

static void on_timer(void *userdata)
{
        struct rotation *r = userdata;

        if (!at_work(r))
                return;
        if (!r->renaming)
                start(r);
        else if (tree_unstage(r->cfg.tree))
                give_up(r, "it did not come within 10 s");
        else
                finish(r); /* applied at this very moment */
        next(r);
}

int rotation_new(const struct rotation_config *cfg, struct rotation **ret)
{
        struct rotation *r = calloc(1, sizeof *r);
        if (!r)
                return -ENOMEM;
        r->cfg = *cfg;
        int e = loop_timer_new(cfg->loop, on_timer, r, &r->timer);
        if (e < 0) {
                free(r);
                return e;
        }
        r->seq = r->ended = cfg->first_seq;
        *ret = r;
        return 0;
}

void rotation_free(struct rotation *r)
{
        if (!r)
                return;
        loop_timer_free(r->timer);
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

void rotation_removed(struct rotation *r)
{
        mark_stale(r);
        next(r);
}

void rotation_cancel(struct rotation *r, const char *path)
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
        if (!r->renaming || tree_unstage(r->cfg.tree))
                drop(r);
        else
                finish(r); /* applied at this very moment; the caller removes the name next */
        next(r);
}

void rotation_applied(struct rotation *r)
{
        if (r->renaming && tree_applied(r->cfg.tree))
                finish(r);
        next(r);
}

void rotation_resume(struct rotation *r, struct view_file *file)
{
        struct tree_plan plan;

        r->stale = tree_generation_is_stale(r->cfg.tree);
        r->data = !file && tree_pending_data(r->cfg.tree);
        if (!file && !r->data) {
                next(r);
                return;
        }
        r->current = view_file_ref(file);
        if (tree_pending_plan(r->cfg.tree, &plan) == 0)
                ask(r, &plan);
        else
                start(r);
        next(r);
}

void rotation_ended(struct rotation *r, uint64_t seq, int result, const char *detail)
{
        r->ended = MAX(r->ended, seq);
        if (!r->renaming || seq != r->seq)
                return;
        if (tree_applied(r->cfg.tree) || !tree_unstage(r->cfg.tree))
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
        rotation_ended(r, r->seq, -ECONNRESET, "the keeper died");
}

bool rotation_busy(const struct rotation *r)
{
        return at_work(r) || r->stale || r->n_queue > 0 || r->ended < r->seq;
}

uint64_t rotation_count(const struct rotation *r)
{
        return r->count;
}
