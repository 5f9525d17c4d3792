/* objectSelector: objects that are chosen from a vault's list. */
#include <stdio.h>

#include "spc/preset.h"
#include "spc/rules.h"

#define PATTERN_MAX ((size_t)127) /* a name of Key Vault is not longer */
#define TAG_MAX ((size_t)513) /* 256 characters each for name and value, which are Key Vault's */

const char *const selector_field_names[N_SELECTS + 1] = {
        [SELECT_PREFIX] = "prefix",
        [SELECT_GLOB] = "glob",
        [SELECT_TAG] = "tag",
        [SELECT_MAX] = "max",
};

void raw_selector_done(struct raw_selector *s)
{
        for (size_t i = 0; i < N_SELECTS; i++)
                free(s->fields[i].value);
        *s = (struct raw_selector){0};
}

void spc_selector_done(struct spc_selector *s)
{
        spc_object_done(&s->like);
        free(s->prefix);
        free(s->glob);
        free(s->tag);
        *s = (struct spc_selector){0};
}

bool selector_refuses(enum object_field f)
{
        switch (f) {
        case FIELD_NAME:
        case FIELD_VERSION:
        case FIELD_HISTORY:
        case FIELD_OPTIONAL:
                return true;
        default:
                return false;
        }
}

/* --- reading --- */

struct checking {
        struct report *report;
        const struct raw_object *raw;
        const struct raw_selector *select;
        struct spc_selector *selector;
        bool good;
};

static struct place place_of(const struct checking *c, enum selector_field f)
{
        uint32_t at = c->select->fields[f].value ? c->select->fields[f].at : c->raw->at;

        return (struct place){at, c->raw->label, selector_field_names[f]};
}

/* "" for what is not given or no text. */
static const char *value(const struct checking *c, enum selector_field f)
{
        const char *s = c->select->fields[f].value;

        return s ? s : "";
}

