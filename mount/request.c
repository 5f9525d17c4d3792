#include "mount/request.h"

#include "base/jsonpath.h"
#include "base/selinux.h"

void mount_request_done(struct mount_request *r)
{
        free(r->mountpoint);
        spc_class_free(r->class);
        identity_done(&r->identity);
        vault_urls_done(&r->vaults);
        free(r->note);
        free(r->selinux_context);
        *r = (struct mount_request){0};
}

/* --- the class --- */

static cJSON *format_object(const struct spc_object *o)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();

        if (!cJSON_AddStringToObject(j, "name", o->name) ||
                !cJSON_AddStringToObject(j, "alias", o->alias) ||
                !cJSON_AddStringToObject(j, "version", o->version) ||
                !cJSON_AddStringToObject(j, "vault", o->vault) ||
                !cJSON_AddStringToObject(j, "file", o->file) ||
                !cJSON_AddBoolToObject(j, "optional", o->optional) ||
                !cJSON_AddNumberToObject(j, "type", o->type) ||
                !cJSON_AddNumberToObject(j, "format", o->format) ||
                !cJSON_AddNumberToObject(j, "encoding", o->encoding) ||
                !cJSON_AddNumberToObject(j, "files", o->files) ||
                !cJSON_AddNumberToObject(j, "preset", o->preset) ||
                !cJSON_AddStringToObject(j, "json_path", o->json_path) ||
                !cJSON_AddNumberToObject(j, "mode", o->mode) ||
                !cJSON_AddNumberToObject(j, "history", o->history) ||
                !cJSON_AddNumberToObject(j, "line", o->line) ||
                !cJSON_AddNumberToObject(j, "column", o->column))
                return NULL;
        return TAKE_PTR(j);
}

static cJSON *format_selector(const struct spc_selector *s)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();

        if (!cJSON_AddStringToObject(j, "prefix", s->prefix) ||
                !cJSON_AddStringToObject(j, "glob", s->glob) ||
                !cJSON_AddStringToObject(j, "tag", s->tag) ||
                !cJSON_AddNumberToObject(j, "max", s->max))
                return NULL;
        cJSON *like = format_object(&s->like);
        if (!like)
                return NULL;
        cJSON_AddItemToObject(j, "like", like);
        return TAKE_PTR(j);
}

static cJSON *format_class(const struct spc_class *c)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();

        if (!cJSON_AddStringToObject(j, "name", c->name) ||
                !cJSON_AddStringToObject(j, "namespace", c->namespace) ||
                !cJSON_AddStringToObject(j, "vault", c->vault) ||
                !cJSON_AddStringToObject(j, "tenant", c->tenant) ||
                !cJSON_AddStringToObject(j, "client_id", c->client_id) ||
                !cJSON_AddStringToObject(j, "user_assigned_id", c->user_assigned_id) ||
                !cJSON_AddStringToObject(j, "cloud", c->cloud) ||
                !cJSON_AddStringToObject(j, "cloud_env_file", c->cloud_env_file) ||
                !cJSON_AddNumberToObject(j, "identity", c->identity))
                return NULL;
        cJSON *objects = cJSON_AddArrayToObject(j, "objects");
        for (size_t i = 0; objects && i < c->n_objects; i++) {
                cJSON *o = format_object(&c->objects[i]);
                if (!o)
                        return NULL;
                cJSON_AddItemToArray(objects, o);
        }
        cJSON *selectors = cJSON_AddArrayToObject(j, "selectors");
        for (size_t i = 0; selectors && i < c->n_selectors; i++) {
                cJSON *s = format_selector(&c->selectors[i]);
                if (!s)
                        return NULL;
                cJSON_AddItemToArray(selectors, s);
        }
        return objects && selectors ? TAKE_PTR(j) : NULL;
}

static int get_string(const cJSON *j, const char *name, char **ret)
{
        const char *s = json_string(j, name);

        if (!s)
                return -EBADMSG;
        *ret = strdup(s);
        return *ret ? 0 : -ENOMEM;
}

