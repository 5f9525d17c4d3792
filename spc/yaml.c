#include "spc/yaml.h"

#include <assert.h>
#include <stdio.h>
#include <yaml.h>

struct anchor {
        char *name;
        struct yml_node *node;
};

struct yml_reader {
        const struct yml_text *text;
        yaml_parser_t parser;
        bool ended;

        /* libyaml counts characters; this pair moves along with its marks to count bytes. */
        size_t char_index;
        uint32_t byte_index;

        /* of the document being read */
        struct yml_doc *doc;
        struct anchor *anchors;
        size_t n_anchors;
        unsigned n_aliases, n_nodes;
        struct yml_problem *problem;
};

uint32_t yml_where(const struct yml_text *text, uint32_t offset)
{
        if (offset > text->len)
                offset = text->len;
        return text->origin ? text->origin[offset] : text->base + offset;
}

static bool is_continuation(char c)
{
        return ((unsigned char)c & 0xC0) == 0x80;
}

static uint32_t to_bytes(struct yml_reader *r, size_t index)
{
        const char *s = r->text->s;

        while (r->char_index < index && r->byte_index < r->text->len) {
                do
                        r->byte_index++;
                while (r->byte_index < r->text->len && is_continuation(s[r->byte_index]));
                r->char_index++;
        }
        while (r->char_index > index && r->byte_index > 0) {
                do
                        r->byte_index--;
                while (r->byte_index > 0 && is_continuation(s[r->byte_index]));
                r->char_index--;
        }
        return r->byte_index;
}

_printf_(3, 4) static int refuse(struct yml_reader *r, uint32_t at, const char *fmt, ...)
{
        va_list ap;

        *r->problem = (struct yml_problem){.at = at, .context_at = YML_NOWHERE};
        va_start(ap, fmt);
        vsnprintf(r->problem->text, sizeof(r->problem->text), fmt, ap);
        va_end(ap);
        return -EINVAL;
}

static int refuse_as_libyaml_does(struct yml_reader *r)
{
        const yaml_parser_t *p = &r->parser;

        switch (p->error) {
        case YAML_MEMORY_ERROR:
                return -ENOMEM;
        case YAML_READER_ERROR: /* the only one that counts bytes */
                return refuse(r,
                        yml_where(r->text, (uint32_t)MIN(p->problem_offset, (size_t)r->text->len)),
                        "%s", p->problem ? p->problem : "the text cannot be read");
        default:
                break;
        }
        uint32_t at = yml_where(r->text, to_bytes(r, p->problem_mark.index));
        refuse(r, at, "%s", p->problem ? p->problem : "the text cannot be read");
        if (p->context) {
                snprintf(r->problem->context, sizeof(r->problem->context), "%s", p->context);
                r->problem->context_at = yml_where(r->text, to_bytes(r, p->context_mark.index));
        }
        return -EINVAL;
}

static int next_event(struct yml_reader *r, yaml_event_t *ret)
{
        if (!yaml_parser_parse(&r->parser, ret))
                return refuse_as_libyaml_does(r);
        return 0;
}

static void event_done(yaml_event_t *e)
{
        yaml_event_delete(e);
}

static struct yml_node *node_new(struct yml_reader *r, enum yml_kind kind, const yaml_event_t *e)
{
        struct yml_node *n = calloc(1, sizeof(*n));
        if (!n)
                return NULL;
        n->kind = kind;
        n->start = to_bytes(r, e->start_mark.index);
        n->at = yml_where(r->text, n->start);
        n->weight = 1;
        n->next = r->doc->all;
        r->doc->all = n;
        return n;
}

static int remember_anchor(struct yml_reader *r, const char *name, struct yml_node *node)
{
        if (!name)
                return 0;
        if (r->n_anchors >= YML_ANCHORS_MAX)
                return refuse(r, node->at, "more than %u anchors in one document", YML_ANCHORS_MAX);
        if (!r->anchors && !(r->anchors = calloc(YML_ANCHORS_MAX, sizeof(*r->anchors))))
                return -ENOMEM;
        char *copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        r->anchors[r->n_anchors++] = (struct anchor){copy, node};
        return 0;
}

static void forget_anchors(struct yml_reader *r)
{
        for (size_t i = 0; i < r->n_anchors; i++)
                free(r->anchors[i].name);
        r->n_anchors = 0;
}

static const char *event_anchor(const yaml_event_t *e)
{
        switch (e->type) {
        case YAML_SCALAR_EVENT:
                return (const char *)e->data.scalar.anchor;
        case YAML_SEQUENCE_START_EVENT:
                return (const char *)e->data.sequence_start.anchor;
        case YAML_MAPPING_START_EVENT:
                return (const char *)e->data.mapping_start.anchor;
        default:
                return NULL;
        }
}

