#include "fs/session_xattr.h"

#include <criterion/criterion.h>

#include "tests/unit/fs/support.h"

static struct rig rig;
static struct answer answer;
static uint64_t id;

static void init(void)
{
        struct view_file *f = make_file("f", "x");

        rig_start(&rig, true, true);
        f->content_type = "text/plain";
        f->expires = 1893456000;
        cr_assert_eq(tree_put(rig.tree, f), 0);
        view_file_unref(f);
        id = (uint64_t)lookup(&rig, TREE_ROOT, "f");
}

static void fini(void)
{
        rig_done(&rig);
}

TestSuite(session_xattr, .init = init, .fini = fini, .timeout = 60);

static int get(uint64_t node, const char *name, uint32_t size)
{
        struct fuse_getxattr_in in = {.size = size};

        return call(&rig, &answer, FUSE_GETXATTR, node, &in, sizeof in, name, NULL);
}

static void expect(const char *name, const char *value)
{
        cr_assert_eq(get(id, name, 1024), 0, "%s", name);
        cr_assert_eq(answer.len, strlen(value), "%s: %.*s", name, (int)answer.len, answer.body);
        cr_assert_arr_eq(answer.body, value, answer.len);
}

static uint32_t told_size(void)
{
        cr_assert_eq(answer.len, sizeof(struct fuse_getxattr_out));
        return ((const struct fuse_getxattr_out *)(const void *)answer.body)->size;
}

Test(session_xattr, tells_what_is_known_of_the_version)
{
        expect("user.akvfs.object_id",
                "https://v.vault.azure.net/secrets/name/0123456789abcdef0123456789abcdef");
        expect("user.akvfs.version", "0123456789abcdef0123456789abcdef");
        expect("user.akvfs.enabled", "true");
        expect("user.akvfs.content_type", "text/plain");
        expect("user.akvfs.expires", "2030-01-01T00:00:00Z");
        expect("user.akvfs.updated", "2023-11-14T22:13:20Z");
}

Test(session_xattr, tells_how_the_last_poll_went)
{
        cr_assert_eq(get(id, "user.akvfs.last_refresh", 100), -ENODATA, "never yet");
        cr_assert_eq(get(id, "user.akvfs.last_error", 100), -ENODATA);
        tree_set_state(rig.tree, "f", 1700000060, "the vault is away");
        expect("user.akvfs.last_refresh", "2023-11-14T22:14:20Z");
        expect("user.akvfs.last_error", "the vault is away");
        tree_set_state(rig.tree, "f", 1700000120, NULL);
        cr_assert_eq(get(id, "user.akvfs.last_error", 100), -ENODATA);
}

Test(session_xattr, a_long_error_is_cut)
{
        char error[4000];

        memset(error, 'e', sizeof error - 1);
        error[sizeof error - 1] = '\0';
        tree_set_state(rig.tree, "f", 1, error);
        cr_assert_eq(get(id, "user.akvfs.last_error", 8192), 0);
        cr_assert_eq(answer.len, sizeof((struct tree_state *)0)->error - 1);
}

Test(session_xattr, size_is_asked_first_and_too_small_is_said)
{
        cr_assert_eq(get(id, "user.akvfs.enabled", 0), 0);
        cr_assert_eq(told_size(), 4);
        cr_assert_eq(get(id, "user.akvfs.enabled", 3), -ERANGE);
        cr_assert_eq(get(id, "user.akvfs.enabled", 4), 0);
}

Test(session_xattr, others_are_not_there)
{
        static const char *const names[] = {"user.akvfs.", "user.akvfs.versio", "user.other",
                "security.capability", "system.posix_acl_access"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                cr_assert_eq(get(id, names[i], 100), -ENODATA, "%s", names[i]);
        cr_assert_eq(get(TREE_ROOT, "user.akvfs.version", 100), -ENODATA, "folders have none");
        cr_assert_eq(get(4711, "user.akvfs.version", 100), -ENODATA);
}

Test(session_xattr, lists_those_that_are_there)
{
        static const char all[] = "user.akvfs.object_id\0user.akvfs.version\0user.akvfs.enabled\0"
                                  "user.akvfs.content_type\0user.akvfs.expires\0user.akvfs.updated";
        struct fuse_getxattr_in in = {0};

        cr_assert_eq(call(&rig, &answer, FUSE_LISTXATTR, id, &in, sizeof in, NULL, NULL), 0);
        cr_assert_eq(told_size(), sizeof all);
        in.size = sizeof all - 1;
        cr_assert_eq(call(&rig, &answer, FUSE_LISTXATTR, id, &in, sizeof in, NULL, NULL), -ERANGE);
        in.size = sizeof all;
        cr_assert_eq(call(&rig, &answer, FUSE_LISTXATTR, id, &in, sizeof in, NULL, NULL), 0);
        cr_assert_eq(answer.len, sizeof all);
        cr_assert_arr_eq(answer.body, all, sizeof all);

        tree_set_state(rig.tree, "f", 1, "x");
        in.size = 1000;
        cr_assert_eq(call(&rig, &answer, FUSE_LISTXATTR, id, &in, sizeof in, NULL, NULL), 0);
        cr_assert_eq(answer.len,
                sizeof all + sizeof "user.akvfs.last_refresh" + sizeof "user.akvfs.last_error");
        cr_assert_eq(call(&rig, &answer, FUSE_LISTXATTR, TREE_ROOT, &in, sizeof in, NULL, NULL), 0);
        cr_assert_eq(answer.len, 0);
}
