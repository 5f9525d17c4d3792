#include "vault/list.h"

#include <strings.h>

#include "vault/object.h"

void version_list_done(struct version_list *l)
{
        for (size_t i = 0; i < l->n; i++)
                free((char *)l->items[i].version);
        free(l->items);
        *l = (struct version_list){0};
}

static int add(struct version_list *l, const char *version, int64_t created)
{
        if (l->n == VAULT_VERSIONS_MAX) {
                l->full = true;
                return 0;
        }
        if (l->n == l->size) {
                size_t size = MAX(l->size * 2, (size_t)32);
                struct vault_version *items = reallocarray(l->items, size, sizeof(*items));
                if (!items)
                        return -ENOMEM;
                l->items = items;
                l->size = size;
        }
        char *copy = strdup(version);
        if (!copy)
                return -ENOMEM;
        l->items[l->n++] = (struct vault_version){.version = copy, .created = created};
        return 0;
}

static int add_item(void *userdata, const struct list_item *item, struct err *e)
{
        const cJSON *attributes = json_get(item->json, "attributes");
        int64_t created = 0;

        if (!attributes || !json_bool(attributes, "enabled", true) || !*item->version)
                return 0;
        int r = json_int64(attributes, "created", &created);
        if (r < 0 && r != -ENOENT)
                return err_set_cause(e, ERR_SERVICE, -EBADMSG,
                        "an item of the list has no usable time of creation");
        r = add(userdata, item->version, created);
        return r < 0 ? err_set_cause(e, ERR_LOCAL, r, "out of memory while reading a list") : 0;
}

static int read_item(enum vault_kind kind, const cJSON *json, struct list_item *ret, struct err *e)
{
        const char *id = json_string(json, kind == VAULT_KEY ? "kid" : "id");

        ret->json = json;
        if (!id || vault_id_split(kind, id, &ret->name, &ret->name_len, &ret->version) < 0)
                return err_set_cause(
                        e, ERR_SERVICE, -EBADMSG, "an item of the list has no usable id");
        return 0;
}

int list_page_read(enum vault_kind kind, const char *body, size_t len,
        int (*fn)(void *userdata, const struct list_item *item, struct err *e), void *userdata,
        char **ret_next, struct err *e)
{
        _cleanup_json_ cJSON *root = NULL;
        const cJSON *json;

        int r = json_parse(body, len, &root);
        const cJSON *value = r < 0 ? NULL : cJSON_GetObjectItemCaseSensitive(root, "value");
        if (!cJSON_IsArray(value) && !cJSON_IsNull(value))
                return err_set_cause(e, ERR_SERVICE, -EBADMSG, "the answer is not a JSON list");

        const cJSON *link = json_get(root, "nextLink");
        const char *next = link ? cJSON_GetStringValue(link) : "";
        if (!next || strlen(next) > LIST_LINK_MAX)
                return err_set_cause(
                        e, ERR_SERVICE, -EBADMSG, "the list's nextLink is not a usable string");
        cJSON_ArrayForEach (json, value) {
                struct list_item item;

                r = read_item(kind, json, &item, e);
                if (r == 0)
                        r = fn(userdata, &item, e);
                if (r < 0)
                        return r;
        }
        char *copy = *next ? strdup(next) : NULL;
        if (*next && !copy)
                return err_set_cause(e, ERR_LOCAL, -ENOMEM, "out of memory while reading a list");
        *ret_next = copy;
        return 0;
}

int version_list_add_page(struct version_list *l, enum vault_kind kind, const char *body,
        size_t len, char **ret_next, struct err *e)
{
        return list_page_read(kind, body, len, add_item, l, ret_next, e);
}

void version_list_sort(struct version_list *l)
{
        /* By insertion: it is stable, and the list is short and often nearly in order. */
        for (size_t i = 1; i < l->n; i++) {
                struct vault_version v = l->items[i];
                size_t k = i;
                for (; k > 0 && l->items[k - 1].created < v.created; k--)
                        l->items[k] = l->items[k - 1];
                l->items[k] = v;
        }
}

/* Host and port of an https URL, without a port that is the default. */
static const char *authority(const char *url, size_t *ret_len)
{
        if (strncasecmp(url, "https://", strlen("https://")) != 0)
                return NULL;
        const char *p = url + strlen("https://");
        size_t len = strcspn(p, "/?#\\");

        if (len == 0 || memchr(p, '@', len))
                return NULL;
        if (len > 4 && strncmp(p + len - 4, ":443", 4) == 0)
                len -= 4;
        *ret_len = len;
        return p;
}

bool same_origin(const char *a, const char *b)
{
        size_t a_len, b_len;
        const char *x = authority(a, &a_len), *y = authority(b, &b_len);

        return x && y && a_len == b_len && strncasecmp(x, y, a_len) == 0;
}
