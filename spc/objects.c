#include "spc/objects.h"

#include <stdio.h>

#include "spc/mapping.h"
#include "spc/origin.h"
#include "spc/rules.h"
#include "spc/scalar.h"

#define OUTER "failed to yaml unmarshal objects, error: "
#define LABEL_NAME_MAX 64
#define NAMES_OF_OBJECT 3 /* a file and what may stand beside it */

struct reading {
        struct report *report;
        struct spc_class *class;
        struct named *names;
        size_t n_names;
        size_t index;
        bool mapping_said;
        bool selectors;
        const char *parameter; /* "objects" or "objectSelector" */
};

static const char *const array_names[] = {"array", NULL};

/* As yaml.v3 quotes a value: ten bytes in full, longer ones cut to seven. */
static const char *quote(const struct yml_node *n, char buf[20])
{
        if (n->kind != YML_SCALAR)
                return "";
        if (strlen(n->value) <= 10) {
                snprintf(buf, 20, " `%s`", n->value);
                return buf;
        }
        int keep = 7;
        while (keep > 0 && ((unsigned char)n->value[keep] & 0xC0) == 0x80)
                keep--;
        snprintf(buf, 20, " `%.*s...`", keep, n->value);
        return buf;
}

static bool is_null(const struct yml_node *n)
{
        return n->kind == YML_SCALAR && scalar_kind(n, SCALAR_YAML_V3) == SCALAR_NULL;
}

static int trimmed(const struct yml_node *n, char **ret)
{
        const char *s = n->value;
        size_t len = scalar_trim(&s, n->len);

        *ret = strndup(s, len);
        return *ret ? 0 : -ENOMEM;
}

/* "objects[2] (db-password)": the name where there is one, as far as it fits. */
static int make_label(const struct reading *g, struct raw_object *o, const struct yml_node *root)
{
        const struct yml_node *name = NULL;
        const char *list = g->parameter;
        _cleanup_free_ char *text = NULL;

        if (root)
                name = yml_find(root, object_field_names[FIELD_NAME]);
        if (root && g->selectors)
                name = yml_find(root, selector_field_names[SELECT_GLOB]);
        if (root && (!name || name->kind != YML_SCALAR || !*name->value))
                name = yml_find(root, object_field_names[FIELD_ALIAS]);
        if (name && name->kind == YML_SCALAR && !is_null(name) && trimmed(name, &text) < 0)
                return -ENOMEM;
        if (isempty(text)) {
                snprintf(o->label, sizeof(o->label), "%s[%zu]", list, o->index);
                return 0;
        }
        size_t n = strlen(text);
        const char *more = "";
        if (n > LABEL_NAME_MAX) {
                for (n = LABEL_NAME_MAX; n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80;)
                        n--;
                more = "...";
        }
        snprintf(
                o->label, sizeof(o->label), "%s[%zu] (%.*s%s)", list, o->index, (int)n, text, more);
        return 0;
}

struct wrong {
        size_t index;
        const char *label, *field;
};

static void wrong_kind(
        struct report *r, const struct wrong *w, const struct yml_node *n, const char *wanted)
{
        char quoted[20];

        report_error(r, &(struct place){n->at, w->label, w->field},
                "unmarshal failed for keyVaultObjects at index %zu, error: yaml: unmarshal errors: "
                "cannot unmarshal %s%s into %s",
                w->index, scalar_tag(n), quote(n, quoted), wanted);
}

static void read_history(struct report *r, struct raw_object *o, const struct yml_node *n)
{
        const char *field = object_field_names[FIELD_HISTORY];
        struct place p = {n->at, o->label, field};
        bool exact = true;

        o->fields[FIELD_HISTORY].at = n->at;
        o->history_usable = false;
        if (n->kind == YML_SCALAR && !mapping_text_is_usable(r, n, o->label, field))
                return;
        if (is_null(n)) {
                o->history_usable = true;
                return;
        }
        if (n->kind != YML_SCALAR || scalar_int32(n, &o->history, &exact) < 0) {
                wrong_kind(r, &(struct wrong){o->index, o->label, field}, n, "int32");
                if (n->kind == YML_SCALAR && n->style != YML_PLAIN && n->len > 0 &&
                        strspn(n->value, "0123456789") == n->len)
                        report_hint(r, "a number, without quotes: %s", CUT(n->value));
                return;
        }
        o->history_usable = true;
        if (!exact) {
                report_warning(r, &p, "%s is taken as %d", CUT(n->value), o->history);
                report_hint(r, "write a whole number");
        }
}

