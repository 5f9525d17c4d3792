/* The file: which of its documents is the class that is asked for, and what is around its
 * parameters (reference sections 1.1 and 6). */
#include <stdio.h>
#include <strings.h>

#include "spc/mapping.h"
#include "spc/parameters.h"
#include "spc/scalar.h"

#define GROUP "secrets-store.csi.x-k8s.io/"
#define KIND "SecretProviderClass"

struct candidate {
        struct yml_doc *doc;
        const char *name; /* borrowed from doc; "" when absent */
        uint32_t at;
};

struct reading {
        struct report *report;
        struct yml_text text;
        struct candidate found[SPC_DOCUMENTS_MAX];
        size_t n_found;
        size_t n_documents;
        bool broken;           /* the text ends in a problem: there may be more behind it */
        char other_kinds[256]; /* of documents that are no class, for the message */
};

static const char *scalar_or_empty(const struct yml_node *map, const char *key)
{
        const struct yml_node *n = yml_find(map, key);

        return n && n->kind == YML_SCALAR ? n->value : "";
}

/* An apiVersion of the group alone does not make a class (SecretProviderClassPodStatus), but a
 * kind in other letters is a slip. */
static bool is_class(const struct yml_node *root)
{
        const char *kind = scalar_or_empty(root, "kind");

        if (streq(kind, KIND))
                return true;
        return startswith(scalar_or_empty(root, "apiVersion"), GROUP) &&
               (!*kind || strcasecmp(kind, KIND) == 0);
}

static void remember_kind(struct reading *g, const char *kind)
{
        size_t n = strlen(g->other_kinds);

        if (*kind && strlen(kind) <= 64)
                snprintf(g->other_kinds + n, sizeof(g->other_kinds) - n, "%s%s", n ? ", " : "",
                        kind);
}

static int find_classes(struct reading *g)
{
        _cleanup_(yml_reader_freep) struct yml_reader *reader = NULL;
        int e = yml_reader_new(&g->text, &reader);

        if (e < 0)
                return e;
        for (;;) {
                _cleanup_(yml_doc_freep) struct yml_doc *doc = NULL;
                struct yml_problem problem;

                e = yml_next(reader, &doc, &problem);
                if (e == -EINVAL) {
                        report_problem(g->report, NULL, NULL, "", &problem);
                        g->broken = true;
                }
                if (e <= 0)
                        return e == -EINVAL ? 0 : e;
                if (++g->n_documents > SPC_DOCUMENTS_MAX) {
                        report_error(g->report, &(struct place){doc->root->at, NULL, NULL},
                                "more than %d documents in one file", SPC_DOCUMENTS_MAX);
                        g->broken = true;
                        return 0;
                }
                if (doc->root->kind != YML_MAPPING)
                        continue;
                if (!is_class(doc->root)) {
                        remember_kind(g, scalar_or_empty(doc->root, "kind"));
                        continue;
                }
                struct candidate *c = &g->found[g->n_found++];
                const struct yml_node *metadata = yml_find(doc->root, "metadata");
                c->name = metadata ? scalar_or_empty(metadata, "name") : "";
                c->at = doc->root->at;
                c->doc = TAKE_PTR(doc);
        }
}

/* "a, b, c" of all classes in the file; caller frees; NULL when memory is short. */
static char *list_names(const struct reading *g)
{
        char *list = NULL;

        for (size_t i = 0; i < g->n_found; i++) {
                char *longer = NULL;
                const char *name = g->found[i].name;
                if (xasprintf(&longer, "%s%s%s", list ? list : "", list ? ", " : "",
                            *name ? CUT(name) : "(no name)") < 0) {
                        free(list);
                        return NULL;
                }
                free(list);
                list = longer;
        }
        return list;
}

