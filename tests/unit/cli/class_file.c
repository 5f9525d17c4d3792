#include "cli/class_file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>

#define CLASS(type)                                   \
        "apiVersion: secrets-store.csi.x-k8s.io/v1\n" \
        "kind: SecretProviderClass\n"                 \
        "metadata: {name: web}\n"                     \
        "spec:\n"                                     \
        "  provider: azure\n"                         \
        "  parameters:\n"                             \
        "    keyvaultName: vault\n"                   \
        "    tenantID: tenant\n"                      \
        "    objects: |\n"                            \
        "      array:\n"                              \
        "        - |\n"                               \
        "          objectName: a\n"                   \
        "          objectType: " type "\n"

struct file {
        char path[64];
};

static void file_done(struct file *f)
{
        unlink(f->path);
}

static struct file file_with(const char *text, size_t len)
{
        struct file f = {"/tmp/akvfs-class-XXXXXX"};
        _cleanup_close_ int fd = mkostemp(f.path, O_CLOEXEC);

        cr_assert_geq(fd, 0);
        cr_assert_eq(write_all(fd, text, len), 0);
        return f;
}

static int load(const char *path, const char *name, char **ret_text, struct spc_class **ret,
        struct cli_findings *findings)
{
        size_t n = 0;
        FILE *out = open_memstream(ret_text, &n);

        cr_assert(out);
        int r = cli_load_class_to(out, path, name, ret, findings);
        fclose(out);
        return r;
}

Test(class_file, a_good_class_is_read_without_a_word)
{
        _cleanup_(file_done) struct file f = file_with(CLASS("secret"), strlen(CLASS("secret")));
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        _cleanup_free_ char *text = NULL;
        struct cli_findings findings = {7, 7};

        cr_assert_eq(load(f.path, NULL, &text, &c, &findings), 0);
        cr_expect_str_eq(text, "");
        cr_expect_str_eq(c->name, "web");
        cr_expect_eq(findings.errors, 0);
        cr_expect_eq(findings.warnings, 0);
}

Test(class_file, findings_and_hints_are_printed_with_the_file)
{
        const char *class = CLASS("Secret") "          alias: x\n";
        _cleanup_(file_done) struct file f = file_with(class, strlen(class));
        _cleanup_free_ char *text = NULL, *want = NULL;
        struct spc_class *c = NULL;
        struct cli_findings findings = {0};

        cr_expect_eq(load(f.path, NULL, &text, &c, &findings), -EINVAL);
        cr_expect_null(c);
        cr_assert_eq(xasprintf(&want,
                             "%s:13:23: error: objects[0] (a) objectType: \"Secret\": Invalid "
                             "vaultObjectTypes. Should be secret, key, or cert\n"
                             "        did you mean secret?\n"
                             "%s:14:11: warning: objects[0] (a) alias: unknown field, ignored\n"
                             "        did you mean objectAlias?\n",
                             f.path, f.path),
                0);
        cr_expect_str_eq(text, want, "%s", text);
        cr_expect_eq(findings.errors, 1);
        cr_expect_eq(findings.warnings, 1);
}

Test(class_file, what_was_not_kept_is_counted)
{
        char *class = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&class, &n);

        cr_assert(f);
        fputs(CLASS("x"), f);
        for (int i = 1; i < 210; i++)
                fprintf(f, "        - '{objectName: n%d, objectType: x}'\n", i);
        fclose(f);
        _cleanup_(file_done) struct file file = file_with(class, n);
        _cleanup_free_ char *text = NULL;
        struct spc_class *c = NULL;
        struct cli_findings findings = {0};
        cr_expect_eq(load(file.path, NULL, &text, &c, &findings), -EINVAL);
        cr_expect_eq(findings.errors, 210);
        cr_expect(strstr(text, ": 10 more findings are not shown\n"));
        free(class);
}

Test(class_file, a_file_that_cannot_be_read_says_why)
{
        static const struct {
                const char *path;
                int r;
                const char *text;
        } cases[] = {
                {"/nowhere/class.yaml", -ENOENT,
                        "akvfs: cannot read /nowhere/class.yaml: No such file or directory\n"},
                {"/tmp", -EISDIR, "akvfs: cannot read /tmp: Is a directory\n"},
                {"/dev/zero", -EFBIG,
                        "akvfs: /dev/zero is longer than 1048576 bytes, which no class is\n"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;
                struct spc_class *c = NULL;
                cr_expect_eq(load(cases[i].path, NULL, &text, &c, NULL), cases[i].r);
                cr_expect_str_eq(text, cases[i].text, "%s", text);
        }
}

static void stdin_from(const char *text, size_t len)
{
        int p[2];

        cr_assert_eq(pipe2(p, O_CLOEXEC), 0);
        cr_assert_eq(dup2(p[0], STDIN_FILENO), STDIN_FILENO);
        safe_close(p[0]);
        if (fork() == 0) {
                /* A class may be longer than a pipe holds. */
                _exit(write_all(p[1], text, len) == 0 ? 0 : 1);
        }
        safe_close(p[1]);
}

Test(class_file, a_dash_is_standard_input)
{
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        _cleanup_free_ char *text = NULL;

        stdin_from(CLASS("secret"), strlen(CLASS("secret")));
        cr_assert_eq(load("-", "web", &text, &c, NULL), 0);
        cr_expect_str_eq(c->name, "web");

        _cleanup_free_ char *wrong = NULL;
        struct spc_class *none = NULL;
        stdin_from("a: b: c\n", 8);
        cr_expect_eq(load("-", NULL, &wrong, &none, NULL), -EINVAL);
        cr_expect_str_eq(wrong,
                "<stdin>:1:5: error: yaml: mapping values are not allowed in this context\n");
}

Test(class_file, standard_input_has_an_end)
{
        char *big = calloc(1, SPC_TEXT_MAX + 1);
        _cleanup_free_ char *text = NULL, *fits = NULL;
        struct spc_class *c = NULL;

        cr_assert(big);
        memset(big, '#', SPC_TEXT_MAX + 1);
        stdin_from(big, SPC_TEXT_MAX + 1);
        cr_expect_eq(load("-", NULL, &text, &c, NULL), -EFBIG);
        cr_expect_str_eq(text, "akvfs: <stdin> is longer than 1048576 bytes, which no class is\n");
        stdin_from(big, SPC_TEXT_MAX);
        cr_expect_eq(load("-", NULL, &fits, &c, NULL), -EINVAL);
        cr_expect(strstr(fits, "no SecretProviderClass in this file"), "%s", fits);
        free(big);
}
