#include "tests/unit/fs/renaming.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "fs/server.h"

struct renamer renamer = {.fd = -EBADF};

void start_rename(const struct keeper_mount *m, const struct keeper_msg *request)
{
        if (renamer.fd < 0)
                cr_assert_eq(renamer_start(&renamer), 0);
        cr_assert_eq(renamer_send(&renamer, m, request), 0);
        cr_assert(renamer.busy);
}

int end_rename(void)
{
        struct pollfd p = {.fd = renamer.fd, .events = POLLIN};
        int result;

        cr_assert_eq(poll(&p, 1, 20000), 1, "the rename does not end");
        cr_assert_eq(renamer_receive(&renamer, &result), 1);
        cr_assert_not(renamer.busy);
        return result;
}

char at[PATH_MAX] = "/tmp/akvfs-unit-XXXXXX";
bool have_root;
struct keeper_mount mount_made;
static struct server *server;
struct rig mount_rig;

void renaming_init(void)
{
        cr_assert_not_null(mkdtemp(at));
        have_root = private_namespace();
        mount_made = (struct keeper_mount){.fuse_fd = -EBADF, .private_fd = -EBADF};
}

void renaming_fini(void)
{
        char path[PATH_MAX + 256];

        (void)umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW);
        (void)snprintf(path, sizeof path, "%s/out", at);
        (void)remove(path);
        cr_expect_eq(rmdir(at), 0);
}

static void on_ready(void *userdata)
{
        mount_rig.ready++;
}

static void on_renamed(void *userdata)
{
        mount_rig.renamed++;
}

static void on_refused(void *userdata, struct session *s, uint64_t id)
{
        mount_rig.refused++;
}

static void on_dead(void *userdata)
{
        mount_rig.dead++;
}

static void on_freed(void *userdata)
{
        mount_rig.freed++;
}

static const struct session_events events = {.ready = on_ready,
        .renamed = on_renamed,
        .refused = on_refused,
        .dead = on_dead,
        .freed = on_freed};

void begin(uint32_t flags)
{
        struct keeper_msg m;
        char detail[KEEPER_NAME_SIZE] = "";

        keeper_msg_init(&m, KEEPER_MOUNT, 1);
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, at), 0);
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, "akvfs:unit"), 0);
        m.flags = flags;
        cr_assert_eq(keeper_mount_make(&m, NULL, &mount_made, detail), 0, "%s", detail);
        struct tree_config cfg = {.epoch = 5, .mode = 0644};
        cr_assert_eq(tree_new(&cfg, &mount_rig.tree), 0);
        put_text(mount_rig.tree, "f", "old");
        put_text(mount_rig.tree, "d/g", "old");
}

void serve(void)
{
        struct session_config cfg = {.tree = mount_rig.tree,
                .dialects = test_dialects(),
                .label = at,
                .no_open = mount_made.privileged,
                .events = &events};

        cr_assert_eq(server_new(2, &server), 0);
        cr_assert_eq(session_new(fcntl(mount_made.fuse_fd, F_DUPFD_CLOEXEC, 3), &cfg,
                             &mount_rig.session),
                0);
        cr_assert_eq(server_add(server, mount_rig.session), 0);
        wait_for_count(NULL, &mount_rig.ready, 1);
}

void end(void)
{
        char detail[KEEPER_NAME_SIZE] = "";

        cr_assert_eq(keeper_mount_unmount(&mount_made, NULL, true, detail), 0, "%s", detail);
        keeper_mount_done(&mount_made);
        server_remove(server, mount_rig.session);
        mount_rig.session = session_unref(mount_rig.session);
        wait_for_count(NULL, &mount_rig.freed, 1);
        server_free(server);
        tree_free(mount_rig.tree);
}

struct keeper_msg plan(const char *path, const char *text)
{
        struct view_file *f = make_file(path, text);
        struct tree_plan p;
        struct keeper_msg m;

        cr_assert_eq(tree_stage(mount_rig.tree, f, &p), 0);
        keeper_msg_init(&m, KEEPER_RENAME, 1);
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, p.folder), 0);
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, p.name), 0);
        cr_assert_eq(keeper_msg_set(m.staged, sizeof m.staged, p.staged), 0);
        cr_assert_eq(keeper_msg_valid(&m), 0);
        view_file_unref(f);
        return m;
}

void expect_text(int fd, const char *text)
{
        char buf[64];

        ssize_t n = pread(fd, buf, sizeof buf, 0);
        cr_assert_eq(n, (ssize_t)strlen(text), "%zd", n);
        cr_assert_arr_eq(buf, text, (size_t)n);
}

int open_below(const char *name)
{
        char path[PATH_MAX + 256];

        (void)snprintf(path, sizeof path, "%s/%s", at, name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
        return fd;
}

void send_plan(const struct tree_plan *p, uint32_t flags, int expected)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_RENAME, 1);
        m.flags = flags;
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, p->folder), 0);
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, p->name), 0);
        cr_assert_eq(keeper_msg_set(m.staged, sizeof m.staged, p->staged), 0);
        cr_assert_eq(keeper_msg_valid(&m), 0);
        start_rename(&mount_made, &m);
        int r = end_rename();
        cr_assert_eq(r, expected, "%d", r);
}

bool is_there(const char *name)
{
        char path[PATH_MAX + 256];
        struct stat st;

        (void)snprintf(path, sizeof path, "%s/%s", at, name);
        return lstat(path, &st) == 0;
}

void expect_file(const char *name, const char *text)
{
        int fd = open_below(name);

        expect_text(fd, text);
        safe_close(fd);
}
