/* What the kernel is made to forget through a real mount: names, and what it has of an inode. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fs/tree_private.h"
#include "tests/unit/fs/renaming.h"

TestSuite(keeper_rename_forget, .init = renaming_init, .fini = renaming_fini, .timeout = 60);

Test(keeper_rename_forget, a_removed_name_is_unlinked_and_watchers_see_it)
{
        struct tree_plan p;
        uint64_t parent;
        char path[PATH_MAX + 256], event[sizeof(struct inotify_event) + 256];

        if (!have_root)
                return;
        begin(KEEPER_PRIVILEGED);
        serve();
        (void)snprintf(path, sizeof path, "%s/d", at);
        int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), file = open_below("d/g");
        cr_assert_geq(inotify_add_watch(watch, path, IN_DELETE), 0);
        cr_assert_eq(tree_remove(mount_rig.tree, "d/g", &parent), 0);
        cr_assert(is_there("d/g"), "the kernel knows it still");
        cr_assert_eq(tree_plan_removal(mount_rig.tree, &p), 0);
        send_plan(&p, KEEPER_UNLINK, 0);
        cr_assert_not(is_there("d/g"));
        cr_assert_gt(read(watch, event, sizeof event), 0);
        cr_assert_str_eq(((const struct inotify_event *)(const void *)event)->name, "g");
        expect_text(file, "old");
        send_plan(&p, KEEPER_UNLINK, -ENOENT);
        safe_close(file);
        safe_close(watch);
        cr_assert_eq(mount_rig.refused, 0);

        memcpy(p.folder, "", 1);
        memcpy(p.name, "f", 2);
        expect_file("f", "old");
        send_plan(&p, KEEPER_UNLINK, -EROFS);
        cr_assert_eq(mount_rig.refused, 1, "what is there");
        end();
}

static void make_generation(void)
{
        cr_assert_eq(tree_make_generation(mount_rig.tree, NULL, 0), 0);
        cr_assert_eq(tree_put_data(mount_rig.tree), 0);
}

Test(keeper_rename_forget, a_generation_goes_and_who_is_in_it_stays)
{
        struct tree_plan p;

        if (!have_root)
                return;
        begin(KEEPER_PRIVILEGED);
        make_generation();
        make_generation();
        serve();
        int folder = open_below("..1/d"), file = open_below("..1/f");
        cr_assert_eq(tree_drop_generation(mount_rig.tree, 0), 0);
        cr_assert(is_there("..1/d/g"), "the kernel knows it still");
        cr_assert_eq(tree_plan_removal(mount_rig.tree, &p), 0);
        send_plan(&p, KEEPER_AWAY, 0);
        cr_assert_not(is_there("..1"));
        cr_assert(is_there("..2/d/g"));
        expect_text(file, "old");
        int inside = openat(folder, "g", O_RDONLY | O_CLOEXEC);
        cr_assert_geq(inside, 0, "%s", strerror(errno));
        expect_text(inside, "old");
        send_plan(&p, KEEPER_AWAY, -ENOENT);
        cr_assert_eq(mount_rig.refused, 0);
        (void)snprintf(p.name, sizeof p.name, "..2");
        send_plan(&p, KEEPER_AWAY, -EROFS);
        cr_assert_eq(mount_rig.refused, 1, "what is there");
        safe_close(inside);
        safe_close(folder);
        safe_close(file);
        end();
}

Test(keeper_rename_forget, a_name_is_forgotten_when_nothing_else_helps)
{
        struct view_file *f = make_file("f", "put at once");
        struct keeper_msg m;
        uint64_t parent;

        if (!have_root)
                return;
        begin(KEEPER_PRIVILEGED);
        serve();
        expect_file("f", "old");
        int held =
                open_below("f"); /* or it may be dropped from the cache by whoever empties that */
        cr_assert_eq(tree_replace(mount_rig.tree, f, &parent), 0);
        expect_file("f", "old");
        keeper_msg_init(&m, KEEPER_FORGET, 1);
        m.node = parent;
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, "f"), 0);
        cr_assert_eq(keeper_msg_valid(&m), 0);
        start_rename(&mount_made, &m);
        cr_assert_eq(end_rename(), 0);
        expect_file("f", "put at once");
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, "never looked at"), 0);
        start_rename(&mount_made, &m);
        cr_assert_eq(end_rename(), -ENOENT);
        safe_close(held);
        view_file_unref(f);
        end();
}

/* What is cached of a version that is a bind mount's root goes with its bytes. */
Test(keeper_rename_forget, what_is_cached_of_an_inode_goes)
{
        struct keeper_msg m;
        struct stat st;
        uint64_t id;

        if (!have_root)
                return;
        begin(KEEPER_PRIVILEGED);
        serve();
        int held = open_below("f");
        expect_text(held, "old");
        cr_assert_eq(fstat(held, &st), 0);
        tree_bind(mount_rig.tree, st.st_ino, true);
        struct tree_plan p = stage(mount_rig.tree, "f", "new");
        send_plan(&p, 0, 0);
        cr_assert_eq(tree_adopt(mount_rig.tree, &id, 1), 1);
        keeper_msg_init(&m, KEEPER_INVALIDATE, 1);
        m.node = id;
        cr_assert_eq(keeper_msg_valid(&m), 0);
        start_rename(&mount_made, &m);
        cr_assert_eq(end_rename(), 0);
        expect_text(held, "new");
        m.flags = KEEPER_ATTRIBUTES;
        start_rename(&mount_made, &m);
        cr_assert_eq(end_rename(), 0);
        m.node = 4711;
        start_rename(&mount_made, &m);
        cr_assert_eq(end_rename(), -ENOENT);
        safe_close(held);
        end();
}

static char state_of(pid_t pid)
{
        char path[64], text[256] = "";

        (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        cr_assert_gt(read(fd, text, sizeof text - 1), 0);
        safe_close(fd);
        const char *end = strrchr(text, ')');
        return end ? end[2] : '\0';
}

/* A worker that waited there and was killed could not die before it had answered. */
Test(keeper_rename_forget, what_is_being_read_is_waited_for_by_the_child)
{
        struct pollfd p = {.events = POLLIN};
        struct keeper_msg m;
        char c;

        if (!have_root)
                return;
        begin(KEEPER_PRIVILEGED);
        serve();
        int file = open_below("f");
        uint64_t before = session_requests(mount_rig.session);
        keeper_msg_init(&m, KEEPER_INVALIDATE, 1);
        m.node = find(mount_rig.tree, TREE_ROOT, "f");
        pthread_mutex_lock(&mount_rig.tree->lock); /* nothing is answered */
        pid_t reader = fork();
        if (reader == 0)
                _exit(pread(file, &c, 1, 0) == 1 ? 0 : 1);
        cr_assert_gt(reader, 0);
        while (session_requests(mount_rig.session) == before)
                (void)poll(NULL, 0, 1);
        start_rename(&mount_made, &m);
        while (state_of(renamer.pid) != 'D')
                (void)poll(NULL, 0, 1);
        p.fd = renamer.fd;
        cr_assert_eq(poll(&p, 1, 0), 0);
        pthread_mutex_unlock(&mount_rig.tree->lock);
        cr_assert_eq(end_rename(), 0);
        int status;
        cr_assert_eq(waitpid(reader, &status, 0), reader);
        cr_assert_eq(status, 0);
        safe_close(file);
        end();
}
