/* Any bytes as a class file: nothing may crash, leak, hang or grow, and whatever is accepted keeps
 * the promises of spc/spc.h. The first byte says how the rest is used. */
#include <stdio.h>

#include "base/jsonpath.h"
#include "spc/rules.h"

#define CHECK(x)                          \
        do {                              \
                if (!(x))                 \
                        __builtin_trap(); \
        } while (0)

static void check_object(const struct spc_object *o)
{
        _cleanup_free_ char *clean = NULL;

        CHECK(*o->name && o->alias && o->version && *o->file);
        CHECK(o->type <= SPC_CERT && o->format <= SPC_FORMAT_PFX &&
                o->encoding <= SPC_ENCODING_HEX);
        CHECK(o->mode >= -1 && o->mode <= 0777);
        CHECK(o->history >= 1 && o->history <= SPC_HISTORY_MAX);
        CHECK(strlen(o->file) <= SPC_PATH_MAX && *o->file != '/' && !strstr(o->file, ".."));
        CHECK(path_clean(o->file, &clean) == 0 && streq(clean, o->file));
        CHECK(o->line >= 1 && o->column >= 1);
        CHECK(o->type == SPC_SECRET ||
                (o->format != SPC_FORMAT_PFX && o->encoding == SPC_ENCODING_UTF8 &&
                        o->files == SPC_FILES_DEFAULT && !*o->json_path));
        CHECK(o->files <= SPC_FILES_COMBINED ||
                (o->format != SPC_FORMAT_PFX && o->encoding == SPC_ENCODING_UTF8 &&
                        !*o->json_path));
        CHECK(o->preset <= SPC_PRESET_UPPER_SNAKE);
        CHECK(o->preset == SPC_PRESET_NONE || !*o->alias);
        if (*o->json_path) {
                _cleanup_jsonpath_ struct jsonpath path = {0};
                const char *why;
                size_t at;
                CHECK(jsonpath_parse(o->json_path, &path, &why, &at) == 0);
        }
}

/* Whatever the alias is, a vault's names lead to no place that it does not name. */
static void check_selector(const struct spc_selector *s)
{
        _cleanup_free_ char *path = NULL, *words = NULL;

        CHECK(*s->prefix || *s->glob || *s->tag);
        CHECK(s->max >= 1 && s->max <= SPC_OBJECTS_MAX);
        CHECK(spc_selector_describe(s, &words) == 0);
        (void)spc_selector_takes(s, "some-Name-0");
        if (spc_selector_path(s, "some-Name-0", &path) == 0)
                CHECK(*path && *path != '/' && !strstr(path, ".."));
}

static void check_class(const struct spc_class *c)
{
        CHECK(c->name && c->namespace && c->tenant && *c->tenant && c->client_id);
        CHECK(c->user_assigned_id && c->cloud && c->cloud_env_file);
        CHECK(strlen(c->vault) >= 3 && strlen(c->vault) <= 24);
        CHECK(c->n_objects + c->n_selectors >= 1 && c->n_objects <= SPC_OBJECTS_MAX);
        CHECK(c->n_selectors <= SPC_OBJECTS_MAX);
        for (size_t i = 0; i < c->n_selectors; i++)
                check_selector(&c->selectors[i]);
        for (size_t i = 0; i < c->n_objects; i++) {
                check_object(&c->objects[i]);
                for (size_t j = 0; j < i && i < 50; j++)
                        CHECK(!streq(c->objects[i].file, c->objects[j].file));
        }
}

static void check_diags(const struct spc_diags *d, const char *text, size_t len)
{
        size_t lines = 1, errors = 0;

        for (size_t i = 0; i < len; i++)
                lines += text[i] == '\n';
        CHECK(d->n <= SPC_DIAGS_MAX && (d->dropped == 0 || d->n == SPC_DIAGS_MAX));
        for (size_t i = 0; i < d->n; i++) {
                _cleanup_free_ char *line = NULL;
                CHECK(d->list[i].line <= lines &&
                        (d->list[i].line == 0) == (d->list[i].column == 0));
                CHECK(i == 0 || d->list[i].line >= d->list[i - 1].line);
                CHECK(spc_diag_format(&d->list[i], "f", &line) == 0 && !strchr(line, '\n'));
                errors += d->list[i].severity == SPC_ERROR;
        }
        CHECK(d->errors >= errors && d->errors <= errors + d->dropped);
}

static int parse_map(
        const char *key, const char *text, size_t len, struct spc_class **ret, struct spc_diags *d)
{
        _cleanup_free_ char *objects = strndup(text, len);
        CHECK(objects);
        struct spc_parameter list[] = {
                {"keyvaultName", "vault"}, {"tenantID", "tenant"}, {key, objects}};

        return spc_class_from_parameters("n", "ns", list, ELEMENTSOF(list), ret, d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        const char *text = (const char *)data + 1;

        if (size == 0)
                return 0;
        const char *map = *data == 'm' ? "objects" : *data == 's' ? "objectSelector" : NULL;
        const char *name = *data == 'n' ? "web" : NULL;
        int r = map ? parse_map(map, text, size - 1, &c, &d)
                    : spc_parse(text, size - 1, name, &c, &d);
        CHECK(r == 0 || r == -EINVAL);
        CHECK((r == 0) == (c != NULL) && (r == 0) == (d.errors == 0));
        check_diags(&d, text, size - 1);
        if (c)
                check_class(c);
        return 0;
}
