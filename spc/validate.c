/* The Azure provider's rules for one object (reference section 1.7), in its order and words, and
 * what it leaves unsaid until a fetch fails or a file has mode 0. */
#include <stdio.h>
#include <strings.h>

#include "base/jsonpath.h"
#include "spc/preset.h"
#include "spc/rules.h"
#include "spc/scalar.h"

const char *const object_field_names[N_FIELDS + 1] = {
        [FIELD_NAME] = "objectName",
        [FIELD_ALIAS] = "objectAlias",
        [FIELD_VERSION] = "objectVersion",
        [FIELD_VAULT] = "keyvaultName",
        [FIELD_OPTIONAL] = "optional",
        [FIELD_TYPE] = "objectType",
        [FIELD_FORMAT] = "objectFormat",
        [FIELD_ENCODING] = "objectEncoding",
        [FIELD_PERMISSION] = "filePermission",
        [FIELD_FILES] = "certificateFiles",
        [FIELD_JSON_PATH] = "jsonPath",
        [FIELD_PRESET] = "namePreset",
        [FIELD_HISTORY] = "objectVersionHistory",
};

static const char *const types[] = {
        [SPC_SECRET] = "secret", [SPC_KEY] = "key", [SPC_CERT] = "cert", NULL};

const char *const spc_folder_files[] = {
        "tls.crt", "tls.key", "ca.crt", "fullchain.pem", "combined.pem", "cert.pfx", NULL};

const char *spc_type_name(enum spc_type t)
{
        return types[t];
}

void raw_object_done(struct raw_object *o)
{
        for (size_t i = 0; i < N_FIELDS; i++)
                free(o->fields[i].value);
        *o = (struct raw_object){0};
}

void spc_object_done(struct spc_object *o)
{
        free(o->name);
        free(o->alias);
        free(o->version);
        free(o->json_path);
        free(o->vault);
        free(o->file);
        *o = (struct spc_object){0};
}

struct checking {
        struct report *report;
        const struct raw_object *raw;
        struct spc_object *object;
        bool type_known;
        bool good;
};

static const char *value(const struct checking *c, enum object_field f)
{
        return c->raw->fields[f].value;
}

static struct place place_of(const struct checking *c, enum object_field f)
{
        return (struct place){c->raw->fields[f].at, c->raw->label, object_field_names[f]};
}

_printf_(3, 4) static void fail(struct checking *c, enum object_field f, const char *fmt, ...)
{
        struct place p = place_of(c, f);
        va_list ap;

        va_start(ap, fmt);
        report_errorv(c->report, &p, fmt, ap);
        va_end(ap);
        c->good = false;
}

static void check_type(struct checking *c)
{
        const char *type = value(c, FIELD_TYPE);

        if (!type)
                return;
        for (size_t i = 0; types[i]; i++)
                if (strcasecmp(type, types[i]) == 0) {
                        c->object->type = (enum spc_type)i;
                        c->type_known = true;
                        if (streq(type, types[i]))
                                return;
                }
        if (!*type) {
                fail(c, FIELD_TYPE,
                        "not set: Invalid vaultObjectTypes. Should be secret, key, or cert");
                return;
        }
        fail(c, FIELD_TYPE, "\"%s\": Invalid vaultObjectTypes. Should be secret, key, or cert",
                CUT(type));
        if (strcasecmp(type, "certificate") == 0)
                report_hint(c->report, "did you mean cert?");
        else
                report_nearest(c->report, type, types);
}

static void check_format(struct checking *c)
{
        const char *format = value(c, FIELD_FORMAT);

        if (!format || !*format)
                return;
        if (strcasecmp(format, "pem") == 0) {
                c->object->format = SPC_FORMAT_PEM;
        } else if (strcasecmp(format, "pfx") == 0) {
                c->object->format = SPC_FORMAT_PFX;
                if (c->type_known && c->object->type != SPC_SECRET) {
                        fail(c, FIELD_FORMAT, "PFX format only supported for objectType: secret");
                        if (c->object->type == SPC_CERT)
                                report_hint(c->report,
                                        "the PFX of a certificate is the secret of the same name: "
                                        "write objectType: secret");
                }
        } else {
                fail(c, FIELD_FORMAT, "invalid objectFormat: %s, should be PEM or PFX",
                        CUT(format));
        }
}

