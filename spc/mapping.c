#include "spc/mapping.h"

#include "spc/scalar.h"

static bool is_merge(const struct yml_node *key)
{
        return key->kind == YML_SCALAR && key->style == YML_PLAIN && streq(key->value, "<<");
}

static struct pair *find(const struct mapping *m, const char *key)
{
        for (size_t i = 0; i < m->n; i++)
                if (streq(m->pairs[i].key, key))
                        return &m->pairs[i];
        return NULL;
}

struct reading {
        struct report *report;
        const char *object, *what;
        struct mapping *m;
        bool full; /* said once */
};

static void add_pair(struct reading *g, const struct yml_node *key, const struct yml_node *value)
{
        if (g->m->n < MAPPING_KEYS_MAX) {
                g->m->pairs[g->m->n++] = (struct pair){key->value, key, value};
                return;
        }
        if (!g->full)
                report_error(g->report, &(struct place){key->at, g->object, g->what},
                        "more than %d keys in one mapping", MAPPING_KEYS_MAX);
        g->full = true;
}

static void read_own(struct reading *g, const struct yml_node *n)
{
        for (size_t i = 0; i + 1 < n->n_items; i += 2) {
                const struct yml_node *key = n->items[i];
                if (is_merge(key))
                        continue;
                if (key->kind != YML_SCALAR) {
                        report_error(g->report, &(struct place){key->at, g->object, g->what},
                                "a key has to be text, not a %s",
                                key->kind == YML_MAPPING ? "mapping" : "list");
                        continue;
                }
                if (!mapping_text_is_usable(g->report, key, g->object, g->what))
                        continue;
                const struct pair *first = find(g->m, key->value);
                if (first) {
                        unsigned line, column;
                        report_position(g->report, first->key_node->at, &line, &column);
                        report_error(g->report, &(struct place){key->at, g->object, g->what},
                                "mapping key \"%s\" already defined at line %u", CUT(key->value),
                                line);
                        continue;
                }
                add_pair(g, key, n->items[i + 1]);
        }
}

/* How often each mapping is visited is bounded by the document's nodes (YML_NODES_MAX counts
 * aliases in full), how deep by YML_DEPTH_MAX. */
static void read_merged(struct reading *g, const struct yml_node *n);

static void merge(struct reading *g, const struct yml_node *from, bool in_list)
{
        if (from->kind == YML_SEQUENCE && !in_list) {
                for (size_t i = 0; i < from->n_items; i++)
                        merge(g, from->items[i], true);
                return;
        }
        if (from->kind != YML_MAPPING) {
                report_error(g->report, &(struct place){from->at, g->object, g->what},
                        "map merge requires map or sequence of maps as the value");
                return;
        }
        for (size_t i = 0; i + 1 < from->n_items; i += 2) {
                const struct yml_node *key = from->items[i];
                if (key->kind == YML_SCALAR && !is_merge(key) && strlen(key->value) == key->len &&
                        !find(g->m, key->value))
                        add_pair(g, key, from->items[i + 1]);
        }
        read_merged(g, from);
}

static void read_merged(struct reading *g, const struct yml_node *n)
{
        for (size_t i = 0; i + 1 < n->n_items; i += 2)
                if (is_merge(n->items[i]))
                        merge(g, n->items[i + 1], false);
}

int mapping_read(struct report *r, const struct yml_node *n, const char *object, const char *what,
        struct mapping *ret)
{
        struct mapping m = {.pairs = calloc(MAPPING_KEYS_MAX, sizeof(*m.pairs))};
        struct reading g = {.report = r, .object = object, .what = what, .m = &m};

        if (!m.pairs)
                return -ENOMEM;
        read_own(&g, n);
        read_merged(&g, n);
        *ret = m;
        return 0;
}

void mapping_done(struct mapping *m)
{
        free(m->pairs);
        *m = (struct mapping){0};
}

const struct yml_node *mapping_get(const struct mapping *m, const char *key)
{
        const struct pair *p = find(m, key);
        return p ? p->value : NULL;
}

bool mapping_text_is_usable(
        struct report *r, const struct yml_node *n, const char *object, const char *field)
{
        struct place p = {n->at, object, field};

        if (strlen(n->value) != n->len) {
                report_error(r, &p, "the text holds a NUL character");
                return false;
        }
        if (scalar_kind(n, SCALAR_YAML_V3) == SCALAR_UNKNOWN_TAG) {
                report_error(r, &p, "cannot decode !!str `%.10s` as a %s", n->value, CUT(n->tag));
                report_hint(r, "write the text without a tag");
                return false;
        }
        return true;
}
