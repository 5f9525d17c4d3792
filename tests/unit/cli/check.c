#include "cli/check.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>

#include "base/util.h"

static int run(const char *a, const char *b, const char *c)
{
        char *argv[] = {(char *)"check", (char *)a, (char *)b, (char *)c, NULL};
        int argc = 1 + (a != NULL) + (b != NULL) + (c != NULL);

        return cli_check(argc, argv);
}

static void capture(void)
{
        cr_redirect_stdout();
        cr_redirect_stderr();
}

/* A file of its own for each test; the tests run in processes of their own. */
static char *class_file(const char *text)
{
        char *path = NULL;

        cr_assert_eq(xasprintf(&path, "/tmp/akvfs-check-%d.yaml", (int)getpid()), 0);
        FILE *f = fopen(path, "we");
        cr_assert(f);
        fputs(text, f);
        fclose(f);
        return path;
}

#define CLASS(name, objects)                          \
        "apiVersion: secrets-store.csi.x-k8s.io/v1\n" \
        "kind: SecretProviderClass\n"                 \
        "metadata: {name: " name "}\n"                \
        "spec:\n"                                     \
        "  provider: azure\n"                         \
        "  parameters:\n"                             \
        "    keyvaultName: contoso\n"                 \
        "    tenantID: tenant\n"                      \
        "    objects: |\n"                            \
        "      array:\n" objects
#define OBJECT(name, more)                 \
        "        - |\n"                    \
        "          objectName: " name "\n" \
        "          objectType: secret\n" more

Test(check, a_good_class_is_summed_up_on_one_line, .init = capture)
{
        _cleanup_free_ char *path = class_file(
                CLASS("web", OBJECT("a", "") OBJECT("b", "          objectAlias: tls/b\n")
                                     OBJECT("c", "          objectVersionHistory: 3\n")));

        cr_expect_eq(run(path, NULL, NULL), 0);
        fflush(stderr);
        cr_expect_stdout_eq_str("web: vault contoso, 3 objects: a, tls/b, c/ (3 versions)\n");
        unlink(path);
}

Test(check, warnings_are_no_failure, .init = capture)
{
        _cleanup_free_ char *path =
                class_file(CLASS("web", OBJECT("a", "          objectAlas: b\n")));
        _cleanup_free_ char *want = NULL;

        cr_expect_eq(run(path, NULL, NULL), 0);
        fflush(stderr);
        cr_assert_eq(xasprintf(&want,
                             "%s:14:11: warning: objects[0] (a) objectAlas: unknown field, "
                             "ignored\n        did you mean objectAlias?\n",
                             path),
                0);
        cr_expect_stdout_eq_str("web: vault contoso, 1 object: a (1 warning)\n");
        cr_expect_stderr_eq_str(want);
        unlink(path);
}

Test(check, files_of_certificates_are_named, .init = capture)
{
        _cleanup_free_ char *path =
                class_file(CLASS("web", OBJECT("a", "          certificateFiles: folder\n") OBJECT(
                                                "b", "          certificateFiles: separate\n")));

        cr_expect_eq(run(path, NULL, NULL), 0);
        fflush(stderr);
        cr_expect_stdout_eq_str("web: vault contoso, 2 objects: a/, b, b.crt, b.key\n");
        unlink(path);
}

Test(check, errors_are_status_1_and_nothing_is_summed_up, .init = capture)
{
        _cleanup_free_ char *path = class_file(CLASS("web", OBJECT("a", "") OBJECT("a", "")));
        _cleanup_free_ char *want = NULL;

        cr_expect_eq(run(path, NULL, NULL), 1);
        fflush(stdout);
        fflush(stderr);
        cr_assert_eq(xasprintf(&want,
                             "%s:15:23: error: objects[1] (a) objectName: file name \"a\" is "
                             "already taken by objects[0] (a), line 12\n"
                             "        give one of them an objectAlias of its own\n",
                             path),
                0);
        cr_expect_stderr_eq_str(want);
        unlink(path);
}

Test(check, a_file_that_is_not_there_is_status_1, .init = capture)
{
        cr_expect_eq(run("/nowhere.yaml", NULL, NULL), 1);
        fflush(stderr);
        cr_expect_stderr_eq_str("akvfs: cannot read /nowhere.yaml: No such file or directory\n");
}

Test(check, a_name_picks_one_of_several, .init = capture)
{
        _cleanup_free_ char *path =
                class_file(CLASS("web", OBJECT("a", "")) "---\n" CLASS("db", OBJECT("b", "")));

        cr_expect_eq(run(path, NULL, NULL), 1);
        cr_expect_eq(run("--name", "db", path), 0);
        cr_expect_eq(run("-n", "none", path), 1);
        cr_expect_eq(run(path, "--name=web", NULL), 0, "options may stand behind");
        fflush(stderr);
        cr_expect_stdout_eq_str(
                "db: vault contoso, 1 object: b\nweb: vault contoso, 1 object: a\n");
        unlink(path);
}

Test(check, names_cannot_play_with_the_terminal, .init = capture)
{
        _cleanup_free_ char *path = class_file(
                CLASS("\"w\\e[2Jb\"", OBJECT("a", "          objectAlias: \"x\\ny\"\n")));

        cr_expect_eq(run(path, NULL, NULL), 0);
        fflush(stderr);
        cr_expect_stdout_eq_str("w\\x1b[2Jb: vault contoso, 1 object: x\\ny\n");
        unlink(path);
}

Test(check, wrong_use_is_status_2, .init = capture)
{
        cr_expect_eq(run(NULL, NULL, NULL), 2);
        cr_expect_eq(run("a", "b", NULL), 2);
        cr_expect_eq(run("--nonsense", "a", NULL), 2);
        cr_expect_eq(run("--name", NULL, NULL), 2);
}

Test(check, help_is_status_0, .init = capture)
{
        cr_expect_eq(run("--help", NULL, NULL), 0);
        fflush(stdout);
        FILE *f = cr_get_redirected_stdout();
        char line[80] = "";
        cr_assert(fgets(line, sizeof(line), f));
        cr_expect_str_eq(line, "usage: akvfs check [--name NAME] CLASS.yaml\n");
}
