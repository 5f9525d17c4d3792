/* SecretProviderClass: the text a user wrote, turned into what has to be fetched and shown.
 *
 * Parsed exactly as the Azure provider v1.8.2 does (docs/compatibility.md lists each difference),
 * from a YAML file with one or several documents, `secrets-store.csi.x-k8s.io/v1` or `v1alpha1`.
 * No I/O: text in, class or diagnostics out. All limits below are checked before memory is spent.
 *
 * Thread-safe as long as one thread changes nothing; a class never changes once parsed.
 */
#pragma once

#include "base/err.h"

#define SPC_TEXT_MAX \
        ((size_t)1 << 20) /* the API server's own limit is near 1.5 MiB for all of etcd */
#define SPC_OBJECTS_MAX 1000
#define SPC_DOCUMENTS_MAX 100
#define SPC_DEPTH_MAX 16
#define SPC_HISTORY_MAX 100
#define SPC_PATH_MAX 4096
#define SPC_NAME_MAX 255
#define SPC_DIAGS_MAX 200

enum spc_type { SPC_SECRET, SPC_KEY, SPC_CERT };
enum spc_format { SPC_FORMAT_DEFAULT, SPC_FORMAT_PEM, SPC_FORMAT_PFX };
enum spc_encoding { SPC_ENCODING_UTF8, SPC_ENCODING_BASE64, SPC_ENCODING_HEX };

/* What files the secret of a certificate gives (certificateFiles): as the mount says, one, FILE.crt
 * and FILE.key beside it, or a folder FILE. */
enum spc_files { SPC_FILES_DEFAULT, SPC_FILES_COMBINED, SPC_FILES_SEPARATE, SPC_FILES_FOLDER };
/* Of what is in such a folder, with NULL behind the last. */
extern const char *const spc_folder_files[];

enum spc_preset { SPC_PRESET_NONE, SPC_PRESET_FOLDERS, SPC_PRESET_UPPER_SNAKE }; /* spc/preset.h */

/* How the class wants to be authenticated (reference section 1.4); SPC_IDENTITY_DEFAULT is
 * workload identity when there are clientID and a token, else the service principal. */
enum spc_identity {
        SPC_IDENTITY_DEFAULT,
        SPC_IDENTITY_POD,
        SPC_IDENTITY_VM,
        SPC_IDENTITY_TOKEN_PROXY,
};

struct spc_object {
        char *name;    /* objectName, never empty */
        char *alias;   /* objectAlias, "" when not given */
        char *version; /* objectVersion, "" for the latest */
        char *vault;   /* keyvaultName of its own, "" for the class's */
        char *file;    /* where it is shown: alias or name; clean relative path, may hold '/' */
        enum spc_type type;
        enum spc_format format;
        enum spc_encoding encoding;
        enum spc_files files;
        enum spc_preset preset;
        char *json_path; /* jsonPath (base/jsonpath.h), "" for the whole value */
        int mode;        /* filePermission, 0..0777; -1 when not given */
        int history;     /* objectVersionHistory: 1 is a plain file, N > 1 a folder of N versions */
        bool optional;   /* may be missing */
        unsigned line, column; /* of the element in the file */
};

/* Objects that are chosen from a vault's list instead of being named: an element of the parameter
 * objectSelector. All conditions that are given have to hold; at least one is. */
struct spc_selector {
        struct spc_object like; /* what each of them is shown as; name, version and file are "" and
                                   alias holds one '*' for the name, or is "" */
        char *prefix, *glob;    /* "" when not given; letters of both cases are the same */
        char *tag;              /* "NAME" or "NAME=VALUE", exactly; "" when not given */
        unsigned max;           /* more than that is an error */
};
#define SPC_SELECTED_DEFAULT 100 /* objects of one selector, unless `max` says otherwise */

struct spc_class {
        char *name, *namespace;        /* metadata; "" when absent */
        char *vault;                   /* keyvaultName */
        char *tenant;                  /* tenantID, else tenantId */
        char *client_id;               /* clientID, "" */
        char *user_assigned_id;        /* userAssignedIdentityID, "" */
        char *user_assigned_object_id; /* userAssignedIdentityObjectID, "" */
        char *cloud;                   /* cloudName, "" for the public cloud */
        char *cloud_env_file;          /* cloudEnvFileName, "" */
        enum spc_identity identity;
        struct spc_object *objects;
        size_t n_objects;
        struct spc_selector *selectors; /* at most SPC_OBJECTS_MAX */
        size_t n_selectors;
};

/* Does it choose an object of this name? Tags are not looked at. */
bool spc_selector_takes(const struct spc_selector *s, const char *name);
/* Is this one of an object's tags the one that it wants? Always, when it wants none. */
bool spc_selector_takes_tag(const struct spc_selector *s, const char *name, const char *value);
/* The path an object of that name is shown at; caller frees. -EINVAL when there can be no such file
 * (spc/paths.c), -ENOMEM. */
int spc_selector_path(const struct spc_selector *s, const char *name, char **ret);
/* "secrets like app-*, tagged env=prod", for messages. Caller frees. */
int spc_selector_describe(const struct spc_selector *s, char **ret);

/* One finding. Line and column are 1-based and point into the file (inside `objects` text: at the
 * real place in the file); 0 where the finding is about the whole document. */
enum spc_severity { SPC_ERROR, SPC_WARNING };
struct spc_diag {
        enum spc_severity severity;
        unsigned line, column;
        char *object; /* "objects[2] (db-password)", or NULL */
        char *field;  /* "objectType", or NULL */
        char *text;
        char *hint; /* what to write instead, or NULL */
};
struct spc_diags {
        struct spc_diag *list;
        size_t n;
        size_t errors; /* of them, and of those beyond SPC_DIAGS_MAX that were not kept */
        size_t dropped;
};
void spc_diags_done(struct spc_diags *d);
/* "FILE:LINE:COLUMN: error: object field: text" without a line end; caller frees. */
int spc_diag_format(const struct spc_diag *d, const char *file, char **ret);

/* Parses text (not NUL-terminated). diags is all zero at first and holds the findings ordered by
 * their place in the file. `name` picks the class when there are several (NULL: the only
 * one). All findings are put into diags, warnings too, even on success. *ret only when there is no
 * error. -EINVAL when diags has errors, -ENOMEM. */
int spc_parse(const char *text, size_t len, const char *name, struct spc_class **ret,
        struct spc_diags *diags);

/* The same from a flat map, as a CSI publish request carries it: spec.parameters overlaid with the
 * volume's attributes. Keys are case-sensitive; those under csi.storage.k8s.io/ are no findings.
 * Lines and columns count inside the value of `objects` and are 0 for every other parameter. name
 * and namespace are put into the class ("" when NULL). All strings are borrowed during the call. */
struct spc_parameter {
        const char *key, *value;
};
int spc_class_from_parameters(const char *name, const char *namespace,
        const struct spc_parameter *parameters, size_t n, struct spc_class **ret,
        struct spc_diags *diags);

void spc_class_free(struct spc_class *c);
DEFINE_CLEANUP(struct spc_class *, spc_class_free)

const char *spc_type_name(enum spc_type t); /* "secret", "key", "cert" */

/* A copy in which control characters are written as escapes (\n, \x1b), so that what a file says
 * stays on one line of a terminal or log. Caller frees. */
int spc_escape(const char *s, char **ret);