static int get_number(const cJSON *j, const char *name, int64_t min, int64_t max, int64_t *ret)
{
        int64_t v;

        if (json_int64(j, name, &v) < 0 || v < min || v > max)
                return -EBADMSG;
        *ret = v;
        return 0;
}

/* Left alone when it is not there: the state of a mount may be of an earlier version. */
static int get_later_number(const cJSON *j, const char *name, int64_t max, int64_t *ret)
{
        return json_get(j, name) ? get_number(j, name, 0, max, ret) : 0;
}

static int get_later_string(const cJSON *j, const char *name, char **ret)
{
        if (json_get(j, name))
                return get_string(j, name, ret);
        *ret = strdup("");
        return *ret ? 0 : -ENOMEM;
}

/* Relative, no empty, "." or ".." part: the promise of spc_object.file, checked again because the
 * names become a tree. */
static bool is_clean_path(const char *path)
{
        if (strlen(path) > SPC_PATH_MAX)
                return false;
        for (const char *p = path;; p++) {
                size_t n = strcspn(p, "/");

                if (n == 0 || n > SPC_NAME_MAX || (n == 1 && p[0] == '.') ||
                        (n == 2 && p[0] == '.' && p[1] == '.'))
                        return false;
                p += n;
                if (!*p)
                        return true;
        }
}

/* chosen: what a selector's objects are shown as; they have neither name nor file yet. */
static int parse_object(const cJSON *j, bool chosen, struct spc_object *o)
{
        int64_t type = 0, format = 0, encoding = 0, files = 0, preset = 0, mode = 0, history = 0,
                line = 0, column = 0;

        int r = get_string(j, "name", &o->name);
        if (r == 0)
                r = get_string(j, "alias", &o->alias);
        if (r == 0)
                r = get_string(j, "version", &o->version);
        if (r == 0)
                r = get_string(j, "vault", &o->vault);
        if (r == 0)
                r = get_string(j, "file", &o->file);
        if (r == 0)
                r = get_later_string(j, "json_path", &o->json_path);
        if (r == 0 && strlen(o->json_path) > JSONPATH_MAX)
                r = -EBADMSG;
        if (r == 0 && !chosen && (!*o->name || !is_clean_path(o->file)))
                r = -EBADMSG;
        if (r == 0)
                r = get_number(j, "type", SPC_SECRET, SPC_CERT, &type);
        if (r == 0)
                r = get_number(j, "format", SPC_FORMAT_DEFAULT, SPC_FORMAT_PFX, &format);
        if (r == 0)
                r = get_number(j, "encoding", SPC_ENCODING_UTF8, SPC_ENCODING_HEX, &encoding);
        if (r == 0)
                r = get_later_number(j, "files", SPC_FILES_FOLDER, &files);
        if (r == 0)
                r = get_later_number(j, "preset", SPC_PRESET_UPPER_SNAKE, &preset);
        if (r == 0)
                r = get_number(j, "mode", -1, 0777, &mode);
        if (r == 0)
                r = get_number(j, "history", 0, SPC_HISTORY_MAX, &history);
        if (r == 0)
                r = get_number(j, "line", 0, UINT32_MAX, &line);
        if (r == 0)
                r = get_number(j, "column", 0, UINT32_MAX, &column);
        if (r < 0)
                return r;
        o->type = (enum spc_type)type;
        o->format = (enum spc_format)format;
        o->encoding = (enum spc_encoding)encoding;
        o->files = (enum spc_files)files;
        o->preset = (enum spc_preset)preset;
        o->optional = json_bool(j, "optional", false);
        o->mode = (int)mode;
        o->history = (int)history;
        o->line = (unsigned)line;
        o->column = (unsigned)column;
        return 0;
}

