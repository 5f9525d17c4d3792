/* Two thousand random changes, and at random moments the table that a successor would have. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

#include "tests/unit/fs/trees.h"
#include "tests/unit/fs/twin.h"

TestSuite(tree_journal_random, .timeout = 300);

#define STEPS 2000
#define NAMES 10
#define HELD 40

struct walk {
        struct twin twin;
        uint64_t random;
        struct {
                uint64_t id, n;
        } held[HELD];
        struct tree_plan plan;
        char name[KEEPER_NAME_SIZE]; /* the plan's own lives as long as the table's file */
        bool planned;
};

/* Up to 12 KiB: an area is full after some dozens. */
static struct view_file *version(struct walk *w, const char *path)
{
        static char bytes[12 << 10];

        size_t len = roll(&w->random, sizeof bytes);
        memset(bytes, 'a' + (int)roll(&w->random, 26), len);
        return make_file_bytes(path, bytes, len);
}

static void look_up(struct walk *w, const char *path)
{
        struct tree *t = w->twin.tree;
        uint64_t id = TREE_ROOT;
        struct stat st;
        bool cacheable;
        char name[KEEPER_NAME_SIZE];

        for (;; path += strlen(name) + 1) {
                size_t n = strcspn(path, "/");
                memcpy(name, path, n);
                name[n] = '\0';
                if (tree_lookup(t, id, name, &id, &st, &cacheable) < 0)
                        return;
                if (!path[n])
                        break;
        }
        unsigned slot = roll(&w->random, HELD);
        for (unsigned i = 0; i < HELD; i++)
                if (w->held[i].id == id)
                        slot = i;
        if (w->held[slot].id && w->held[slot].id != id) {
                tree_forget(t, w->held[slot].id, w->held[slot].n);
                w->held[slot].n = 0;
        }
        w->held[slot].id = id;
        w->held[slot].n++;
}

static void end_plan(struct walk *w, bool apply)
{
        struct tree *t = w->twin.tree;

        if (!w->planned)
                return;
        if (apply)
                cr_assert_eq(
                        tree_rename(t, w->plan.parent, w->plan.staged, w->plan.parent, w->name), 0);
        else
                cr_assert(tree_unstage(t));
        w->planned = false;
}

static void change(struct walk *w)
{
        struct tree *t = w->twin.tree;
        struct view_file *f;
        uint64_t parent;
        char path[64];

        path_of(roll(&w->random, NAMES), path, sizeof path);
        if (roll(&w->random, 30) == 0)
                twin_age(&w->twin);
        switch (roll(&w->random, 8)) {
        case 0:
                f = version(w, path);
                cr_assert_eq(tree_put(t, f), 0);
                view_file_unref(f);
                break;
        case 1:
                (void)tree_remove(t, path, &parent);
                break;
        case 2:
        case 3:
                end_plan(w, true);
                f = version(w, path);
                w->planned = tree_stage(t, f, &w->plan) == 0;
                if (w->planned)
                        (void)snprintf(w->name, sizeof w->name, "%s", w->plan.name);
                view_file_unref(f);
                break;
        case 4:
                end_plan(w, roll(&w->random, 4) > 0);
                break;
        case 5: {
                unsigned i = roll(&w->random, HELD);
                if (w->held[i].id)
                        tree_forget(t, w->held[i].id, w->held[i].n);
                w->held[i].id = w->held[i].n = 0;
                break;
        }
        default:
                look_up(w, path);
        }
}

static void walk(struct walk *w, bool take_over)
{
        for (unsigned step = 0; step < STEPS; step++) {
                change(w);
                if (roll(&w->random, 12) == 0)
                        twin_compare(&w->twin);
                if (take_over && roll(&w->random, 50) == 0)
                        twin_take_over(&w->twin);
        }
        twin_compare(&w->twin);
        cr_assert_gt(w->twin.areas, 5, "areas were changed on the way: %u", w->twin.areas);
        twin_done(&w->twin);
}

Test(tree_journal_random, a_successor_would_have_the_same_table)
{
        for (uint64_t seed = 1; seed <= 3; seed++) {
                struct walk w = {.random = seed};

                twin_new(&w.twin);
                walk(&w, false);
        }
}

Test(tree_journal_random, and_so_would_each_successor_of_successors)
{
        for (uint64_t seed = 1; seed <= 3; seed++) {
                struct walk w = {.random = seed << 32};

                twin_new(&w.twin);
                walk(&w, true);
        }
}

/* --- while an area is being written --- */

struct server {
        struct twin *twin;
        _Atomic bool stop;
        _Atomic unsigned planned; /* odd: there is a plan to apply */
        struct tree_plan plan;
};

/* A serving thread: look-ups, FORGETs, and the planned rename as soon as there is one. */
static void *serve(void *userdata)
{
        struct server *s = userdata;

        while (!s->stop) {
                struct stat st;
                uint64_t id;
                bool cacheable;

                if (tree_lookup(s->twin->tree, TREE_ROOT, "file", &id, &st, &cacheable) == 0)
                        tree_forget(s->twin->tree, id, 1);
                if (s->planned % 2) {
                        const struct tree_plan *p = &s->plan;
                        cr_assert_eq(tree_rename(s->twin->tree, p->parent, p->staged, p->parent,
                                             p->name),
                                0);
                        s->planned++;
                }
        }
        return NULL;
}

Test(tree_journal_random, what_serving_threads_do_while_an_area_is_written_is_not_lost)
{
        static struct twin twin;
        struct server s = {.twin = &twin};
        struct walk w = {.random = 5};
        pthread_t t;

        twin_new(&twin);
        put_text(twin.tree, "file", "first");
        cr_assert_eq(pthread_create(&t, NULL, serve, &s), 0);
        for (unsigned i = 0; i < 300; i++) {
                struct view_file *f = version(&w, "file");

                cr_assert_eq(tree_stage(twin.tree, f, &s.plan), 0);
                s.planned++;
                /* The rename comes at some moment of this. */
                twin_area(&twin);
                while (s.planned % 2)
                        ;
                _cleanup_(tree_freep) struct tree *next = twin_restore(&twin);
                _cleanup_(view_file_unrefp) struct view_file *shown = tree_shown(next, "file");
                cr_assert(tree_applied(next), "round %u", i);
                cr_assert(sec_equal(shown->bytes, f->bytes), "round %u", i);
                view_file_unref(f);
        }
        s.stop = true;
        cr_assert_eq(pthread_join(t, NULL), 0);
        twin_compare(&twin);
        twin_done(&twin);
}