static bool opens(const yaml_event_t *e)
{
        return e->type == YAML_SEQUENCE_START_EVENT || e->type == YAML_MAPPING_START_EVENT;
}

static bool closes(const yaml_event_t *e)
{
        return e->type == YAML_SEQUENCE_END_EVENT || e->type == YAML_MAPPING_END_EVENT;
}

/* A null stands for what is too deep; its anchors stay known, so that a document that is passed
 * over does not fail for an alias to one of them. */
static int leave_out(struct yml_reader *r, const yaml_event_t *first, struct yml_node **ret)
{
        struct yml_node *n = node_new(r, YML_SCALAR, first);
        if (!n || !(n->value = strdup("")))
                return -ENOMEM;
        n->complete = true;
        if (r->doc->deep_at == YML_NOWHERE)
                r->doc->deep_at = n->at;
        int e = remember_anchor(r, event_anchor(first), n);
        if (e < 0)
                return e;

        unsigned open = opens(first) ? 1 : 0;
        while (open > 0) {
                _cleanup_(event_done) yaml_event_t ev = {0};
                e = next_event(r, &ev);
                if (e < 0)
                        return e;
                if (opens(&ev) && ++open > YML_DEPTH_SKIPPED)
                        return refuse(r, yml_where(r->text, to_bytes(r, ev.start_mark.index)),
                                "nested deeper than %u levels", YML_DEPTH_MAX + YML_DEPTH_SKIPPED);
                open -= closes(&ev);
                e = remember_anchor(r, event_anchor(&ev), n);
                if (e < 0)
                        return e;
        }
        *ret = n;
        return 0;
}

static int resolve_alias(
        struct yml_reader *r, const yaml_event_t *ev, unsigned depth, struct yml_node **ret)
{
        const char *name = (const char *)ev->data.alias.anchor;
        uint32_t at = yml_where(r->text, to_bytes(r, ev->start_mark.index));
        struct yml_node *target = NULL;

        if (++r->n_aliases > YML_ALIASES_MAX)
                return refuse(r, at, "more than %u aliases in one document", YML_ALIASES_MAX);
        /* Backwards: a name given again stands for the later node. */
        for (size_t i = r->n_anchors; i > 0 && !target; i--)
                if (streq(r->anchors[i - 1].name, name))
                        target = r->anchors[i - 1].node;
        if (!target)
                return refuse(r, at, "unknown anchor '%.60s' referenced", name);
        if (!target->complete)
                return refuse(r, at, "anchor '%.60s' value contains itself", name);
        if (depth + target->height > YML_DEPTH_MAX)
                return leave_out(r, ev, ret);
        *ret = target;
        return 0;
}

static int read_scalar(struct yml_reader *r, const yaml_event_t *ev, struct yml_node **ret)
{
        static const enum yml_style styles[] = {
                [YAML_ANY_SCALAR_STYLE] = YML_PLAIN,
                [YAML_PLAIN_SCALAR_STYLE] = YML_PLAIN,
                [YAML_SINGLE_QUOTED_SCALAR_STYLE] = YML_SINGLE,
                [YAML_DOUBLE_QUOTED_SCALAR_STYLE] = YML_DOUBLE,
                [YAML_LITERAL_SCALAR_STYLE] = YML_LITERAL,
                [YAML_FOLDED_SCALAR_STYLE] = YML_FOLDED,
        };
        struct yml_node *n = node_new(r, YML_SCALAR, ev);
        if (!n)
                return -ENOMEM;
        n->style = styles[ev->data.scalar.style];
        n->len = ev->data.scalar.length;
        n->value = malloc(n->len + 1);
        if (!n->value)
                return -ENOMEM;
        memcpy(n->value, ev->data.scalar.value, n->len);
        n->value[n->len] = '\0';
        if (ev->data.scalar.tag && !(n->tag = strdup((const char *)ev->data.scalar.tag)))
                return -ENOMEM;
        n->complete = true;
        *ret = n;
        return 0;
}

static int append(struct yml_reader *r, struct yml_node *parent, struct yml_node *child)
{
        if (child->weight > YML_NODES_MAX - MIN(parent->weight, YML_NODES_MAX))
                return refuse(r, child->at,
                        "document contains excessive aliasing: more than %u nodes", YML_NODES_MAX);
        /* Doubles at each power of two, so that n_items is all there is to keep. */
        if ((parent->n_items & (parent->n_items - 1)) == 0) {
                size_t room = parent->n_items ? parent->n_items * 2 : 1;
                struct yml_node **items =
                        reallocarray(parent->items, room, sizeof(struct yml_node *));
                if (!items)
                        return -ENOMEM;
                parent->items = items;
        }
        parent->items[parent->n_items++] = child;
        parent->weight += child->weight;
        parent->height = MAX(parent->height, child->height + 1);
        return 0;
}