static int read_field(struct report *r, struct raw_field *field, const char *label,
        const char *name, const struct yml_node *n, size_t index)
{
        field->at = n->at;
        if (n->kind != YML_SCALAR) {
                wrong_kind(r, &(struct wrong){index, label, name}, n, "string");
                return 0;
        }
        if (!mapping_text_is_usable(r, n, label, name))
                return 0;
        if (is_null(n)) {
                field->value = strdup("");
                return field->value ? 0 : -ENOMEM;
        }
        return trimmed(n, &field->value);
}

/* select is NULL for a named object. */
static int read_fields(struct report *r, struct raw_object *o, struct raw_selector *select,
        const struct yml_node *root)
{
        struct mapping m;
        bool given[N_FIELDS] = {0};
        int e = mapping_read(r, root, o->label, NULL, &m);

        if (e < 0)
                return e;
        for (size_t i = 0; i < m.n && e == 0; i++) {
                size_t f = 0;
                const char *key = m.pairs[i].key;
                while (f < N_FIELDS && (!streq(key, object_field_names[f]) ||
                                               (select && selector_refuses((enum object_field)f))))
                        f++;
                if (f == N_FIELDS && select) {
                        size_t k = 0;
                        while (k < N_SELECTS && !streq(key, selector_field_names[k]))
                                k++;
                        if (k < N_SELECTS) {
                                e = read_field(r, &select->fields[k], o->label, key,
                                        m.pairs[i].value, o->index);
                                continue;
                        }
                }
                if (f == N_FIELDS) {
                        report_warning(r, &(struct place){m.pairs[i].key_node->at, o->label, key},
                                "unknown field, ignored");
                        report_nearest(r, key, select ? selector_field_names : object_field_names);
                        continue;
                }
                given[f] = true;
                if (f == FIELD_HISTORY)
                        read_history(r, o, m.pairs[i].value);
                else
                        e = read_field(r, &o->fields[f], o->label, object_field_names[f],
                                m.pairs[i].value, o->index);
        }
        mapping_done(&m);
        for (size_t f = 0; f < N_FIELDS && e == 0; f++)
                if (!given[f]) {
                        o->fields[f] = (struct raw_field){strdup(""), o->at};
                        e = o->fields[f].value ? 0 : -ENOMEM;
                }
        return e;
}

static int keep_name(struct reading *g, const struct raw_object *raw, const struct spc_object *o,
        const char *suffix)
{
        bool by_alias = *o->alias != '\0';
        struct named *n = &g->names[g->n_names];

        n->field = object_field_names[by_alias ? FIELD_ALIAS : FIELD_NAME];
        n->at = raw->fields[by_alias ? FIELD_ALIAS : FIELD_NAME].at;
        n->history = o->history;
        n->files = o->files;
        n->index = raw->index;
        n->label = strdup(raw->label);
        g->n_names++;
        return n->label ? xasprintf(&n->file, "%s%s", o->file, suffix) : -ENOMEM;
}

/* Those beside a file are names of their own; in a folder of versions they are the folder's. */
static int keep_names(struct reading *g, const struct raw_object *raw, const struct spc_object *o)
{
        int e = keep_name(g, raw, o, "");

        if (o->files != SPC_FILES_SEPARATE || o->history > 1)
                return e;
        if (e == 0)
                e = keep_name(g, raw, o, ".crt");
        return e < 0 ? e : keep_name(g, raw, o, ".key");
}

static int add_selector(struct reading *g, struct raw_object *raw, const struct raw_selector *s)
{
        _cleanup_(spc_selector_done) struct spc_selector selector = {0};
        bool good = false;

        int e = validate_selector(g->report, raw, s, &selector, &good);
        if (e == 0 && good) {
                g->class->selectors[g->class->n_selectors++] = selector;
                selector = (struct spc_selector){0};
        }
        return e;
}

/* root is NULL for an empty text, which upstream takes for an object without fields. */
static int read_object(struct reading *g, const struct yml_node *root, uint32_t at)
{
        _cleanup_(raw_object_done) struct raw_object raw = {
                .index = g->index, .at = root ? root->at : at, .history_usable = true};
        _cleanup_(raw_selector_done) struct raw_selector select = {0};
        static const struct yml_node none = {.kind = YML_MAPPING};
        _cleanup_(spc_object_done) struct spc_object o = {0};
        bool good = false;

        int e = make_label(g, &raw, root);
        if (e < 0)
                return e;
        e = read_fields(g->report, &raw, g->selectors ? &select : NULL, root ? root : &none);
        if (e == 0 && g->selectors)
                return add_selector(g, &raw, &select);
        if (e < 0)
                return e;
        e = validate_object(g->report, &raw, &o, &good);
        if (e < 0)
                return e;
        if (o.file) {
                e = keep_names(g, &raw, &o);
                if (e < 0)
                        return e;
        }
        if (good) {
                g->class->objects[g->class->n_objects++] = o;
                o = (struct spc_object){0};
        }
        return 0;
}

