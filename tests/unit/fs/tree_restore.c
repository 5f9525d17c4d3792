/* Records that make no sense, and what a table makes of them. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "fs/journal.h"
#include "fs/record.h"
#include "tests/unit/fs/trees.h"

static int feed(struct tree *t, enum record_type type, const struct record_node *node)
{
        struct journal *j;
        struct journal_record r;
        size_t offset = 0;

        cr_assert_eq(journal_new(0, false, &j), 0);
        cr_assert_eq(record_put_node(j, type, 1, node), 0);
        cr_assert(journal_next(j, &offset, &r));
        int e = tree_restore(t, &r);
        journal_free(j);
        return e;
}

static int feed_event(struct tree *t, enum record_type type, uint64_t id)
{
        const struct record_event event = {.id = id};
        struct journal_record r = {.type = type, .mount = 1, .data = &event, .len = sizeof event};

        return tree_restore(t, &r);
}

#define STAGED_NAME ".akvfs-0123456789abcdef0123456789abcdef"

Test(tree_restore, records_that_make_no_sense_are_refused)
{
        struct view_file *f = make_file("x", "x");
        struct record_node
                file = {.id = 10, .parent = 1, .ino = 10, .linked = true, .name = "x", .file = f},
                dir = {.id = 11, .parent = 1, .ino = 11, .dir = true, .linked = true, .name = "d"},
                bad;
        struct tree *t = make_tree();

        cr_assert_eq(feed(t, RECORD_NODE, &file), 0);
        cr_assert_eq(feed(t, RECORD_NODE, &dir), 0);
        cr_assert_eq(feed(t, RECORD_NODE, &file), -EBADMSG, "an id twice");
        bad = file;
        bad.id = TREE_ROOT;
        cr_assert_eq(feed(t, RECORD_NODE, &bad), -EBADMSG, "the root");
        bad = file;
        bad.id = 12;
        bad.parent = 99;
        cr_assert_eq(feed(t, RECORD_NODE, &bad), -EBADMSG, "a folder that is not there");
        bad.id = 13;
        bad.parent = 10;
        cr_assert_eq(feed(t, RECORD_NODE, &bad), -EBADMSG, "a folder that is a file");
        bad.id = 14;
        bad.parent = 1;
        bad.name[0] = '\0';
        cr_assert_eq(feed(t, RECORD_NODE, &bad), -EBADMSG, "no name");
        bad = file;
        bad.id = 15;
        (void)snprintf(bad.name, sizeof bad.name, "d");
        cr_assert_eq(feed(t, RECORD_NODE, &bad), -EBADMSG, "a file over a folder");
        bad = dir;
        bad.id = 16;
        (void)snprintf(bad.name, sizeof bad.name, "x");
        cr_assert_eq(feed(t, RECORD_NODE, &bad), -EBADMSG, "a folder over a file");
        tree_free(t);

        t = make_tree();
        cr_assert_eq(feed(t, RECORD_STAGED, &file), -EBADMSG, "not a staged name");
        tree_free(t);
        t = make_tree();
        bad = file;
        (void)snprintf(bad.name, sizeof bad.name, STAGED_NAME);
        cr_assert_eq(feed(t, RECORD_STAGED, &bad), -EBADMSG, "no target");
        tree_free(t);
        t = make_tree();
        bad = dir;
        (void)snprintf(bad.name, sizeof bad.name, STAGED_NAME);
        (void)snprintf(bad.target, sizeof bad.target, "x");
        cr_assert_eq(feed(t, RECORD_STAGED, &bad), 0, "a folder");
        cr_assert_null(tree_pending(t), "whose file was not written any more");
        tree_free(t);
        t = make_tree();
        bad = file;
        (void)snprintf(bad.name, sizeof bad.name, STAGED_NAME);
        (void)snprintf(bad.target, sizeof bad.target, "x");
        cr_assert_eq(feed(t, RECORD_STAGED, &bad), 0);
        bad.id = 20;
        bad.name[10]++;
        cr_assert_eq(feed(t, RECORD_STAGED, &bad), -EBADMSG, "two plans");
        tree_free(t);
        view_file_unref(f);
}

Test(tree_restore, events_of_what_is_not_there_are_refused)
{
        struct tree *t = make_tree();
        const struct record_event event = {.id = 5};
        struct journal_record odd = {.type = 77, .mount = 1, .data = &event, .len = sizeof event};
        char plan[1024] = "";

        cr_assert_eq(feed_event(t, RECORD_APPLIED, 5), -EBADMSG);
        cr_assert_eq(feed_event(t, RECORD_UNSTAGED, 5), -EBADMSG);
        cr_assert_eq(feed_event(t, RECORD_REMOVED, 5), -EBADMSG);
        cr_assert_eq(feed_event(t, RECORD_REMOVED, TREE_ROOT), -EBADMSG);
        cr_assert_eq(feed_event(t, RECORD_FORGOTTEN, 5), 0, "forgotten already");
        cr_assert_eq(feed_event(t, RECORD_FORGOTTEN, TREE_ROOT), 0);
        cr_assert_eq(tree_restore(t, &odd), -EBADMSG);
        odd.len = 3;
        odd.type = RECORD_APPLIED;
        cr_assert_eq(tree_restore(t, &odd), -EBADMSG);
        memset(plan, 'p', sizeof plan);
        for (size_t len = 0; len <= sizeof plan; len++) {
                struct journal_record r = {.type = RECORD_PLAN, .data = plan, .len = len};
                cr_assert_eq(tree_restore(t, &r), -EBADMSG, "%zu", len);
        }
        struct stat st;
        cr_assert_eq(tree_getattr(t, TREE_ROOT, &st), 0);
        tree_free(t);
}

/* Folders are walked by recursion: they cannot be nested deeper than a path can name. */
Test(tree_restore, folders_without_end_are_refused)
{
        struct tree *t = make_tree();
        struct record_node dir = {.id = 1, .dir = true, .linked = true, .name = "d"};
        int e = 0;

        for (unsigned i = 0; i < 10000 && e == 0; i++) {
                dir.parent = dir.id++;
                e = feed(t, RECORD_NODE, &dir);
        }
        cr_assert_eq(e, -EBADMSG);
        cr_assert_lt(dir.id, SPC_PATH_MAX);
        tree_free(t);
}