/* Recursion is at most YML_DEPTH_MAX deep. */
static int read_node(
        struct yml_reader *r, const yaml_event_t *first, unsigned depth, struct yml_node **ret)
{
        struct yml_node *n = NULL;
        int e;

        if (first->type == YAML_ALIAS_EVENT)
                return resolve_alias(r, first, depth, ret);
        if (++r->n_nodes > YML_NODES_MAX)
                return refuse(r, yml_where(r->text, to_bytes(r, first->start_mark.index)),
                        "more than %u nodes in one document", YML_NODES_MAX);
        if (opens(first) && depth >= YML_DEPTH_MAX)
                return leave_out(r, first, ret);
        if (first->type == YAML_SCALAR_EVENT) {
                e = read_scalar(r, first, &n);
                if (e < 0)
                        return e;
                e = remember_anchor(r, event_anchor(first), n);
                if (e < 0)
                        return e;
                *ret = n;
                return 0;
        }
        assert(opens(first));
        n = node_new(
                r, first->type == YAML_SEQUENCE_START_EVENT ? YML_SEQUENCE : YML_MAPPING, first);
        if (!n)
                return -ENOMEM;
        e = remember_anchor(r, event_anchor(first), n);
        if (e < 0)
                return e;
        for (;;) {
                _cleanup_(event_done) yaml_event_t ev = {0};
                struct yml_node *child = NULL;
                e = next_event(r, &ev);
                if (e < 0)
                        return e;
                if (closes(&ev))
                        break;
                e = read_node(r, &ev, depth + 1, &child);
                if (e < 0)
                        return e;
                e = append(r, n, child);
                if (e < 0)
                        return e;
        }
        n->complete = true;
        *ret = n;
        return 0;
}

static int read_document(struct yml_reader *r, struct yml_doc **ret)
{
        _cleanup_(yml_doc_freep) struct yml_doc *doc = calloc(1, sizeof(*doc));
        if (!doc)
                return -ENOMEM;
        doc->deep_at = YML_NOWHERE;
        r->doc = doc;
        r->n_aliases = r->n_nodes = 0;
        forget_anchors(r);

        _cleanup_(event_done) yaml_event_t ev = {0}, end = {0};
        int e = next_event(r, &ev);
        if (e < 0)
                return e;
        e = read_node(r, &ev, 0, &doc->root);
        if (e < 0)
                return e;
        e = next_event(r, &end);
        if (e < 0)
                return e;
        assert(end.type == YAML_DOCUMENT_END_EVENT);
        *ret = TAKE_PTR(doc);
        return 1;
}

int yml_next(struct yml_reader *r, struct yml_doc **ret, struct yml_problem *problem)
{
        r->problem = problem;
        while (!r->ended) {
                _cleanup_(event_done) yaml_event_t ev = {0};
                int e = next_event(r, &ev);
                if (e >= 0 && ev.type == YAML_DOCUMENT_START_EVENT)
                        e = read_document(r, ret);
                if (e < 0 || ev.type == YAML_STREAM_END_EVENT)
                        r->ended = true;
                if (e != 0)
                        return e;
        }
        return 0;
}

int yml_reader_new(const struct yml_text *text, struct yml_reader **ret)
{
        struct yml_reader *r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;
        r->text = text;
        if (!yaml_parser_initialize(&r->parser)) {
                free(r);
                return -ENOMEM;
        }
        /* Said here, so that a byte order mark of another encoding is an error and not a guess. */
        yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&r->parser, (const unsigned char *)text->s, text->len);
        *ret = r;
        return 0;
}

void yml_reader_free(struct yml_reader *r)
{
        if (!r)
                return;
        forget_anchors(r);
        free(r->anchors);
        yaml_parser_delete(&r->parser);
        free(r);
}

void yml_doc_free(struct yml_doc *d)
{
        if (!d)
                return;
        while (d->all) {
                struct yml_node *n = d->all;
                d->all = n->next;
                free(n->items);
                free(n->value);
                free(n->tag);
                free(n);
        }
        free(d);
}

const struct yml_node *yml_find(const struct yml_node *map, const char *key)
{
        if (map->kind != YML_MAPPING)
                return NULL;
        for (size_t i = 0; i + 1 < map->n_items; i += 2) {
                const struct yml_node *k = map->items[i];
                if (k->kind == YML_SCALAR && streq(k->value, key))
                        return map->items[i + 1];
        }
        return NULL;
}