/* The first document of a text and nothing else, as yaml.v3 reads it. *ret is NULL when there is
 * none or it is empty, and -EINVAL means that it was reported. */
static int read_text(const struct reading *g, const struct yml_text *text, const char *object,
        const char *prefix, struct yml_doc **ret)
{
        struct report *r = g->report;
        _cleanup_(yml_reader_freep) struct yml_reader *reader = NULL;
        _cleanup_(yml_doc_freep) struct yml_doc *doc = NULL, *more = NULL;
        struct yml_problem problem;
        const char *field = object ? NULL : g->parameter;

        int e = yml_reader_new(text, &reader);
        if (e < 0)
                return e;
        e = yml_next(reader, &doc, &problem);
        if (e == -EINVAL)
                report_problem(r, object, field, prefix, &problem);
        if (e < 0)
                return e;
        if (e > 0 && doc->deep_at != YML_NOWHERE) {
                report_error(r, &(struct place){doc->deep_at, object, field},
                        "%syaml: nested deeper than %d levels", prefix, YML_DEPTH_MAX);
                return -EINVAL;
        }
        if (e > 0) {
                e = yml_next(reader, &more, &problem);
                if (e == -ENOMEM)
                        return e;
                if (e != 0) {
                        uint32_t at = e > 0 ? more->root->at : problem.at;
                        report_warning(r, &(struct place){at, object, field},
                                "only the first YAML document of this text is read");
                }
        }
        if (doc && !is_null(doc->root))
                *ret = TAKE_PTR(doc);
        return 0;
}

static int read_element_text(
        struct reading *g, const struct yml_text *source, const struct yml_node *n)
{
        struct raw_object raw = {.index = g->index};
        _cleanup_free_ uint32_t *origin = NULL;
        _cleanup_(yml_doc_freep) struct yml_doc *doc = NULL;
        char prefix[80];

        int e = make_label(g, &raw, NULL);
        if (e < 0)
                return e;
        if (!mapping_text_is_usable(g->report, n, raw.label, NULL))
                return 0;
        e = origin_of(source, n, &origin);
        if (e < 0)
                return e;
        struct yml_text text = {.s = n->value, .len = (uint32_t)n->len, .origin = origin};
        snprintf(prefix, sizeof(prefix),
                "unmarshal failed for keyVaultObjects at index %zu, error: ", g->index);
        e = read_text(g, &text, raw.label, prefix, &doc);
        if (e == -EINVAL)
                return 0;
        if (e < 0)
                return e;
        if (doc && doc->root->kind != YML_MAPPING) {
                wrong_kind(g->report, &(struct wrong){raw.index, raw.label, NULL}, doc->root,
                        "types.KeyVaultObject");
                report_hint(g->report, "each element is a text of its own: begin it with \"- |\" "
                                       "and put the fields below");
                return 0;
        }
        return read_object(g, doc ? doc->root : NULL, n->at);
}

static int read_elements(
        struct reading *g, const struct yml_text *source, const struct yml_node *array, bool text)
{
        for (size_t i = 0; i < array->n_items; i++) {
                const struct yml_node *n = array->items[i];
                int e = 0;

                if (is_null(n)) {
                        report_warning(g->report, &(struct place){n->at, NULL, g->parameter},
                                "empty element of array, ignored");
                        continue;
                }
                if (g->index >= SPC_OBJECTS_MAX) {
                        report_error(g->report, &(struct place){n->at, NULL, g->parameter},
                                "more than %d %s", SPC_OBJECTS_MAX,
                                g->selectors ? "selectors" : "objects");
                        return 0;
                }
                switch (n->kind) {
                case YML_SCALAR:
                        e = read_element_text(g, source, n);
                        break;
                case YML_MAPPING:
                        if (text && !g->mapping_said) {
                                report_warning(g->report,
                                        &(struct place){n->at, NULL, g->parameter},
                                        "the Azure provider refuses an element that is no text: "
                                        "cannot unmarshal !!map into string");
                                report_hint(g->report,
                                        "for use there too begin each element with \"- |\"");
                                g->mapping_said = true;
                        }
                        e = read_object(g, n, n->at);
                        break;
                case YML_SEQUENCE:
                        report_error(g->report, &(struct place){n->at, NULL, g->parameter},
                                OUTER "yaml: unmarshal errors: cannot unmarshal !!seq into string");
                        break;
                }
                if (e < 0)
                        return e;
                g->index++;
        }
        return 0;
}

