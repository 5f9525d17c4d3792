#include "cli/class_file.h"

/* Standard input is read where it stands: it may be a pipe or a socket that has no path. */
static int read_stdin(char **ret, size_t *ret_len)
{
        _cleanup_free_ char *buf = malloc(SPC_TEXT_MAX + 2);
        size_t len = 0;

        if (!buf)
                return -ENOMEM;
        for (;;) {
                ssize_t n = read(STDIN_FILENO, buf + len, SPC_TEXT_MAX + 1 - len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                len += (size_t)n;
                if (len > SPC_TEXT_MAX)
                        return -EFBIG;
        }
        buf[len] = '\0';
        *ret = TAKE_PTR(buf);
        *ret_len = len;
        return 0;
}

static int print_diag(FILE *out, const struct spc_diag *d, const char *file)
{
        _cleanup_free_ char *line = NULL, *hint = NULL;

        if (spc_diag_format(d, file, &line) < 0)
                return -ENOMEM;
        fprintf(out, "%s\n", line);
        if (!d->hint)
                return 0;
        if (spc_escape(d->hint, &hint) < 0)
                return -ENOMEM;
        fprintf(out, "        %s\n", hint);
        return 0;
}

static int print_diags(
        FILE *out, const struct spc_diags *d, const char *file, struct cli_findings *ret)
{
        struct cli_findings f = {.errors = d->errors};

        for (size_t i = 0; i < d->n; i++) {
                int r = print_diag(out, &d->list[i], file);
                if (r < 0)
                        return r;
                f.warnings += d->list[i].severity == SPC_WARNING;
        }
        if (d->dropped > 0)
                fprintf(out, "%s: %zu more findings are not shown\n", file, d->dropped);
        if (ret)
                *ret = f;
        return 0;
}

int cli_load_class_to(FILE *out, const char *path, const char *name, struct spc_class **ret,
        struct cli_findings *ret_findings)
{
        bool is_stdin = streq(path, "-");
        const char *shown = is_stdin ? "<stdin>" : path;
        _cleanup_(spc_diags_done) struct spc_diags diags = {0};
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        _cleanup_free_ char *text = NULL;
        size_t len;
        FILE *to = out ? out : stderr;

        int r = is_stdin ? read_stdin(&text, &len)
                         : read_whole_file(path, SPC_TEXT_MAX, &text, &len);
        if (r == -EFBIG) {
                fprintf(to, "akvfs: %s is longer than %zu bytes, which no class is\n", shown,
                        SPC_TEXT_MAX);
                return r;
        }
        if (r < 0) {
                fprintf(to, "akvfs: cannot read %s: %s\n", shown, strerror(-r));
                return r;
        }
        r = spc_parse(text, len, name, &c, &diags);
        if (r == -EINVAL || r == 0) {
                int e = print_diags(to, &diags, shown, ret_findings);
                if (e < 0)
                        r = e;
        }
        if (r < 0 && r != -EINVAL)
                fprintf(to, "akvfs: %s: %s\n", shown, strerror(-r));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

int cli_load_class(const char *path, const char *name, struct spc_class **ret)
{
        return cli_load_class_to(NULL, path, name, ret, NULL);
}