static void check_encoding(struct checking *c)
{
        static const char *const names[] = {[SPC_ENCODING_UTF8] = "utf-8",
                [SPC_ENCODING_BASE64] = "base64",
                [SPC_ENCODING_HEX] = "hex",
                NULL};
        const char *encoding = value(c, FIELD_ENCODING);

        if (!encoding || !*encoding)
                return;
        if (c->type_known && c->object->type != SPC_SECRET) {
                fail(c, FIELD_ENCODING, "objectEncoding only supported for objectType: secret");
                return;
        }
        for (size_t i = 0; names[i]; i++)
                if (strcasecmp(encoding, names[i]) == 0) {
                        c->object->encoding = (enum spc_encoding)i;
                        return;
                }
        fail(c, FIELD_ENCODING, "invalid objectEncoding: %s, should be hex, base64 or utf-8",
                CUT(encoding));
        report_nearest(c->report, encoding, names);
}

/* --- fields of our own, which the Azure provider passes over ---------------------------------- */

/* The index in a list of words, or -1 and a finding. Matched to the letter: nobody else reads
 * these, so nobody can have written them otherwise. */
static int word_of(struct checking *c, enum object_field f, const char *const *words)
{
        const char *text = value(c, f);
        char list[80] = "";
        size_t n = 0;

        for (size_t i = 0; words[i]; i++) {
                if (streq(text, words[i]))
                        return (int)i;
                n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s",
                        i == 0         ? ""
                        : words[i + 1] ? ", "
                                       : " or ",
                        words[i]);
        }
        fail(c, f, "invalid %s: %s, should be %s", object_field_names[f], CUT(text), list);
        report_nearest(c->report, text, words);
        return -1;
}

static void check_files(struct checking *c)
{
        static const char *const words[] = {"combined", "separate", "folder", NULL};
        const char *text = value(c, FIELD_FILES);

        if (!text || !*text)
                return;
        int i = word_of(c, FIELD_FILES, words);
        if (i < 0)
                return;
        c->object->files = (enum spc_files)(SPC_FILES_COMBINED + i);
        if (c->type_known && c->object->type != SPC_SECRET) {
                fail(c, FIELD_FILES, "certificateFiles only supported for objectType: secret");
                if (c->object->type == SPC_CERT)
                        report_hint(c->report, "the key and the chain of a certificate are in the "
                                               "secret of the same name: write objectType: secret");
                return;
        }
        if (i == 0)
                return;
        if (c->object->format == SPC_FORMAT_PFX)
                fail(c, FIELD_FILES, "certificateFiles: %s gives PEM, objectFormat asks for PFX%s",
                        words[i],
                        c->object->files == SPC_FILES_FOLDER ? "; the folder has cert.pfx" : "");
        if (c->object->encoding != SPC_ENCODING_UTF8)
                fail(c, FIELD_FILES,
                        "certificateFiles: %s gives PEM, which objectEncoding cannot decode",
                        words[i]);
}

static int check_json_path(struct checking *c)
{
        const char *text = value(c, FIELD_JSON_PATH), *why;
        _cleanup_jsonpath_ struct jsonpath path = {0};
        size_t at;

        if (!text || !*text)
                return 0;
        if (c->type_known && c->object->type != SPC_SECRET)
                fail(c, FIELD_JSON_PATH, "jsonPath only supported for objectType: secret");
        else if (c->object->format != SPC_FORMAT_DEFAULT || c->object->files > SPC_FILES_COMBINED)
                fail(c, FIELD_JSON_PATH,
                        "jsonPath takes a value out of JSON, %s is about a certificate",
                        object_field_names[c->object->files > SPC_FILES_COMBINED ? FIELD_FILES
                                                                                 : FIELD_FORMAT]);
        int r = jsonpath_parse(text, &path, &why, &at);
        if (r == -EINVAL) {
                fail(c, FIELD_JSON_PATH, "\"%s\", character %zu: %s", CUT(text), at + 1, why);
                if (*text != '$')
                        report_hint(c->report, "write $%s%s",
                                *text == '[' || *text == '.' ? "" : ".", CUT(text));
        }
        return r == -ENOMEM ? r : 0;
}