static int pick(struct reading *g, const char *name, const struct candidate **ret)
{
        static const struct place nowhere = {YML_NOWHERE, NULL, NULL};
        const struct candidate *match = NULL, *last = NULL;
        size_t n = 0;

        if (g->n_found == 0) {
                if (g->broken)
                        return 0;
                if (*g->other_kinds)
                        report_error(g->report, &nowhere, "no " KIND " in this file, only %s",
                                g->other_kinds);
                else
                        report_error(g->report, &nowhere, "no " KIND " in this file");
                report_hint(
                        g->report, "a class has `apiVersion: " GROUP "v1` and `kind: " KIND "`");
                return 0;
        }
        for (size_t i = 0; i < g->n_found; i++)
                if (!name || streq(g->found[i].name, name)) {
                        match = match ? match : &g->found[i];
                        last = &g->found[i];
                        n++;
                }
        if (n == 1) {
                *ret = match;
                return 0;
        }
        _cleanup_free_ char *names = list_names(g);
        if (!names)
                return -ENOMEM;
        if (!name) {
                report_error(g->report, &nowhere, "%zu classes in this file: %s", n, names);
                report_hint(g->report, "say which one by its name (--name)");
        } else if (n == 0) {
                report_error(g->report, &nowhere, "no class is called %s here, only %s", CUT(name),
                        names);
        } else {
                report_error(g->report, &(struct place){last->at, NULL, NULL},
                        "%zu classes are called %s", n, CUT(name));
                report_hint(g->report, "keep one of them in this file");
        }
        return 0;
}

/* The API server reads the file by YAML 1.1 and takes nothing but strings here. */
static void warn_of_kind(struct report *r, const struct yml_node *n, const char *field)
{
        static const char *const words[] = {[SCALAR_NULL] = "nothing (null)",
                [SCALAR_BOOL] = "a boolean",
                [SCALAR_INT] = "a number",
                [SCALAR_FLOAT] = "a number"};
        struct place p = {n->at, NULL, field};

        enum scalar_kind kind = scalar_kind(n, SCALAR_YAML_1_1);
        if (kind == SCALAR_TEXT || kind == SCALAR_UNKNOWN_TAG)
                return;
        report_warning(r, &p, "%s, not text: the API server will refuse it", words[kind]);
        if (kind == SCALAR_NULL)
                report_hint(r, "write a value in quotes, or leave the line out");
        else
                report_hint(r, "put it in quotes: \"%s\"", CUT(n->value));
}

static void report_not_text(struct report *r, const struct yml_node *n, const char *field)
{
        report_error(r, &(struct place){n->at, NULL, field}, "has to be text, not a %s",
                n->kind == YML_MAPPING ? "mapping" : "list");
        report_template(r, n->at);
}

/* A member that is text, or NULL with a finding where it is something else. */
static const struct yml_node *get_text(
        struct report *r, const struct mapping *m, const char *key, const char *field)
{
        const struct yml_node *n = mapping_get(m, key);

        if (!n)
                return NULL;
        if (n->kind != YML_SCALAR) {
                report_not_text(r, n, field);
                return NULL;
        }
        if (!mapping_text_is_usable(r, n, NULL, field))
                return NULL;
        warn_of_kind(r, n, field);
        return n;
}

static void report_unknown(
        struct report *r, const struct mapping *m, const char *const *known, const char *prefix)
{
        for (size_t i = 0; i < m->n; i++) {
                const char *key = m->pairs[i].key;
                size_t k = 0;
                while (known[k] && !streq(known[k], key))
                        k++;
                if (known[k])
                        continue;
                char field[CUT_MAX + 16];
                snprintf(field, sizeof(field), "%s%s", prefix, CUT(key));
                report_warning(r, &(struct place){m->pairs[i].key_node->at, NULL, field},
                        "unknown field, ignored");
                for (k = 0; parameter_names[k] && !streq(parameter_names[k], key); k++)
                        ;
                if (parameter_names[k])
                        report_hint(r, "%s belongs under spec.parameters", key);
                else
                        report_nearest(r, key, known);
        }
}