static int parse_selector(const cJSON *j, struct spc_selector *s)
{
        int64_t max = 0;

        int r = parse_object(json_get(j, "like"), true, &s->like);
        if (r == 0)
                r = get_string(j, "prefix", &s->prefix);
        if (r == 0)
                r = get_string(j, "glob", &s->glob);
        if (r == 0)
                r = get_string(j, "tag", &s->tag);
        if (r == 0)
                r = get_number(j, "max", 1, SPC_OBJECTS_MAX, &max);
        s->max = (unsigned)max;
        return r;
}

/* The list of that name, bounded; *ret_n elements. later: none when it is not there. */
static int get_list(const cJSON *j, const char *name, bool later, const cJSON **ret, size_t *ret_n)
{
        const cJSON *list = json_get(j, name);
        int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : later && !list ? 0 : -1;

        if (n < 0 || n > SPC_OBJECTS_MAX)
                return -EBADMSG;
        *ret = list;
        *ret_n = (size_t)n;
        return 0;
}

static int parse_class(const cJSON *j, struct spc_class **ret)
{
        _cleanup_(spc_class_freep) struct spc_class *c = calloc(1, sizeof *c);
        if (!c)
                return -ENOMEM;
        const struct {
                const char *name;
                char **field;
        } strings[] = {
                {"name", &c->name},
                {"namespace", &c->namespace},
                {"vault", &c->vault},
                {"tenant", &c->tenant},
                {"client_id", &c->client_id},
                {"user_assigned_id", &c->user_assigned_id},
                {"cloud", &c->cloud},
                {"cloud_env_file", &c->cloud_env_file},
        };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ELEMENTSOF(strings); i++)
                r = get_string(j, strings[i].name, strings[i].field);
        int64_t identity = 0;
        if (r == 0)
                r = get_number(
                        j, "identity", SPC_IDENTITY_DEFAULT, SPC_IDENTITY_TOKEN_PROXY, &identity);
        if (r < 0)
                return r;
        c->identity = (enum spc_identity)identity;

        const cJSON *objects = NULL, *selectors = NULL, *item;
        size_t n = 0, n_selectors = 0;
        r = get_list(j, "objects", false, &objects, &n);
        if (r == 0)
                r = get_list(j, "selectors", true, &selectors, &n_selectors);
        if (r < 0)
                return r;
        c->objects = calloc(n + 1, sizeof *c->objects);
        c->selectors = calloc(n_selectors + 1, sizeof *c->selectors);
        if (!c->objects || !c->selectors)
                return -ENOMEM;
        cJSON_ArrayForEach (item, objects) {
                /* counted first: what is half parsed is freed as well */
                r = parse_object(item, false, &c->objects[c->n_objects++]);
                if (r < 0)
                        return r;
        }
        cJSON_ArrayForEach (item, selectors) {
                r = parse_selector(item, &c->selectors[c->n_selectors++]);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(c);
        return 0;
}

/* --- the request --- */

static bool format_policy(cJSON *j, const struct view_policy *p)
{
        return cJSON_AddBoolToObject(j, "remove_deleted", p->remove_deleted) &&
               cJSON_AddBoolToObject(j, "remove_disabled", p->remove_disabled) &&
               cJSON_AddBoolToObject(j, "remove_expired", p->remove_expired) &&
               cJSON_AddBoolToObject(j, "remove_forbidden", p->remove_forbidden);
}

static struct view_policy parse_policy(const cJSON *j)
{
        return (struct view_policy){
                .remove_deleted = json_bool(j, "remove_deleted", false),
                .remove_disabled = json_bool(j, "remove_disabled", false),
                .remove_expired = json_bool(j, "remove_expired", false),
                .remove_forbidden = json_bool(j, "remove_forbidden", false),
        };
}

