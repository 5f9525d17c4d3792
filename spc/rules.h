/* What is asked of one object, of its file name and of all names together.
 *
 * spc/objects.c reads the fields, spc/validate.c holds them against the Azure provider's rules,
 * spc/paths.c holds names against those of the provider and of the driver that writes its files.
 */
#pragma once

#include "spc/report.h"

#define HISTORY_SUFFIX_MAX 3 /* bytes of "/99" */
#define FILES_SUFFIX_MAX 14  /* bytes of "/fullchain.pem", the longest */

enum object_field {
        FIELD_NAME,
        FIELD_ALIAS,
        FIELD_VERSION,
        FIELD_VAULT,
        FIELD_OPTIONAL,
        FIELD_TYPE,
        FIELD_FORMAT,
        FIELD_ENCODING,
        FIELD_PERMISSION,
        FIELD_FILES,
        FIELD_JSON_PATH,
        FIELD_PRESET,
        FIELD_HISTORY,
        N_FIELDS,
};
/* "objectName", ..., and NULL behind the last. */
extern const char *const object_field_names[N_FIELDS + 1];

struct raw_field {
        char *value; /* trimmed; "" when not given; NULL when what was given is no text */
        uint32_t at; /* of the value; of the object when not given */
};

/* One element as written. */
struct raw_object {
        size_t index;   /* null elements not counted */
        char label[96]; /* "objects[2] (db-password)" */
        uint32_t at;
        struct raw_field fields[N_FIELDS];
        int32_t history;
        bool history_usable;
        bool pattern; /* a selector's: the name of each object goes into the alias */
};
void raw_object_done(struct raw_object *o);

/* *ret holds what of the object is good (file is NULL when its name is not); *ret_good whether all
 * of it is. -ENOMEM is the only failure. */
int validate_object(
        struct report *r, const struct raw_object *raw, struct spc_object *ret, bool *ret_good);
void spc_object_done(struct spc_object *o);

/* The vault's name (reference section 1.5). */
bool validate_vault_name(struct report *r, const struct place *p, const char *name);

/* --- spc/selector.c --- */

enum selector_field {
        SELECT_PREFIX,
        SELECT_GLOB,
        SELECT_TAG,
        SELECT_MAX,
        N_SELECTS,
};
extern const char *const selector_field_names[N_SELECTS + 1];

/* One element of objectSelector as written; what it shares with an object is in `like`. */
struct raw_selector {
        struct raw_field fields[N_SELECTS];
};
void raw_selector_done(struct raw_selector *s);
/* The fields of an object that a selector cannot have. */
bool selector_refuses(enum object_field f);

/* As validate_object(). raw_object's name is not looked at. */
int validate_selector(struct report *r, struct raw_object *raw, const struct raw_selector *select,
        struct spc_selector *ret, bool *ret_good);
void spc_selector_done(struct spc_selector *s);

/* --- spc/paths.c --- */

/* Go's path.Clean for relative paths without "..": "." when nothing is left. */
int path_clean(const char *path, char **ret);

/* The file (or folder of versions) an object is shown as, or NULL with findings about p. Only the
 * name, mode, history and files of o are looked at. */
int path_check(struct report *r, const struct place *p, const char *path,
        const struct spc_object *o, char **ret);

/* Names that were found good, for path_find_conflicts(). */
struct named {
        char *file;
        char *label;
        uint32_t at;
        const char *field;
        int history;
        enum spc_files files; /* SPC_FILES_SEPARATE stands for FILE.crt and FILE.key as well */
        size_t index;
};
/* One finding for each name that cannot exist beside an earlier one. Changes the order. */
void path_find_conflicts(struct report *r, struct named *names, size_t n);
