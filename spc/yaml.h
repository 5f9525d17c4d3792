/* YAML as a bounded tree of nodes that know where in the file they stand.
 *
 * Reads the events of libyaml, not its documents, because those have no bound on depth or aliases
 * and do not keep what this folder needs: the style of each scalar, the literal text of each, and
 * its place. What is bounded, and what happens beyond:
 *
 *   depth     YML_DEPTH_MAX: deeper nodes are left out and the document says so (deep_at), because
 *             files hold other kinds of documents (a CRD nests deeper) that are only passed over.
 *             YML_DEPTH_SKIPPED levels more are a problem: libyaml needs time by the square of the
 *             depth, minutes for a megabyte of brackets
 *   nodes     YML_NODES_MAX a document, each alias counted with all it stands for: a problem
 *   anchors, aliases   YML_ANCHORS_MAX, YML_ALIASES_MAX a document: a problem
 *
 * An alias is the very node it names, so nothing is copied; one that stands inside that node is a
 * problem. Documents stay valid after the reader is gone. Proven by tests/unit/spc/yaml.c.
 */
#pragma once

#include "base/util.h"
#include "spc/spc.h"

#define YML_DEPTH_MAX SPC_DEPTH_MAX
#define YML_DEPTH_SKIPPED 112
#define YML_NODES_MAX 65536U
#define YML_ANCHORS_MAX 1000U
#define YML_ALIASES_MAX 1000U

#define YML_NOWHERE UINT32_MAX

/* UTF-8 text and where each of its bytes stands in the file. */
struct yml_text {
        const char *s;
        uint32_t len;
        const uint32_t *origin; /* len + 1 offsets into the file, or NULL: base + the offset here */
        uint32_t base;
};
uint32_t yml_where(const struct yml_text *text, uint32_t offset);

enum yml_kind { YML_SCALAR, YML_SEQUENCE, YML_MAPPING };
enum yml_style { YML_PLAIN, YML_SINGLE, YML_DOUBLE, YML_LITERAL, YML_FOLDED };

struct yml_node {
        enum yml_kind kind;
        enum yml_style style; /* of scalars */
        uint32_t start;       /* first byte (of its anchor or tag, if any) in the text read */
        uint32_t at;          /* first byte in the file */
        char *tag;            /* as written out in full ("tag:yaml.org,2002:str"), or NULL */
        char *value;          /* scalars: their text, NUL-terminated; may hold NULs itself */
        size_t len;
        struct yml_node **items; /* sequences: elements; mappings: key, value, key, value, ... */
        size_t n_items;

        uint32_t weight; /* nodes in it, aliases counted in full */
        unsigned height; /* 0 for scalars and empty collections */
        bool complete;   /* all of it has been read */
        struct yml_node *next;
};

struct yml_doc {
        struct yml_node *root; /* a null scalar for an empty document */
        uint32_t deep_at;      /* first node left out for its depth, in the file; YML_NOWHERE */
        struct yml_node *all;
};
void yml_doc_free(struct yml_doc *d);
DEFINE_CLEANUP(struct yml_doc *, yml_doc_free)

/* Why a text cannot be read; offsets into the file. */
struct yml_problem {
        char text[160];
        uint32_t at;
        char context[80]; /* "while parsing a block mapping", or "" */
        uint32_t context_at;
};

struct yml_reader;
/* text is borrowed until the reader is freed. -ENOMEM. */
int yml_reader_new(const struct yml_text *text, struct yml_reader **ret);
void yml_reader_free(struct yml_reader *r);
DEFINE_CLEANUP(struct yml_reader *, yml_reader_free)

/* The next document: 1 and *ret, 0 at the end of the text, -EINVAL with the problem filled in
 * (nothing more can be read then), -ENOMEM. */
int yml_next(struct yml_reader *r, struct yml_doc **ret, struct yml_problem *problem);

/* The value of the first pair with that key, or NULL. Merge keys are not looked into; what is read
 * for good goes through spc/mapping.h. */
const struct yml_node *yml_find(const struct yml_node *map, const char *key);
