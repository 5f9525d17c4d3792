/* `akvfs get CLASS.yaml [FILE]`: fetch once, in this process, without a mount. */
#include <time.h>

#include "base/wipe.h"
#include "cache/view.h"
#include "cli/class_file.h"
#include "cli/cli.h"
#include "cli/direct.h"
#include "cli/hygiene.h"
#include "cli/words.h"
#include "mount/status_json.h"

static const char help[] =
        "akvfs get CLASS.yaml [FILE] [OPTIONS]\n"
        "\n"
        "Fetches the class's objects once, without mounting anything. With FILE it writes the bytes\n"
        "that file would have, exactly, to standard output, and fetches only the object behind it;\n"
        "without FILE it lists what there is. CLASS.yaml may be - for standard input.\n"
        "\n"
        "  --log-level LEVEL          error, warning (default), info or debug, on standard error\n";

static const char help_examples[] =
        "\n"
        "Exit status: 0 fetched, 1 not, 2 wrong use.\n"
        "\n"
        "Examples:\n"
        "  akvfs get class.yaml\n"
        "  akvfs get class.yaml db-password\n"
        "  akvfs get class.yaml tls/cert.pem | openssl x509 -noout -enddate\n";

struct get {
        struct direct way;
        struct cache *cache;
        struct view *view;
        bool failed;
};

static void on_ready(void *userdata, const struct err *errors, size_t n_errors)
{
        struct get *g = userdata;

        cli_print_errors("get", errors, n_errors);
        g->failed = n_errors > 0;
        loop_exit(g->way.loop, 0);
}

static void on_changed(void *userdata, struct view_file *const *files, size_t n)
{
        /* nothing is polled */
}

static int open_view(
        struct get *g, const struct spc_class *class, const struct view_shape *shape, struct err *e)
{
        static const struct view_events events = {.ready = on_ready, .changed = on_changed};

        int r = direct_open(&g->way, e);
        if (r < 0)
                return r;
        r = cache_new(g->way.loop, &g->cache);
        if (r < 0)
                return err_set(e, r, "could not start: %s", strerror(-r));
        const struct view_config config = {.class = class,
                .shape = *shape,
                .vault = g->way.vault,
                .vaults = g->way.others.list,
                .n_vaults = g->way.others.n,
                .poll_interval = CACHE_NO_POLL};
        r = view_open(g->cache, &config, &events, g, &g->view, e);
        if (r < 0)
                return r;
        r = loop_run(g->way.loop);
        return r < 0 ? err_set(e, r, "the event loop failed: %s", strerror(-r)) : 0;
}

static void get_done(struct get *g)
{
        view_close(g->view);
        cache_free(g->cache);
        direct_done(&g->way);
}

/* Its own name, something in its folder, or what may stand beside it. */
static bool is_file_of(const struct spc_object *o, const char *file, const struct view_shape *shape)
{
        const char *rest = startswith(file, o->file);

        if (!rest || !*rest)
                return rest;
        if (*rest == '/')
                return o->history > 1 || o->files == SPC_FILES_FOLDER;
        return (shape->cert_key_files || o->files == SPC_FILES_SEPARATE) &&
               (streq(rest, ".crt") || streq(rest, ".key"));
}

/* The object that FILE comes from. Names are looked for first: a FILE.crt may be an object. */
static const struct spc_object *find_object(const struct spc_class *class,
        const struct view_shape *shape, const char *file, struct err *e)
{
        for (size_t i = 0; i < class->n_objects; i++)
                if (streq(class->objects[i].file, file))
                        return &class->objects[i];
        for (size_t i = 0; i < class->n_objects; i++)
                if (is_file_of(&class->objects[i], file, shape))
                        return &class->objects[i];

        err_set_cause(e, ERR_NOT_FOUND, -ENOENT, "the class has no file %s", file);
        _cleanup_free_ const char **names = calloc(class->n_objects + 1, sizeof *names);
        for (size_t i = 0; names && i < class->n_objects; i++)
                names[i] = class->objects[i].file;
        const char *near = names ? words_nearest(file, names, class->n_objects) : NULL;
        if (near)
                err_hint(e, "did you mean %s?", near);
        else
                err_hint(e, "without FILE, akvfs get lists them");
        return NULL;
}

static void list(const struct view *v)
{
        struct view_file *const *files = NULL;
        size_t n = view_files(v, &files), width = 4, object = 6;
        char updated[32], expires[32];

        for (size_t i = 0; i < n; i++) {
                width = MAX(width, strlen(files[i]->path));
                object = MAX(object, strlen(files[i]->object_name));
        }
        width = MIN(width, 48);
        object = MIN(object, 48);
        printf("%-*s  %-6s  %-*s  %-32s  %8s  %-20s  %s\n", (int)width, "FILE", "TYPE", (int)object,
                "OBJECT", "VERSION", "BYTES", "UPDATED", "EXPIRES");
        for (size_t i = 0; i < n; i++) {
                const struct view_file *f = files[i];
                const char *u = status_time(f->mtime, updated);
                const char *x = status_time(f->expires, expires);

                cli_put_text(stdout, f->path, (int)width);
                printf("  %-6s  ", vault_kind_name(f->kind));
                cli_put_text(stdout, f->object_name, (int)object);
                printf("  ");
                cli_put_text(stdout, f->version, 32);
                printf("  %8zu  %-20s  %s\n", sec_len(f->bytes), u ? u : "-", x ? x : "-");
        }
}