static void check_pattern(struct checking *c, enum selector_field f, const char *more)
{
        static const char letters[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
        const char *s = value(c, f);
        struct place p = place_of(c, f);

        for (size_t i = 0; s[i]; i++)
                if (!strchr(letters, s[i]) && !strchr(more, s[i])) {
                        report_error(c->report, &p, "\"%s\" matches no name of Key Vault", CUT(s));
                        report_hint(c->report, "its names are of letters, digits and hyphens%s%s",
                                *more ? "; known beside them are " : "", *more ? "* and ?" : "");
                        c->good = false;
                        return;
                }
        if (strlen(s) > PATTERN_MAX) {
                report_error(c->report, &p, "longer than %zu characters", PATTERN_MAX);
                c->good = false;
        }
}

static void check_tag(struct checking *c)
{
        const char *s = value(c, SELECT_TAG);
        struct place p = place_of(c, SELECT_TAG);

        if (strlen(s) <= TAG_MAX && *s != '=')
                return;
        report_error(c->report, &p, "is no tag");
        report_hint(c->report, "write its name, or NAME=VALUE");
        c->good = false;
}

static void check_max(struct checking *c)
{
        const char *s = value(c, SELECT_MAX);
        struct place p = place_of(c, SELECT_MAX);
        uint64_t n = SPC_SELECTED_DEFAULT;

        if (*s && (parse_u64(s, SPC_OBJECTS_MAX, &n) < 0 || n == 0)) {
                report_error(
                        c->report, &p, "\"%s\" is no number from 1 to %d", CUT(s), SPC_OBJECTS_MAX);
                c->good = false;
        }
        c->selector->max = (unsigned)n;
}

static void check_alias(struct checking *c)
{
        const struct raw_field *alias = &c->raw->fields[FIELD_ALIAS];
        const char *s = alias->value;
        struct place p = {alias->at, c->raw->label, object_field_names[FIELD_ALIAS]};
        const char *star = s ? strchr(s, '*') : NULL;

        if (isempty(s) || (star && !strchr(star + 1, '*')))
                return;
        report_error(
                c->report, &p, "\"%s\" needs one * where the object's name is to stand", CUT(s));
        report_hint(c->report, "write %s/*, for instance", star ? "folder" : CUT(s));
        c->good = false;
}

static int copy(const struct checking *c, enum selector_field f, char **ret)
{
        *ret = strdup(value(c, f));
        return *ret ? 0 : -ENOMEM;
}

int validate_selector(struct report *r, struct raw_object *raw, const struct raw_selector *select,
        struct spc_selector *ret, bool *ret_good)
{
        _cleanup_(spc_selector_done) struct spc_selector s = {0};
        struct checking c = {r, raw, select, &s, true};
        bool good = false;

        for (size_t i = 0; i < N_SELECTS; i++)
                if (!select->fields[i].value && select->fields[i].at)
                        c.good = false; /* no text: said when it was read */
        /* All that is asked of an object is asked of those to come: with a name that stands in for
         * theirs, and the '*' of the alias as it is. */
        free(raw->fields[FIELD_NAME].value);
        raw->fields[FIELD_NAME].value = strdup("x");
        if (!raw->fields[FIELD_NAME].value)
                return -ENOMEM;
        check_alias(&c);
        raw->pattern = true;
        int e = validate_object(r, raw, &s.like, &good);
        if (e < 0)
                return e;
        s.like.name[0] = '\0';
        free(s.like.file);
        s.like.file = strdup("");
        if (!s.like.file || copy(&c, SELECT_PREFIX, &s.prefix) < 0 ||
                copy(&c, SELECT_GLOB, &s.glob) < 0 || copy(&c, SELECT_TAG, &s.tag) < 0)
                return -ENOMEM;
        check_pattern(&c, SELECT_PREFIX, "");
        check_pattern(&c, SELECT_GLOB, "*?");
        check_tag(&c);
        check_max(&c);
        if (c.good && !*s.prefix && !*s.glob && !*s.tag) {
                report_error(r, &(struct place){raw->at, raw->label, NULL},
                        "none of prefix, glob and tag is set");
                report_hint(r, "glob: \"*\" takes every object of the type");
                c.good = false;
        }
        *ret = s;
        s = (struct spc_selector){0};
        *ret_good = good && c.good;
        return 0;
}

/* --- choosing --- */

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* With one place to go back to, so that no pattern takes longer than its length times the name's
 * (a pattern may be of anybody's making). */
static bool glob_matches(const char *glob, const char *s)
{
        const char *star = NULL, *from = NULL;

        while (*s) {
                if (*glob == '*') {
                        star = glob++;
                        from = s;
                } else if (*glob && (*glob == '?' || lower(*glob) == lower(*s))) {
                        glob++;
                        s++;
                } else if (star) {
                        glob = star + 1;
                        s = ++from;
                } else
                        return false;
        }
        while (*glob == '*')
                glob++;
        return !*glob;
}

bool spc_selector_takes(const struct spc_selector *s, const char *name)
{
        for (size_t i = 0; s->prefix[i]; i++)
                if (lower(s->prefix[i]) != lower(name[i]))
                        return false;
        return !*s->glob || glob_matches(s->glob, name);
}

bool spc_selector_takes_tag(const struct spc_selector *s, const char *name, const char *tag_value)
{
        const char *rest = startswith(s->tag, name);

        if (!*s->tag)
                return true;
        return rest && (!*rest || (*rest == '=' && streq(rest + 1, tag_value)));
}

int spc_selector_path(const struct spc_selector *s, const char *name, char **ret)
{
        const char *alias = s->like.alias, *star = strchr(alias, '*');
        _cleanup_free_ char *made = NULL, *path = NULL;
        struct report silent = {.no_memory = false};
        struct spc_diags diags = {0};

        /* No name of Key Vault has these; a service that sends them gets no say in where. */
        if (!*name || strpbrk(name, "/.*"))
                return -EINVAL;
        int e = spc_preset_apply(s->like.preset, name, &made);
        if (e == 0)
                e = xasprintf(&path, "%.*s%s%s", star ? (int)(star - alias) : 0, alias, made,
                        star ? star + 1 : "");
        if (e < 0)
                return e;
        silent.diags = &diags;
        e = path_check(&silent, &(struct place){YML_NOWHERE, NULL, NULL}, path, &s->like, ret);
        bool refused = diags.errors > 0;
        spc_diags_done(&diags);
        if (e < 0)
                return e;
        return refused ? -EINVAL : 0;
}

int spc_selector_describe(const struct spc_selector *s, char **ret)
{
        bool glob = *s->glob, prefix = *s->prefix, tag = *s->tag;

        return xasprintf(ret, "%ss%s%s%s%s%s%s%s", spc_type_name(s->like.type),
                glob || prefix ? " like " : "", s->prefix, prefix ? "*" : "",
                glob && prefix ? " and " : "", s->glob, tag ? " tagged " : "", s->tag);
}