static void check_preset(struct checking *c)
{
        const char *text = value(c, FIELD_PRESET), *alias = value(c, FIELD_ALIAS);

        if (!text || !*text)
                return;
        int i = word_of(c, FIELD_PRESET, spc_preset_names);
        if (i < 0)
                return;
        c->object->preset = (enum spc_preset)i;
        if (i != SPC_PRESET_NONE && alias && *alias && !c->raw->pattern) {
                fail(c, FIELD_PRESET,
                        "namePreset makes the file's name of objectName, objectAlias is one "
                        "already");
                report_hint(c->report, "leave one of the two out");
        }
}

/* "rw-r--r--" as a number, or -1. */
static int mode_of_letters(const char *s)
{
        static const char letters[] = "rwxrwxrwx";
        int mode = 0;

        if (strlen(s) != 9)
                return -1;
        for (size_t i = 0; i < 9; i++) {
                if (s[i] != letters[i] && s[i] != '-')
                        return -1;
                mode = mode << 1 | (s[i] != '-');
        }
        return mode;
}

static void check_permission(struct checking *c)
{
        const char *text = value(c, FIELD_PERMISSION);

        c->object->mode = -1;
        if (!text || !*text)
                return;
        /* Go's ParseInt in base 8: a sign is allowed, no 0o, no underscores. */
        const char *p = text + (*text == '+' || *text == '-');
        int mode = 0;
        bool octal = *p != '\0';
        for (; *p >= '0' && *p <= '7'; p++)
                mode = MIN(mode * 8 + (*p - '0'), 01000);
        if (octal && !*p && mode <= 0777 && (*text != '-' || mode == 0)) {
                c->object->mode = mode;
                return;
        }
        fail(c, FIELD_PERMISSION,
                "invalid filePermission: %s, should be octal and between 0000 and 0777", CUT(text));
        const char *prefixed = startswith(text, "0o");
        if (mode_of_letters(text) >= 0)
                report_hint(c->report, "write %04o", (unsigned)mode_of_letters(text));
        else if (prefixed && *prefixed && strlen(prefixed) <= 4 &&
                 strspn(prefixed, "01234567") == strlen(prefixed))
                report_hint(c->report, "write 0%s", prefixed + (*prefixed == '0'));
        else if (octal && !*p && *text != '-')
                report_hint(c->report, "set-id and sticky bits mean nothing here: write 0%s",
                        text + MAX(strlen(text), (size_t)3) - 3);
}

static void check_history(struct checking *c)
{
        int32_t n = c->raw->history;

        c->object->history = 1;
        if (!c->raw->history_usable) {
                c->good = false;
                return;
        }
        if (n > SPC_HISTORY_MAX) {
                fail(c, FIELD_HISTORY, "%d versions are more than the %d that can be shown", n,
                        SPC_HISTORY_MAX);
                return;
        }
        c->object->history = MAX(n, 1);
}

/* Key Vault's own rule for names, which upstream leaves to the service. */
static bool is_vault_object_name(const char *s)
{
        size_t n = strlen(s);

        return n >= 1 && n <= 127 &&
               strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == n;
}

static void check_name(struct checking *c)
{
        const char *name = value(c, FIELD_NAME), *alias = value(c, FIELD_ALIAS);
        struct place p = place_of(c, FIELD_NAME);

        if (!name)
                return;
        if (!*name) {
                if (alias && !*alias)
                        fail(c, FIELD_NAME, "not set: file name must not be empty");
                else
                        fail(c, FIELD_NAME, "not set: parameter name cannot be empty");
                return;
        }
        if (!is_vault_object_name(name)) {
                report_warning(c->report, &p, "Key Vault has no object called \"%s\"", CUT(name));
                report_hint(c->report, "its names are 1 to 127 letters, digits and hyphens%s",
                        strchr(name, '/') ? "; sub-folders are written into objectAlias" : "");
        }
}

static void check_version(struct checking *c)
{
        const char *version = value(c, FIELD_VERSION);
        struct place p = place_of(c, FIELD_VERSION);

        if (!version || !streq(version, "latest"))
                return;
        /* A word for the newest version only where versions are listed. */
        if (c->object->history > 1) {
                c->object->version[0] = '\0';
                return;
        }
        report_warning(c->report, &p, "no version is called \"latest\", Key Vault will refuse it");
        report_hint(c->report, "leave objectVersion out: then the latest version is shown");
}