static void no_objects(const struct reading *g, uint32_t at)
{
        struct report *r = g->report;

        if (g->selectors) {
                report_error(r, &(struct place){at, NULL, g->parameter}, "there are no selectors");
                report_hint(r, "objectSelector holds `array:` with one element for each selector");
                return;
        }
        report_error(r, &(struct place){at, NULL, g->parameter},
                "there are no objects (missing object versions)");
        report_hint(r, "objects holds `array:` with one element for each object");
}

/* The list of elements, or NULL when that was reported. */
static int find_array(struct reading *g, const struct yml_node *root, const char *prefix,
        const struct yml_node **ret)
{
        struct mapping m;
        char quoted[20];

        if (root->kind != YML_MAPPING) {
                report_error(g->report, &(struct place){root->at, NULL, g->parameter},
                        "%scannot unmarshal %s%s into types.StringArray", prefix, scalar_tag(root),
                        quote(root, quoted));
                report_hint(g->report, "put `array:` before the list of objects");
                return 0;
        }
        int e = mapping_read(g->report, root, NULL, g->parameter, &m);
        if (e < 0)
                return e;
        for (size_t i = 0; i < m.n; i++)
                if (!streq(m.pairs[i].key, "array")) {
                        report_warning(g->report,
                                &(struct place){m.pairs[i].key_node->at, NULL, g->parameter},
                                "unknown key \"%s\", ignored", CUT(m.pairs[i].key));
                        report_nearest(g->report, m.pairs[i].key, array_names);
                }
        const struct yml_node *array = mapping_get(&m, "array");
        mapping_done(&m);
        if (!array || is_null(array)) {
                no_objects(g, root->at);
                return 0;
        }
        if (array->kind != YML_SEQUENCE) {
                report_error(g->report, &(struct place){array->at, NULL, g->parameter},
                        "%scannot unmarshal %s%s into []string", prefix, scalar_tag(array),
                        quote(array, quoted));
                report_hint(g->report, "array is a list: begin each object with \"- |\"");
                return 0;
        }
        *ret = array;
        return 0;
}

static int read_array(
        struct reading *g, const struct yml_text *text, const struct yml_node *array, bool is_text)
{
        size_t room = MIN(array->n_items, (size_t)SPC_OBJECTS_MAX);

        if (room > 0 && g->selectors) {
                g->class->selectors = calloc(room, sizeof(*g->class->selectors));
                if (!g->class->selectors)
                        return -ENOMEM;
        } else if (room > 0) {
                g->names = calloc(room, NAMES_OF_OBJECT * sizeof(*g->names));
                g->class->objects = calloc(room, sizeof(*g->class->objects));
                if (!g->names || !g->class->objects)
                        return -ENOMEM;
        }
        int e = read_elements(g, text, array, is_text);
        if (e < 0)
                return e;
        if (g->index == 0)
                no_objects(g, array->at);
        path_find_conflicts(g->report, g->names, g->n_names);
        return 0;
}

int objects_read(struct report *r, const struct objects_source *source, struct spc_class *c)
{
        struct reading g = {.report = r,
                .class = c,
                .selectors = source->selectors,
                .parameter = source->selectors ? "objectSelector" : "objects"};
        _cleanup_(yml_doc_freep) struct yml_doc *doc = NULL;
        const struct yml_node *array = NULL;
        int e = 0;

        if (source->node) {
                if (source->node->kind == YML_SEQUENCE)
                        array = source->node;
                else
                        e = find_array(&g, source->node, "", &array);
        } else {
                e = read_text(&g, source->text, NULL, OUTER, &doc);
                if (e == -EINVAL)
                        return 0;
                if (e == 0 && !doc)
                        no_objects(&g, source->at);
                else if (e == 0)
                        e = find_array(&g, doc->root, OUTER "yaml: unmarshal errors: ", &array);
        }
        if (e == 0 && array)
                e = read_array(&g, source->text, array, !source->node);
        for (size_t i = 0; i < g.n_names; i++) {
                free(g.names[i].file);
                free(g.names[i].label);
        }
        free(g.names);
        return e;
}
