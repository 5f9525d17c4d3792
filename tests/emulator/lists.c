/* Lists and their pages.
 *
 * Names are in the order of their upper-case form and versions in that of their ids, as the service
 * has them: versions are in no order of time. A page's mark holds the key of the next item, so a
 * list that changes between two pages loses nothing that stayed. */

#include <stdio.h>
#include <strings.h>

#include "base/wipe.h"
#include "tests/emulator/call.h"

#define PAGE_MAX 25

struct item {
        struct object *object;
        struct version *version;
        const char *key; /* what the list is sorted by */
};

static int compare_items(const void *a, const void *b)
{
        return strcasecmp(((const struct item *)a)->key, ((const struct item *)b)->key);
}

/* --- marks --- */

/* {"NextMarker":"2!LEN!BASE64","TargetLocation":0} in base64url, BASE64 of "LEN!KEY!...". */
static char *make_mark(const struct call *c, enum kind kind, const char *key)
{
        _cleanup_free_ char *inner = NULL, *encoded = NULL, *json = NULL;

        if (xasprintf(&inner, "%06zu!%s/%s!000028!9999-12-31T23:59:59.9999999Z!",
                    strlen(kind_word(kind)) + 1 + strlen(key), kind_word(kind), key) < 0)
                return NULL;
        encoded = base64_encode(inner, strlen(inner));
        if (!encoded)
                return NULL;
        for (char *p = encoded; *p; p++)
                if (*p == '=')
                        *p = '-';
        if (xasprintf(&json, "{\"NextMarker\":\"2!%zu!%s\",\"TargetLocation\":0}", strlen(encoded),
                    encoded) < 0)
                return NULL;
        return base64url_encode(json, strlen(json));
}

/* The key in a mark; NULL when it is none of ours. */
static char *read_mark(const char *mark)
{
        _cleanup_free_ unsigned char *json = NULL, *inner = NULL;
        _cleanup_json_ cJSON *j = NULL;
        size_t len = 0;

        if (base64_decode(mark, &json, &len) < 0 || json_parse((const char *)json, len, &j) < 0)
                return NULL;
        const char *next = json_string(j, "NextMarker");
        next = next ? strrchr(next, '!') : NULL;
        if (!next)
                return NULL;
        _cleanup_free_ char *encoded = strdup(next + 1);
        if (!encoded)
                return NULL;
        encoded[strcspn(encoded, "-")] = '\0';
        if (base64_decode(encoded, &inner, &len) < 0)
                return NULL;
        char *key = strchr((char *)inner, '/');
        char *end = key ? strchr(key, '!') : NULL;
        return end ? strndup(key + 1, (size_t)(end - key - 1)) : NULL;
}

/* --- pages --- */

typedef void (*write_item_fn)(struct out *o, const struct call *c, const struct item *i);

static int64_t page_size(struct call *c)
{
        const char *text = request_param(c->request, "maxresults");
        uint64_t n = 0;

        if (!text)
                return MIN(c->emu->settings.page_size, (int64_t)PAGE_MAX);
        if (parse_u64(text, PAGE_MAX, &n) < 0 || n == 0) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "maxresults is not a number between 1 and %d", PAGE_MAX);
                return -1;
        }
        return (int64_t)n;
}

static void write_next_link(struct out *o, struct call *c, enum kind kind, const char *key)
{
        _cleanup_free_ char *mark = make_mark(c, kind, key);
        const char *max = request_param(c->request, "maxresults");
        _cleanup_free_ char *path = NULL;

        for (size_t i = 0; i < c->n_segments; i++) {
                char *longer = NULL;
                if (xasprintf(&longer, "%s/%s", path ? path : "", c->segments[i]) < 0)
                        break;
                free(path);
                path = longer;
        }
        if (!mark || !path) {
                o->error = -ENOMEM;
                return;
        }
        out_memberf(o, "nextLink", "%s%s?api-version=%s&$skiptoken=%s%s%s", c->link_base, path,
                c->api_version, mark, max ? "&maxresults=" : "", max ? max : "");
}

static void answer_page(
        struct call *c, enum kind kind, struct item *items, size_t n, write_item_fn write)
{
        const char *mark = request_param(c->request, "$skiptoken");
        _cleanup_free_ char *from = NULL;
        _cleanup_out_ struct out o = {0};
        size_t first = 0;