cJSON *mount_request_format(const struct mount_request *r)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();
        usec_t poll_ms = r->poll_interval / USEC_PER_MSEC;

        if (!cJSON_AddStringToObject(j, "type", "mount") ||
                !cJSON_AddStringToObject(j, "mountpoint", r->mountpoint) ||
                !cJSON_AddNumberToObject(j, "poll_interval_ms", (double)poll_ms) ||
                !cJSON_AddNumberToObject(j, "uid", r->uid) ||
                !cJSON_AddNumberToObject(j, "gid", r->gid) ||
                !cJSON_AddNumberToObject(j, "mode", r->mode) ||
                !cJSON_AddBoolToObject(j, "allow_other", r->allow_other) ||
                !cJSON_AddBoolToObject(j, "xattr", r->xattr) ||
                !cJSON_AddBoolToObject(j, "audit", r->audit) ||
                !cJSON_AddBoolToObject(j, "cert_key_files", r->shape.cert_key_files) ||
                !cJSON_AddBoolToObject(j, "keep_chain_order", r->shape.keep_chain_order) ||
                !cJSON_AddBoolToObject(j, "secret_memory_required", r->secret_memory_required))
                return NULL;
        if (r->note && !cJSON_AddStringToObject(j, "note", r->note))
                return NULL;
        if (r->selinux_context &&
                !cJSON_AddStringToObject(j, "selinux_context", r->selinux_context))
                return NULL;
        cJSON *class = format_class(r->class);
        if (!class)
                return NULL;
        cJSON_AddItemToObject(j, "class", class);
        cJSON *identity = identity_format(&r->identity);
        if (!identity)
                return NULL;
        cJSON_AddItemToObject(j, "identity", identity);
        cJSON *vaults = vault_urls_format(&r->vaults);
        if (!vaults)
                return NULL;
        cJSON_AddItemToObject(j, "vaults", vaults);
        return format_policy(j, &r->policy) ? TAKE_PTR(j) : NULL;
}

int mount_request_parse(const cJSON *j, struct mount_request *ret, struct err *e)
{
        _cleanup_mount_request_ struct mount_request q = {0};
        int64_t poll = 0, uid = 0, gid = 0, mode = 0;

        int r = get_string(j, "mountpoint", &q.mountpoint);
        if (r == 0 && q.mountpoint[0] != '/')
                r = -EBADMSG;
        if (r == 0)
                r = get_number(j, "poll_interval_ms", 0,
                        (int64_t)(REQUEST_POLL_MAX / USEC_PER_MSEC), &poll);
        if (r == 0)
                r = get_number(j, "uid", 0, UINT32_MAX - 1, &uid);
        if (r == 0)
                r = get_number(j, "gid", 0, UINT32_MAX - 1, &gid);
        if (r == 0)
                r = get_number(j, "mode", 0, 0777, &mode);
        if (r == 0)
                r = parse_class(json_get(j, "class"), &q.class);
        if (r == 0 && json_get(j, "note"))
                r = get_string(j, "note", &q.note);
        if (r == 0 && json_get(j, "selinux_context")) {
                r = get_string(j, "selinux_context", &q.selinux_context);
                if (r == 0 && !selinux_context_is_plain(q.selinux_context))
                        r = -EBADMSG;
        }
        if (r == 0 && json_get(j, "vaults"))
                r = vault_urls_parse(json_get(j, "vaults"), &q.vaults);
        if (r < 0)
                return err_set(e, r, "the mount request cannot be read: %s", strerror(-r));
        r = identity_parse(json_get(j, "identity"), &q.identity, e);
        if (r < 0)
                return r;
        q.poll_interval = (usec_t)poll * USEC_PER_MSEC;
        q.uid = (uid_t)uid;
        q.gid = (gid_t)gid;
        q.mode = (mode_t)mode;
        q.policy = parse_policy(j);
        q.allow_other = json_bool(j, "allow_other", false);
        q.xattr = json_bool(j, "xattr", false);
        q.audit = json_bool(j, "audit", false);
        q.shape.cert_key_files = json_bool(j, "cert_key_files", false);
        q.shape.keep_chain_order = json_bool(j, "keep_chain_order", false);
        q.secret_memory_required = json_bool(j, "secret_memory_required", false);
        *ret = q;
        q = (struct mount_request){0};
        return 0;
}