static int put_file(const struct view *v, const char *file, struct err *e)
{
        struct view_file *const *files = NULL;
        size_t n = view_files(v, &files);

        for (size_t i = 0; i < n; i++) {
                if (!streq(files[i]->path, file))
                        continue;
                /* write(2), so that no stdio buffer keeps a copy */
                int r = write_all(
                        STDOUT_FILENO, sec_bytes(files[i]->bytes), sec_len(files[i]->bytes));
                return r < 0 ? err_set_cause(e, ERR_LOCAL, r,
                                       "could not write to standard output: %s", strerror(-r))
                             : 0;
        }
        err_set_cause(e, ERR_NOT_FOUND, -ENOENT,
                view_n_absent(v) > 0 ? "there is no file %s: its object is missing (it is optional)"
                                     : "there is no file %s",
                file);
        err_hint(e, "without FILE, akvfs get lists them");
        return -ENOENT;
}

static void warn(const char *text)
{
        cli_warn("get", "%s", text);
}

static int get(const struct spc_class *class, struct options *o, const char *file, struct err *e)
{
        struct spc_class one = *class; /* borrows everything, and outlives the view */
        _cleanup_(get_done) struct get g = {.way = DIRECT_NONE};

        int r = direct_resolve(class, o, warn, &g.way, e);
        if (r < 0)
                return r;
        if (file) {
                const struct spc_object *object = find_object(class, &o->shape, file, e);
                if (!object && class->n_selectors == 0)
                        return -ENOENT;
                err_done(e);
                /* What no object is called may be one that a selector chooses. */
                if (object) {
                        one.objects = (struct spc_object *)(uintptr_t)object;
                        one.n_objects = 1;
                        one.n_selectors = 0;
                }
        }
        /* whatever was passed in (pipes with the class or the secret) has been read */
        r = hygiene_close_from(STDERR_FILENO + 1);
        if (r < 0)
                return err_set(e, r, "could not close descriptors: %s", strerror(-r));
        r = open_view(&g, &one, &o->shape, e);
        if (r == 0 && !g.failed) {
                if (file)
                        r = put_file(g.view, file, e);
                else
                        list(g.view);
        }
        if (r < 0)
                return r;
        return g.failed ? CLI_FAILED : cli_finish_output("get");
}

int cli_get(int argc, char **argv)
{
        _cleanup_(options_done) struct options o;
        _cleanup_(spc_class_freep) struct spc_class *class = NULL;
        _cleanup_err_ struct err e = {0};
        const char *path = NULL, *file = NULL, *value = NULL;
        struct words words;
        struct word table[48];
        size_t n = 0;
        int id = 0;

        const struct word *endpoints = options_words(true, &n);
        memcpy(table, endpoints, n * sizeof *table);
        table[n++] = (struct word){"help", 'h', false, 'h'};
        table[n++] = (struct word){NULL, 'o', true, 'o'};
        table[n++] = (struct word){"log-level", 0, true, 'l'};

        options_init(&o);
        o.log_level = LOG_WARNING;
        int r = hygiene_protect();
        if (r == 0)
                r = wipe_install();
        if (r < 0)
                return cli_fail("get", (err_set(&e, r, "could not start: %s", strerror(-r)), &e));

        words_init(&words, argc, argv);
        while ((r = words_next(&words, table, n, &id, &value, &e)) > 0) {
                if (id == 'h') {
                        printf("%s\n%s%s", help, options_help_endpoints, help_examples);
                        return cli_finish_output("get");
                }
                if (id == 'o')
                        r = options_parse(&o, value, false, &e);
                else if (id == 'l')
                        r = options_set(&o, "log_level", value, &e);
                else if (id != WORD_PLAIN)
                        r = options_set_word(&o, id, value, &e);
                else if (!path)
                        path = value;
                else if (!file)
                        file = value;
                else
                        r = err_set_cause(
                                &e, ERR_USAGE, -EINVAL, "word %s was not expected", value);
                if (r < 0)
                        break;
        }
        if (r == 0 && !path)
                r = err_set_cause(&e, ERR_USAGE, -EINVAL, "which CLASS.yaml?");
        if (r < 0)
                return cli_usage("get", &e);
        log_set_level((enum log_level)o.log_level);

        if (cli_load_class(path, o.class_name, &class) < 0)
                return CLI_FAILED;
        r = get(class, &o, file, &e);
        return r < 0 ? cli_fail("get", &e) : r;
}