static int read_parameters(struct reading *g, const struct yml_node *n, struct spc_class *c)
{
        struct mapping m = {0};
        int e = mapping_read(g->report, n, NULL, "spec.parameters", &m);

        if (e < 0)
                return e;
        struct parameter *list = calloc(m.n + 1, sizeof(*list));
        size_t n_list = 0;
        if (!list) {
                mapping_done(&m);
                return -ENOMEM;
        }
        for (size_t i = 0; i < m.n; i++) {
                const struct yml_node *v = m.pairs[i].value;
                const char *key = m.pairs[i].key;
                struct place p = {v->at, NULL, key};
                struct parameter *into = &list[n_list];

                *into = (struct parameter){
                        .key = key, .key_at = m.pairs[i].key_node->at, .at = v->at};
                into->node = v;
                into->text = &g->text;
                if (v->kind == YML_SCALAR) {
                        /* Known to be absent or unusable is all the same from here on. */
                        into->value =
                                mapping_text_is_usable(g->report, v, NULL, key) ? v->value : NULL;
                        warn_of_kind(g->report, v, key);
                        if (into->value && scalar_kind(v, SCALAR_YAML_1_1) == SCALAR_NULL)
                                into->value = "";
                        n_list += into->value != NULL;
                } else if (streq(key, "objects") || streq(key, "objectSelector")) {
                        report_warning(g->report, &p,
                                "a %s, not text: the API server will refuse it",
                                v->kind == YML_MAPPING ? "mapping" : "list");
                        report_hint(g->report,
                                "for use in a cluster write `%s: |` and keep what "
                                "follows as its text",
                                key);
                        n_list++;
                } else {
                        report_not_text(g->report, v, key);
                }
        }
        e = parameters_read(g->report, list, n_list, n->at, c);
        free(list);
        mapping_done(&m);
        return e;
}

static void read_provider(struct report *r, const struct mapping *spec, uint32_t spec_at)
{
        struct place p = {spec_at, NULL, "spec.provider"};
        const struct yml_node *n = get_text(r, spec, "provider", p.field);
        const char *s = n ? n->value : "";

        if (n)
                p.at = n->at;
        else if (mapping_get(spec, "provider"))
                return;
        if (streq(s, "azure"))
                return;
        if (!*s)
                report_error(r, &p, "not set");
        else
                report_error(r, &p, "\"%s\" is not served here, only azure", CUT(s));
        if (!*s || strcasecmp(s, "azure") == 0)
                report_hint(r, "write `provider: azure`");
}

static int read_spec(struct reading *g, const struct yml_node *root, const struct mapping *top,
        struct spc_class *c)
{
        static const char *const known[] = {"provider", "parameters", "secretObjects", NULL};
        const struct yml_node *spec = mapping_get(top, "spec");
        struct mapping m = {0};

        if (!spec || spec->kind != YML_MAPPING) {
                report_error(g->report, &(struct place){spec ? spec->at : root->at, NULL, "spec"},
                        spec ? "has to be a mapping" : "not set");
                report_hint(g->report, "spec holds `provider: azure` and `parameters:`");
                return 0;
        }
        int e = mapping_read(g->report, spec, NULL, "spec", &m);
        if (e < 0)
                return e;
        report_unknown(g->report, &m, known, "spec.");
        read_provider(g->report, &m, spec->at);
        const struct yml_node *parameters = mapping_get(&m, "parameters");
        if (parameters && parameters->kind == YML_MAPPING) {
                e = read_parameters(g, parameters, c);
        } else {
                report_error(g->report,
                        &(struct place){
                                parameters ? parameters->at : spec->at, NULL, "spec.parameters"},
                        parameters ? "has to be a mapping" : "not set");
                report_hint(g->report, "parameters holds keyvaultName, tenantID and objects");
        }
        mapping_done(&m);
        return e;
}

static int read_metadata(struct reading *g, const struct yml_node *root, const struct mapping *top,
        struct spc_class *c)
{
        const struct yml_node *metadata = mapping_get(top, "metadata");
        const struct yml_node *name = NULL, *namespace = NULL;
        struct place p = {metadata ? metadata->at : root->at, NULL, "metadata.name"};
        struct mapping m = {0};

        if (metadata && metadata->kind == YML_MAPPING) {
                int e = mapping_read(g->report, metadata, NULL, "metadata", &m);
                if (e < 0)
                        return e;
                name = get_text(g->report, &m, "name", "metadata.name");
                namespace = get_text(g->report, &m, "namespace", "metadata.namespace");
        }
        if (name ? !*name->value : !mapping_get(&m, "name")) {
                report_warning(g->report, &p, "not set: the API server will refuse the class");
                report_hint(g->report, "metadata: {name: ...}");
        }
        c->name = strdup(name ? name->value : "");
        c->namespace = strdup(namespace ? namespace->value : "");
        mapping_done(&m);
        return c->name && c->namespace ? 0 : -ENOMEM;
}

