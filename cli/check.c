#include "cli/check.h"

#include <getopt.h>

#include "cli/class_file.h"

static void usage(FILE *out)
{
        fputs("usage: akvfs check [--name NAME] CLASS.yaml\n"
              "\n"
              "Reads a SecretProviderClass and says all that is wrong with it, as\n"
              "FILE:LINE:COLUMN: error: OBJECT FIELD: TEXT. Asks no vault.\n"
              "\n"
              "  CLASS.yaml        the file, - for standard input\n"
              "  -n, --name NAME   which class, where the file holds several\n"
              "  -h, --help        this text\n"
              "\n"
              "Exit status: 0 the class can be used (there may be warnings), 1 it has errors or\n"
              "cannot be read, 2 wrong use.\n",
                out);
}

static int print_file(const struct spc_object *o, bool first)
{
        _cleanup_free_ char *file = NULL;

        if (spc_escape(o->file, &file) < 0)
                return -ENOMEM;
        printf("%s%s", first ? ": " : ", ", file);
        if (o->history > 1)
                printf("/ (%d versions)", o->history);
        else if (o->files == SPC_FILES_FOLDER)
                printf("/");
        else if (o->files == SPC_FILES_SEPARATE)
                printf(", %s.crt, %s.key", file, file);
        if (o->optional)
                printf(" (optional)");
        return 0;
}

/* "CLASS: vault VAULT, 2 objects: a, b/ (3 versions)", on one line however many there are. */
static int print_summary(const struct spc_class *c, const struct cli_findings *f)
{
        _cleanup_free_ char *name = NULL;

        if (spc_escape(*c->name ? c->name : "(no name)", &name) < 0)
                return -ENOMEM;
        printf("%s: vault %s, %zu object%s", name, c->vault, c->n_objects,
                c->n_objects == 1 ? "" : "s");
        for (size_t i = 0; i < c->n_objects; i++)
                if (print_file(&c->objects[i], i == 0) < 0)
                        return -ENOMEM;
        for (size_t i = 0; i < c->n_selectors; i++) {
                _cleanup_free_ char *words = NULL, *shown = NULL;

                if (spc_selector_describe(&c->selectors[i], &words) < 0 ||
                        spc_escape(words, &shown) < 0)
                        return -ENOMEM;
                printf("%s up to %u %s", i == 0 ? "; chosen:" : ",", c->selectors[i].max, shown);
        }
        if (f->warnings > 0)
                printf(" (%zu warning%s)", f->warnings, f->warnings == 1 ? "" : "s");
        putchar('\n');
        return fflush(stdout) == 0 ? 0 : -errno;
}

int cli_check(int argc, char **argv)
{
        static const struct option options[] = {
                {"name", required_argument, NULL, 'n'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        struct cli_findings findings = {0};
        const char *name = NULL;
        int opt;

        optind = 0; /* main has read its own words with it */
        while ((opt = getopt_long(argc, argv, "n:h", options, NULL)) >= 0)
                switch (opt) {
                case 'n':
                        name = optarg;
                        break;
                case 'h':
                        usage(stdout);
                        return 0;
                default:
                        usage(stderr);
                        return 2;
                }
        if (argc - optind != 1) {
                fprintf(stderr, "akvfs check: %s\n",
                        argc - optind < 1 ? "no file given" : "one file at a time");
                usage(stderr);
                return 2;
        }
        if (cli_load_class_to(stderr, argv[optind], name, &c, &findings) < 0)
                return 1;
        int r = print_summary(c, &findings);
        if (r < 0) {
                fprintf(stderr, "akvfs check: cannot write the summary: %s\n", strerror(-r));
                return 1;
        }
        return 0;
}