        int64_t size = page_size(c);
        if (size < 0)
                return;
        if (mark) {
                from = read_mark(mark);
                if (!from) {
                        call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                                "The skiptoken is not valid");
                        return;
                }
        }
        if (n > 1)
                qsort(items, n, sizeof *items, compare_items);
        while (from && first < n && strcasecmp(items[first].key, from) < 0)
                first++;
        size_t end = MIN(n, first + (size_t)size);

        out_open(&o, '{');
        out_key(&o, "value");
        out_open(&o, '[');
        for (size_t i = first; i < end; i++) {
                out_open(&o, '{');
                write(&o, c, &items[i]);
                out_close(&o, '}');
        }
        out_close(&o, ']');
        if (end < n)
                write_next_link(&o, c, kind, items[end].key);
        else
                out_member(&o, "nextLink", NULL);
        out_close(&o, '}');
        answer_out(c->answer, MHD_HTTP_OK, &o);
}

/* --- what is listed --- */

static void write_listed(struct out *o, const struct call *c, const struct item *i, bool versioned)
{
        switch (i->object->kind) {
        case KIND_SECRET:
                write_secret(o, c, i->object, i->version, versioned, false);
                break;
        case KIND_KEY:
                write_key_item(o, c, i->object, i->version, versioned);
                break;
        default:
                write_certificate_item(o, c, i->object, i->version, versioned);
                break;
        }
}

static void write_newest(struct out *o, const struct call *c, const struct item *i)
{
        write_listed(o, c, i, false);
}

static void write_version(struct out *o, const struct call *c, const struct item *i)
{
        write_listed(o, c, i, true);
}

static void write_deleted_item(struct out *o, const struct call *c, const struct item *i)
{
        write_deletion(o, c, i->object);
        write_newest(o, c, i);
}

static void list_all(struct call *c, enum kind kind, bool deleted, write_item_fn write)
{
        bool pending = streq_ptr(request_param(c->request, "includePending"), "true");
        size_t n = 0;

        for (struct object *o = c->vault->objects; o; o = o->next)
                n++;
        _cleanup_free_ struct item *items = calloc(n + 1, sizeof *items);
        if (!items) {
                call_no_memory(c);
                return;
        }
        n = 0;
        for (struct object *o = c->vault->objects; o; o = o->next) {
                if (o->kind != kind || (o->deleted != NO_TIME) != deleted || !o->versions)
                        continue;
                if (deleted && monotonic_ms() < o->settles_ms)
                        continue;
                if (kind == KIND_CERTIFICATE && !o->versions->der && !pending)
                        continue;
                items[n++] = (struct item){o, o->versions, o->name};
        }
        answer_page(c, kind, items, n, write);
}

void list_objects(struct call *c, enum kind kind)
{
        static const char *const names[] = {"secrets.list", "keys.list", "certificates.list"};

        c->request->operation = names[kind];
        if (call_permitted(c, kind, OP_LIST, NULL))
                list_all(c, kind, false, write_newest);
}

void list_deleted(struct call *c, enum kind kind)
{
        static const char *const names[] = {
                "deletedsecrets.list", "deletedkeys.list", "deletedcertificates.list"};

        c->request->operation = names[kind];
        if (call_permitted(c, kind, OP_LIST, NULL))
                list_all(c, kind, true, write_deleted_item);
}

void list_versions(struct call *c, enum kind kind, const char *name)
{
        static const char *const names[] = {
                "secrets.versions", "keys.versions", "certificates.versions"};
        size_t n = 0;

        c->request->operation = names[kind];
        if (!call_permitted(c, kind, OP_LIST, name))
                return;
        /* A name that is not there has no versions; the service does not answer 404. */
        struct object *obj = vault_find_live(c->vault, kind, name);
        for (struct version *v = obj ? obj->versions : NULL; v; v = v->next)
                n++;
        _cleanup_free_ struct item *items = calloc(n + 1, sizeof *items);
        if (!items) {
                call_no_memory(c);
                return;
        }
        n = 0;
        for (struct version *v = obj ? obj->versions : NULL; v; v = v->next)
                items[n++] = (struct item){obj, v, v->id};
        answer_page(c, kind, items, n, write_version);
}
