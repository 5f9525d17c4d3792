/* The classes that the documentation shows are good, to the last warning. */
#include "helper.h"

#include <glob.h>

#include "base/util.h"

static void check_example(const char *path)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        size_t len;

        cr_assert_eq(read_whole_file(path, SPC_TEXT_MAX, &text, &len), 0, "%s", path);
        _cleanup_free_ char *got = findings_of(text, NULL, &c);
        EXPECT_TEXT(path, got, "");
        cr_assert(c);
        cr_expect_geq(c->n_objects, 1, "%s", path);
}

/* Tests run in the root of the repository. */
Test(examples, each_is_read_without_a_finding)
{
        glob_t g = {0};

        cr_assert_eq(glob("docs/examples/*.yaml", 0, NULL, &g), 0, "run this in the root");
        cr_expect_geq(g.gl_pathc, 5);
        for (size_t i = 0; i < g.gl_pathc; i++)
                check_example(g.gl_pathv[i]);
        globfree(&g);
}

/* Where a document shows a class in full, in ```yaml that begins with apiVersion. */
static void check_document(const char *path, size_t at_least)
{
        _cleanup_free_ char *text = NULL;
        size_t len, n = 0;

        cr_assert_eq(read_whole_file(path, SPC_TEXT_MAX, &text, &len), 0, "%s", path);
        for (char *p = text; (p = strstr(p, "```yaml\napiVersion: ")); n++) {
                p += strlen("```yaml\n");
                char *end = strstr(p, "```");
                cr_assert(end);
                *end = '\0';
                _cleanup_free_ char *got = findings_of(p, NULL, NULL);
                EXPECT_TEXT(path, got, "");
                p = end + 1;
        }
        cr_expect_geq(n, at_least, "%s: %zu classes", path, n);
}

Test(examples, classes_in_the_text_are_read_without_a_finding)
{
        check_document("docs/class.md", 2);
        check_document("docs/certificates.md", 1);
        check_document("docs/json-secrets.md", 1);
        check_document("docs/names.md", 1);
}

Test(examples, classes_hold_what_the_text_says)
{
        _cleanup_free_ char *text = NULL, *stack = NULL;
        _cleanup_(spc_class_freep) struct spc_class *c = NULL, *s = NULL;
        size_t len;

        cr_assert_eq(read_whole_file("docs/examples/formats.yaml", SPC_TEXT_MAX, &text, &len), 0);
        free(findings_of(text, "formats", &c));
        cr_assert(c);
        cr_assert_eq(c->n_objects, 4);
        cr_expect_str_eq(c->objects[2].file, "tls/web.pfx");
        cr_expect_eq(c->objects[2].format, SPC_FORMAT_PFX);
        cr_expect_eq(c->objects[2].encoding, SPC_ENCODING_BASE64);
        cr_expect_eq(c->objects[2].mode, 0400);
        cr_expect_eq(c->objects[3].type, SPC_CERT);

        _cleanup_free_ char *certificates = NULL;
        _cleanup_(spc_class_freep) struct spc_class *more = NULL;
        cr_assert_eq(read_whole_file(
                             "docs/examples/certificates.yaml", SPC_TEXT_MAX, &certificates, &len),
                0);
        free(findings_of(certificates, NULL, &more));
        cr_assert(more);
        cr_expect_eq(more->objects[0].files, SPC_FILES_FOLDER);
        cr_expect_str_eq(more->objects[1].json_path, "$.password");
        cr_expect_str_eq(more->objects[2].file, "Logging/Level");

        cr_assert_eq(
                read_whole_file("docs/examples/azure-stack.yaml", SPC_TEXT_MAX, &stack, &len), 0);
        free(findings_of(stack, NULL, &s));
        cr_assert(s);
        cr_expect_str_eq(s->cloud, "AzureStackCloud");
        cr_expect_str_eq(s->cloud_env_file, "/etc/kubernetes/custom_environment.json");
}
