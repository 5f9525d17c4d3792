/* The inode table beside a model of it: random puts, look-ups, plans, renames and removals. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/unit/fs/trees.h"

TestSuite(tree_random, .init = trees_init, .fini = trees_fini);

#define MODEL_NAMES 12
#define MODEL_OPEN 64
#define STEPS 2400

struct model {
        unsigned now[MODEL_NAMES]; /* version under the name; 0: none */
        struct {
                uint64_t id;
                unsigned version, name;
                uint64_t nlookup;
        } open[MODEL_OPEN];
        unsigned versions;
        struct tree_plan plan;
        int planned; /* name, or -1 */
        unsigned planned_version;
        uint64_t random;
};

static uint64_t parent_of(unsigned name)
{
        uint64_t parent = TREE_ROOT;

        if (name % 3 >= 1)
                parent = find(tree, parent, "d");
        if (name % 3 == 2)
                parent = find(tree, parent, "e");
        return parent;
}

static void text_of(unsigned name, unsigned version, char *out, size_t size)
{
        (void)snprintf(out, size, "%u:%u", name, version);
}

static void step_look_up(struct model *m, unsigned name)
{
        char leaf[32], text[32];
        uint64_t parent = parent_of(name);

        (void)snprintf(leaf, sizeof leaf, "file%u", name);
        if (m->now[name] == 0) {
                cr_assert_eq(absent(tree, parent, leaf), -ENOENT);
                return;
        }
        uint64_t id = find(tree, parent, leaf);
        text_of(name, m->now[name], text, sizeof text);
        cr_assert(holds(tree, id, text));
        size_t slot = roll(&m->random, MODEL_OPEN), same = MODEL_OPEN;
        for (size_t i = 0; i < MODEL_OPEN; i++)
                if (m->open[i].id == id)
                        same = i;
        if (same < MODEL_OPEN) {
                m->open[same].nlookup++;
                return;
        }
        if (m->open[slot].id)
                tree_forget(tree, m->open[slot].id, m->open[slot].nlookup);
        m->open[slot].id = id;
        m->open[slot].name = name;
        m->open[slot].version = m->now[name];
        m->open[slot].nlookup = 1;
}

static void step_change(struct model *m, unsigned name, unsigned how)
{
        char path[64], text[32];
        uint64_t parent;

        path_of(name, path, sizeof path);
        text_of(name, m->versions + 1, text, sizeof text);
        switch (how) {
        case 0: /* put */
                put_text(tree, path, text);
                m->now[name] = ++m->versions;
                break;
        case 1: /* remove */
                cr_assert_eq(tree_remove(tree, path, &parent), m->now[name] ? 0 : -ENOENT);
                m->now[name] = 0;
                break;
        case 2: /* plan */
                if (m->planned >= 0) {
                        struct view_file *f = make_file(path, text);
                        cr_assert_eq(tree_stage(tree, f, &m->plan), -EBUSY);
                        view_file_unref(f);
                        break;
                }
                m->plan = stage(tree, path, text);
                m->planned = (int)name;
                m->planned_version = ++m->versions;
                break;
        case 3: /* give up */
                cr_assert(tree_unstage(tree) || m->planned < 0);
                m->planned = -1;
                break;
        default: /* rename */
                if (m->planned < 0)
                        break;
                (void)snprintf(path, sizeof path, "file%d", m->planned);
                cr_assert_eq(
                        tree_rename(tree, m->plan.parent, m->plan.staged, m->plan.parent, path), 0);
                cr_assert(tree_applied(tree));
                m->now[m->planned] = m->planned_version;
                m->planned = -1;
                break;
        }
}

static void check(struct model *m)
{
        struct tree_stats stats;
        char text[32];
        size_t files = 0, superseded = 0;

        for (unsigned i = 0; i < MODEL_NAMES; i++)
                files += m->now[i] != 0;
        for (size_t i = 0; i < MODEL_OPEN; i++) {
                if (!m->open[i].id)
                        continue;
                text_of(m->open[i].name, m->open[i].version, text, sizeof text);
                cr_assert(holds(tree, m->open[i].id, text), "what was opened changed");
                superseded += m->open[i].version != m->now[m->open[i].name];
        }
        tree_get_stats(tree, &stats);
        cr_assert_eq(stats.files, files + (m->planned >= 0));
        cr_assert_eq(stats.superseded, superseded);
}

Test(tree_random, twenty_four_hundred_random_steps_match_a_model)
{
        struct model m = {.planned = -1, .random = 20231114};
        unsigned folders[] = {1, 2};

        /* The folders first: staging does not make them. */
        for (size_t i = 0; i < ELEMENTSOF(folders); i++)
                step_change(&m, folders[i], 0);
        for (int i = 0; i < STEPS; i++) {
                unsigned name = roll(&m.random, MODEL_NAMES), what = roll(&m.random, 10);
                if (what < 3)
                        step_look_up(&m, name);
                else if (what == 3) {
                        size_t slot = roll(&m.random, MODEL_OPEN);
                        if (m.open[slot].id)
                                tree_forget(tree, m.open[slot].id, m.open[slot].nlookup);
                        m.open[slot].id = 0;
                } else
                        step_change(&m, name, MIN(what - 4, 4u));
                check(&m);
        }
        cr_assert_gt(m.versions, STEPS / 10);

        /* When the kernel has forgotten all of it, only what has a name is left. */
        for (size_t i = 0; i < MODEL_OPEN; i++)
                if (m.open[i].id)
                        tree_forget(tree, m.open[i].id, m.open[i].nlookup);
        struct tree_stats stats;
        tree_get_stats(tree, &stats);
        cr_assert_eq(stats.superseded, 0);
}
