#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "auth/helper.h"

Test(helper_source, the_same_credential_is_the_same_source)
{
        _cleanup_free_ char *a = NULL, *b = NULL, *c = NULL, *d = NULL;
        char ids[4][HELPER_ID_SIZE];

        cr_assert_eq(helper_source_file("/a\"b", &a), 0);
        cr_assert_eq(helper_source_file("/a\"b", &b), 0);
        cr_assert_eq(helper_source_folder("/a\"b", &c), 0);
        cr_assert_eq(helper_source_az("/usr/bin/az", "/root", "", "t", "https://r", &d), 0);
        helper_source_id(a, ids[0]);
        helper_source_id(b, ids[1]);
        helper_source_id(c, ids[2]);
        helper_source_id(d, ids[3]);
        cr_assert_str_eq(ids[0], ids[1]);
        cr_assert_str_neq(ids[0], ids[2]);
        cr_assert_str_neq(ids[0], ids[3]);
        cr_assert_eq(strspn(ids[0], "0123456789abcdef"), HELPER_ID_SIZE - 1);
}

Test(helper_source, names_of_key_files)
{
        static const char *const good[] = {"a.key", "0d1c-4_F.key"};
        static const char *const bad[] = {"", ".key", "a", "a.keys", "a.key/", "../a.key",
                "a/b.key", "a.b.key", "a.key.key", "a .key"};
        char big[HELPER_NAME_MAX + 8];

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                cr_expect(helper_is_key_name(good[i]), "%s", good[i]);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                cr_expect_not(helper_is_key_name(bad[i]), "%s", bad[i]);
        memset(big, 'a', sizeof big);
        strcpy(big + HELPER_NAME_MAX - 4, ".key");
        cr_expect(helper_is_key_name(big));
        memset(big, 'a', sizeof big);
        strcpy(big + HELPER_NAME_MAX - 3, ".key");
        cr_expect_not(helper_is_key_name(big));
}

Test(helper_source, registering_and_taking_back)
{
        char dir[] = "/tmp/akvfs-source-XXXXXX", id[HELPER_ID_SIZE];
        _cleanup_free_ char *source = NULL, *path = NULL, *text = NULL;
        struct stat st;
        size_t len = 0;

        cr_assert_not_null(mkdtemp(dir));
        _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_eq(helper_source_file("/token", &source), 0);
        helper_source_id(source, id);
        cr_assert_eq(xasprintf(&path, "%s/credential-%s", dir, id), 0);
        cr_assert_eq(helper_register(fd, source, NULL), 1);
        cr_assert_eq(helper_register(fd, source, NULL), 0, "somebody else's stays somebody else's");
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_eq(st.st_mode & 07777, 0600);
        cr_assert_eq(read_whole_file(path, 1000, &text, &len), 0);
        cr_assert_str_eq(text, source);
        helper_unregister(fd, source);
        cr_assert_eq(access(path, F_OK), -1);
        cr_assert_eq(rmdir(dir), 0, "nothing else is left");
        cr_assert_lt(helper_register(-EBADF, source, NULL), 0);
}