static void read_version(struct report *r, const struct yml_node *root, const struct mapping *top)
{
        struct place p = {root->at, NULL, "apiVersion"};
        const struct yml_node *n = get_text(r, top, "apiVersion", p.field);
        const char *s = n ? n->value : "";

        if (n)
                p.at = n->at;
        else if (mapping_get(top, "apiVersion"))
                return;
        if (streq(s, GROUP "v1"))
                return;
        if (streq(s, GROUP "v1alpha1")) {
                report_warning(r, &p, GROUP "v1alpha1 " KIND " is deprecated");
        } else if (!*s) {
                report_error(r, &p, "not set");
        } else {
                report_error(r, &p, "\"%s\" is not a version of a " KIND, CUT(s));
        }
        report_hint(r, "write `apiVersion: " GROUP "v1`");
}

static void read_kind(struct report *r, const struct yml_node *root, const struct mapping *top)
{
        struct place p = {root->at, NULL, "kind"};
        const struct yml_node *n = get_text(r, top, "kind", p.field);

        if (n && streq(n->value, KIND))
                return;
        if (n)
                p.at = n->at;
        else if (mapping_get(top, "kind"))
                return;
        if (n && *n->value)
                report_error(r, &p, "\"%s\" is not " KIND, CUT(n->value));
        else
                report_error(r, &p, "not set");
        report_hint(r, "write `kind: " KIND "`");
}

static int read_class(struct reading *g, const struct candidate *candidate, struct spc_class *c)
{
        static const char *const known[] = {
                "apiVersion", "kind", "metadata", "spec", "status", NULL};
        const struct yml_node *root = candidate->doc->root;
        struct mapping top = {0};

        if (candidate->doc->deep_at != YML_NOWHERE)
                report_error(g->report, &(struct place){candidate->doc->deep_at, NULL, NULL},
                        "nested deeper than %d levels", YML_DEPTH_MAX);
        int e = mapping_read(g->report, root, NULL, NULL, &top);
        if (e < 0)
                return e;
        report_unknown(g->report, &top, known, "");
        read_version(g->report, root, &top);
        read_kind(g->report, root, &top);
        e = read_metadata(g, root, &top, c);
        if (e == 0)
                e = read_spec(g, root, &top, c);
        mapping_done(&top);
        return e;
}

static int read_file(struct reading *g, const char *name, struct spc_class *c)
{
        const struct candidate *candidate = NULL;
        int e = find_classes(g);

        if (e == 0)
                e = pick(g, name, &candidate);
        if (e == 0 && candidate)
                e = read_class(g, candidate, c);
        for (size_t i = 0; i < g->n_found; i++)
                yml_doc_free(g->found[i].doc);
        return e;
}

int spc_parse(const char *text, size_t len, const char *name, struct spc_class **ret,
        struct spc_diags *diags)
{
        _cleanup_(spc_class_freep) struct spc_class *c = calloc(1, sizeof(*c));
        _cleanup_free_ struct reading *g = calloc(1, sizeof(*g));
        struct report r;

        if (!c || !g)
                return -ENOMEM;
        /* A byte order mark is no part of the text, and no column of it. */
        if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
                text += 3;
                len -= 3;
        }
        bool too_long = len > SPC_TEXT_MAX;
        int e = report_begin(&r, diags, text, too_long ? 0 : len);
        if (e < 0)
                return e;
        g->report = &r;
        if (too_long) {
                report_error(&r, &(struct place){YML_NOWHERE, NULL, NULL}, "longer than %zu bytes",
                        SPC_TEXT_MAX);
        } else {
                g->text = (struct yml_text){.s = text, .len = (uint32_t)len};
                e = read_file(g, name, c);
        }
        int end = report_end(&r);
        if (e < 0 || end < 0)
                return e < 0 ? e : end;
        *ret = TAKE_PTR(c);
        return 0;
}
