#include "fs/node.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "fs/keeper_proto.h"
#include "tests/unit/fs/support.h"

static struct node_table table;

static void init(void)
{
        cr_assert_eq(node_table_init(&table, 0x12345678), 0);
}

static void fini(void)
{
        node_table_done(&table);
}

TestSuite(node, .init = init, .fini = fini);

static struct node *new_file(const char *text)
{
        struct view_file *f = make_file("f", text);
        struct node *n;

        cr_assert_eq(node_new(&table, f, &n), 0);
        view_file_unref(f);
        return n;
}

static struct node *new_dir(void)
{
        struct node *n;

        cr_assert_eq(node_new(&table, NULL, &n), 0);
        return n;
}

Test(node, the_first_is_the_root_and_others_carry_the_epoch)
{
        struct node *root = new_dir(), *file = new_file("x");

        cr_assert_eq(root->id, 1);
        cr_assert(root->dir);
        cr_assert_eq(file->id, (uint64_t)0x345678 << 40 | 2, "24 bits of the epoch");
        cr_assert_eq(file->ino, 2);
        cr_assert_not(file->dir);
        cr_assert_eq(node_find(&table, file->id), file);
        cr_assert_null(node_find(&table, 2), "an id of another epoch is nobody's");
        cr_assert_null(node_find(&table, 0));
}

Test(node, all_are_found_after_the_table_has_grown)
{
        struct node *nodes[1000];

        for (size_t i = 0; i < ELEMENTSOF(nodes); i++)
                nodes[i] = new_file("x");
        cr_assert_gt(table.n_buckets, 512);
        cr_assert_eq(table.n_nodes, ELEMENTSOF(nodes));
        for (size_t i = 0; i < ELEMENTSOF(nodes); i++)
                cr_assert_eq(node_find(&table, nodes[i]->id), nodes[i]);
}

Test(node, lives_while_a_name_or_the_kernel_holds_it)
{
        new_dir();
        struct node *n = new_file("secret");
        uint64_t id = n->id;
        size_t held = sec_total();

        n->linked = true;
        n->nlookup = 1;
        node_release(&table, n);
        cr_assert_not_null(node_find(&table, id));
        n->linked = false;
        node_release(&table, n);
        cr_assert_not_null(node_find(&table, id));
        n->nlookup = 0;
        node_release(&table, n);
        cr_assert_null(node_find(&table, id));
        cr_assert_eq(table.n_nodes, 1);
        cr_assert_eq(sec_total(), held - strlen("secret"), "its bytes are gone with it");
}

Test(node, an_id_is_never_given_twice)
{
        new_dir();
        struct node *n = new_file("x");
        uint64_t id = n->id;

        node_release(&table, n);
        cr_assert_neq(new_file("y")->id, id);
}

Test(node, a_folder_goes_with_what_only_it_held)
{
        struct view_file *f = make_file("f", "x");
        struct node *dir, *file, *kept;

        cr_assert_eq(node_new(&table, NULL, &dir), 0);
        cr_assert_eq(node_new(&table, f, &file), 0);
        cr_assert_eq(node_new(&table, f, &kept), 0);
        cr_assert_eq(node_add_entry(dir, "file", file, false), 0);
        cr_assert_eq(node_add_entry(dir, "kept", kept, false), 0);
        file->linked = kept->linked = dir->linked = true;
        kept->nlookup = 1;
        uint64_t ids[] = {dir->id, file->id, kept->id};
        node_release(&table, dir);
        cr_assert_eq(node_find(&table, ids[0]), dir, "it has its name");
        dir->linked = false;
        node_release(&table, dir);
        cr_assert_null(node_find(&table, ids[0]));
        cr_assert_null(node_find(&table, ids[1]));
        cr_assert_eq(node_find(&table, ids[2]), kept, "the kernel holds it");
        cr_assert_not(kept->linked);
        view_file_unref(f);
}

Test(node, entries_are_found_by_their_whole_name)
{
        struct node *dir = new_dir(), *a = new_file("a"), *b = new_file("b");

        cr_assert_eq(node_add_entry(dir, "name", a, false), 0);
        cr_assert_eq(node_add_entry(dir, "name2", b, false), 0);
        cr_assert_eq(node_entry(dir, "name")->node, a);
        cr_assert_eq(node_entry(dir, "name2")->node, b);
        cr_assert_null(node_entry(dir, "nam"));
        cr_assert_null(node_entry(dir, ""));
        node_remove_entry(dir, "name");
        node_remove_entry(dir, "never there");
        cr_assert_null(node_entry(dir, "name"));
        cr_assert_eq(node_entry(dir, "name2")->node, b);
}

Test(node, cookies_grow_and_are_not_used_again)
{
        struct node *dir = new_dir(), *n = new_file("x");
        char name[16];

        for (int i = 0; i < 100; i++) {
                (void)snprintf(name, sizeof name, "n%d", i);
                cr_assert_eq(node_add_entry(dir, name, n, false), 0);
        }
        cr_assert_eq(dir->entries[0].cookie, 3, "1 and 2 are . and ..");
        node_remove_entry(dir, "n50");
        node_remove_entry(dir, "n99");
        cr_assert_eq(node_add_entry(dir, "late", n, false), 0);
        for (size_t i = 1; i < dir->n_entries; i++)
                cr_assert_gt(dir->entries[i].cookie, dir->entries[i - 1].cookie);
        cr_assert_eq(node_entry(dir, "late")->cookie, 103);
}

Test(node, a_staged_entry_has_room_for_the_longest_name)
{
        struct node *dir = new_dir(), *n = new_file("x");
        char staged[KEEPER_STAGE_LEN + 1], longest[SPC_NAME_MAX + 1];

        memset(staged, 's', sizeof staged - 1);
        staged[sizeof staged - 1] = '\0';
        memset(longest, 'l', SPC_NAME_MAX);
        longest[SPC_NAME_MAX] = '\0';
        cr_assert_eq(node_add_entry(dir, staged, n, true), 0);
        struct entry *e = node_entry(dir, staged);
        cr_assert(e->staged);
        node_rename_entry(e, longest);
        cr_assert_null(node_entry(dir, staged));
        cr_assert_eq(node_entry(dir, longest), e);
        cr_assert_not(e->staged);
}
