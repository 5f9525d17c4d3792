#include "tests/unit/fs/rotor.h"

#include <criterion/criterion.h>
#include <stdio.h>

struct rig rig;
struct loop *loop;
struct rotation *rotation;
struct rotor keeper;

static struct notifier *notifier;
static struct answer answer;

static int ask_rename(void *userdata, uint64_t seq, const struct tree_plan *plan)
{
        cr_assert_eq(userdata, &keeper);
        keeper.asked += !plan->unlink && !plan->away;
        keeper.away += plan->away;
        keeper.unlinked += plan->unlink;
        keeper.seq = seq;
        keeper.plan = *plan;
        (void)snprintf(keeper.name, sizeof keeper.name, "%s", plan->name);
        return keeper.fail;
}

static int ask_forget(void *userdata, uint64_t seq, uint64_t parent, const char *name)
{
        cr_assert_eq(userdata, &keeper);
        keeper.forgotten++;
        keeper.seq = seq;
        keeper.forgotten_in = parent;
        (void)snprintf(keeper.name, sizeof keeper.name, "%s", name);
        return keeper.forget_fails;
}

static void on_idle(void *userdata)
{
        cr_assert_eq(userdata, &keeper);
        keeper.idle++;
}

/* So that the kernel is told at once. */
static int no_keeper(void *userdata, struct session *s, uint64_t seq, uint64_t id, bool attributes)
{
        return -ENOTCONN;
}

void rotor_start(const char *const *paths, size_t n)
{
        rig_start(&rig, true, false);
        cr_assert_eq(loop_new(&loop), 0);
        loop_simulate(loop, USEC_PER_SEC, 1700000000);
        struct notifier_config to_kernel = {.loop = loop, .ask = no_keeper};
        cr_assert_eq(notifier_new(&to_kernel, &notifier), 0);
        struct rotation_config cfg = {.loop = loop,
                .tree = rig.tree,
                .session = rig.session,
                .notifier = notifier,
                .label = "/mnt/test",
                .rename = ask_rename,
                .forget = ask_forget,
                .idle = on_idle,
                .userdata = &keeper,
                .grace = GRACE};
        cr_assert_eq(rotation_new(&cfg, &rotation), 0);
        for (size_t i = 0; i < n; i++)
                put_text(rig.tree, paths[i], "old");
        cr_assert_eq(tree_make_generation(rig.tree, NULL, 0), 0);
        cr_assert_eq(tree_put_data(rig.tree), 0);
}

void rotor_init(void)
{
        rotor_start((const char *const[]){"f", "g"}, 2);
}

void rotor_fini(void)
{
        rotation_free(rotation);
        notifier_free(notifier);
        rig_done(&rig);
        loop_free(loop);
}

void add(const char *path, const char *text)
{
        struct view_file *f = make_file(path, text);

        rotation_add(rotation, &f, 1);
        view_file_unref(f);
}

int kernel_renames(void)
{
        return tree_rename(
                rig.tree, keeper.plan.parent, keeper.plan.staged, keeper.plan.parent, keeper.name);
}

void rename_data(void)
{
        cr_assert_str_eq(keeper.name, TREE_DATA);
        cr_assert_str_empty(keeper.plan.folder);
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
}

void generation_goes(const char *name)
{
        cr_assert(keeper.plan.away);
        cr_assert_str_eq(keeper.name, name);
        cr_assert_eq(absent(rig.tree, TREE_ROOT, name), -ENOENT);
        cr_assert_eq(tree_rename(rig.tree, TREE_ROOT, name, TREE_ROOT, keeper.plan.staged), -EINTR);
        rotation_ended(rotation, keeper.seq, 0, "");
}

static bool shows_in(uint64_t folder, const char *name, const char *text)
{
        _cleanup_(view_file_unrefp) struct view_file *f = NULL;
        struct stat st;
        uint64_t id;
        bool cacheable;

        if (tree_lookup(rig.tree, folder, name, &id, &st, &cacheable) < 0 ||
                tree_read(rig.tree, id, &f) < 0)
                return false;
        tree_forget(rig.tree, id, 1);
        return sec_len(f->bytes) == strlen(text) &&
               memcmp(sec_bytes(f->bytes), text, strlen(text)) == 0;
}

bool shows(const char *name, const char *text)
{
        return shows_in(TREE_ROOT, name, text);
}

bool data_shows(const char *name, const char *text)
{
        char target[TREE_GENERATION_SIZE];
        struct stat st;
        uint64_t link, folder;
        bool cacheable;

        cr_assert_eq(tree_lookup(rig.tree, TREE_ROOT, TREE_DATA, &link, &st, &cacheable), 0);
        cr_assert_eq(tree_readlink(rig.tree, link, target), 0);
        tree_forget(rig.tree, link, 1);
        cr_assert_eq(tree_lookup(rig.tree, TREE_ROOT, target, &folder, &st, &cacheable), 0);
        bool shown = shows_in(folder, name, text);
        tree_forget(rig.tree, folder, 1);
        return shown;
}

uint64_t generation(void)
{
        struct tree_stats stats;

        tree_get_stats(rig.tree, &stats);
        return stats.generation;
}

void next_timer(void)
{
        usec_t before = loop_now(loop);

        while (loop_now(loop) == before)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
}

bool listing_goes(uint64_t parent)
{
        (void)loop_turn(loop, 0);
        cr_assert(get_answer(rig.kernel, &answer));
        const struct fuse_notify_inval_inode_out *out = (const void *)answer.body;
        return answer.h.error == FUSE_NOTIFY_INVAL_INODE && out->ino == parent;
}

void forgets(uint64_t parent, const char *name)
{
        cr_assert_str_eq(keeper.name, name);
        cr_assert_eq(keeper.forgotten_in, parent);
        rotation_ended(rotation, keeper.seq, 0, "");
        cr_assert(listing_goes(parent));
}