static void check_vault(struct checking *c)
{
        const char *name = value(c, FIELD_VAULT);
        struct place p = place_of(c, FIELD_VAULT);

        if (!isempty(name) && !validate_vault_name(c->report, &p, name))
                c->good = false;
}

static void check_optional(struct checking *c)
{
        const char *word = value(c, FIELD_OPTIONAL);

        if (word && scalar_parse_bool(word, &c->object->optional) < 0) {
                fail(c, FIELD_OPTIONAL, "\"%s\" is neither true nor false", CUT(word));
                report_hint(c->report, "write \"true\" or \"false\"");
        }
}

static int check_file(struct checking *c)
{
        const char *name = value(c, FIELD_NAME), *alias = value(c, FIELD_ALIAS);
        bool by_alias = alias && *alias;
        struct place p = place_of(c, by_alias ? FIELD_ALIAS : FIELD_NAME);
        const char *path = by_alias ? alias : name;
        _cleanup_free_ char *made = NULL;

        if (!alias || !path || !*path)
                return 0; /* said by check_name(), or when the field was read */
        if (!by_alias && c->object->preset != SPC_PRESET_NONE) {
                if (spc_preset_apply(c->object->preset, name, &made) < 0)
                        return -ENOMEM;
                path = made;
        }
        int r = path_check(c->report, &p, path, c->object, &c->object->file);
        if (r < 0)
                return r;
        if (!c->object->file)
                c->good = false;
        return 0;
}

static int copy_field(const struct checking *c, enum object_field f, char **ret)
{
        const char *s = value(c, f);

        *ret = strdup(s ? s : "");
        return *ret ? 0 : -ENOMEM;
}

int validate_object(
        struct report *r, const struct raw_object *raw, struct spc_object *ret, bool *ret_good)
{
        _cleanup_(spc_object_done) struct spc_object o = {.history = 1, .mode = -1};
        struct checking c = {.report = r, .raw = raw, .object = &o, .good = true};

        for (size_t i = 0; i < FIELD_HISTORY; i++)
                if (!raw->fields[i].value)
                        c.good = false;
        if (copy_field(&c, FIELD_NAME, &o.name) < 0 || copy_field(&c, FIELD_ALIAS, &o.alias) < 0 ||
                copy_field(&c, FIELD_VERSION, &o.version) < 0 ||
                copy_field(&c, FIELD_JSON_PATH, &o.json_path) < 0 ||
                copy_field(&c, FIELD_VAULT, &o.vault) < 0)
                return -ENOMEM;
        check_name(&c);
        check_type(&c);
        check_format(&c);
        check_encoding(&c);
        check_history(&c);
        check_version(&c);
        check_permission(&c);
        check_files(&c);
        check_preset(&c);
        check_vault(&c);
        check_optional(&c);
        if (check_json_path(&c) < 0 || check_file(&c) < 0)
                return -ENOMEM;
        report_position(r, raw->at, &o.line, &o.column);
        *ret = o;
        o = (struct spc_object){0};
        *ret_good = c.good;
        return 0;
}

bool validate_vault_name(struct report *r, const struct place *p, const char *name)
{
        size_t n = strlen(name);
        bool good = false;

        if (n < 3 || n > 24)
                report_error(r, p,
                        "failed to get vault: Invalid vault name: \"%s\", must be between 3 and 24 "
                        "chars",
                        CUT(name));
        else if (strspn(name, "-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") !=
                 n)
                report_error(r, p,
                        "failed to get vault: Invalid vault name: \"%s\", must match "
                        "[-a-zA-Z0-9]{3,24}",
                        CUT(name));
        else
                good = true;
        /* A URL or host name is what most put here by mistake. */
        const char *host = strstr(name, "://") ? strstr(name, "://") + 3 : name;
        size_t first = strcspn(host, ".");
        if (!good && host[first] == '.' && first >= 3 && first <= 24)
                report_hint(r, "the name alone, without the domain: %.*s", (int)first, host);
        return good;
}
