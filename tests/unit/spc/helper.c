#include "helper.h"

#include <stdio.h>

#include "spc/spc.h"

static char *render(const struct spc_diags *d, bool hints)
{
        char *out = NULL;
        size_t len = 0;
        FILE *f = open_memstream(&out, &len);

        cr_assert(f);
        for (size_t i = 0; i < d->n; i++) {
                _cleanup_free_ char *line = NULL;
                cr_assert_eq(spc_diag_format(&d->list[i], "F", &line), 0);
                const char *s = startswith(line, d->list[i].line > 0 ? "F:" : "F: ");
                cr_assert(s, "%s", line);
                fprintf(f, "%s\n", s);
                if (hints && d->list[i].hint)
                        fprintf(f, "    %s\n", d->list[i].hint);
        }
        fclose(f);
        return out;
}

static char *parse(const char *text, const char *name, struct spc_class **ret, bool hints)
{
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        struct spc_class *c = NULL;
        int r = spc_parse(text, strlen(text), name, &c, &d);

        cr_assert(r == 0 || r == -EINVAL, "spc_parse: %d", r);
        cr_assert_eq(r == 0, d.errors == 0);
        cr_assert_eq(r == 0, c != NULL);
        char *out = render(&d, hints);
        if (ret)
                *ret = c;
        else
                spc_class_free(c);
        return out;
}

char *findings_of(const char *text, const char *name, struct spc_class **ret)
{
        return parse(text, name, ret, true);
}

char *findings_without_hints(const char *text, const char *name, struct spc_class **ret)
{
        return parse(text, name, ret, false);
}

static void print_indented(FILE *f, unsigned indent, const char *text)
{
        while (*text) {
                size_t n = strcspn(text, "\n");
                fprintf(f, "%*s%.*s\n", n > 0 ? (int)indent : 0, "", (int)n, text);
                text += n;
                text += *text == '\n';
        }
}

#define HEAD                                          \
        "apiVersion: secrets-store.csi.x-k8s.io/v1\n" \
        "kind: SecretProviderClass\n"                 \
        "metadata: {name: c}\n"                       \
        "spec:\n"                                     \
        "  provider: azure\n"                         \
        "  parameters:\n"

char *class_with(const char *parameters)
{
        char *out = NULL;
        size_t len = 0;
        FILE *f = open_memstream(&out, &len);

        cr_assert(f);
        fputs(HEAD, f);
        print_indented(f, 4, parameters);
        fclose(f);
        return out;
}

char *class_of(const char *first, const char *second, const char *third)
{
        const char *all[] = {first, second, third};
        char *out = NULL;
        size_t len = 0;
        FILE *f = open_memstream(&out, &len);

        cr_assert(f);
        fputs(HEAD "    keyvaultName: vault\n"
                   "    tenantID: tenant\n"
                   "    objects: |\n"
                   "      array:\n",
                f);
        for (size_t i = 0; i < ELEMENTSOF(all) && all[i]; i++) {
                fputs("        - |\n", f);
                print_indented(f, 10, all[i]);
        }
        fclose(f);
        return out;
}

void expect_text(const char *file, int line, const char *of, const char *got, const char *want)
{
        cr_expect_str_eq(
                got, want, "%s:%d:\n%s\n--- got\n%s--- want\n%s---", file, line, of, got, want);
}

void expect_findings(const char *file, int line, const char *text, const char *want)
{
        _cleanup_free_ char *got = findings_without_hints(text, NULL, NULL);

        expect_text(file, line, text, got, want);
}
