/* What a vault lists of one kind of object. */
#include "vault/list.h"

struct vault_names *vault_names_ref(struct vault_names *n)
{
        if (n)
                n->refs++;
        return n;
}

struct vault_names *vault_names_unref(struct vault_names *n)
{
        if (!n || --n->refs > 0)
                return NULL;
        for (size_t i = 0; i < n->n; i++) {
                for (size_t k = 0; k < n->list[i].n_tags; k++) {
                        free(n->list[i].tags[k].name);
                        free(n->list[i].tags[k].value);
                }
                free(n->list[i].tags);
                free(n->list[i].name);
        }
        free(n->list);
        free(n);
        return NULL;
}

void name_list_done(struct name_list *l)
{
        vault_names_unref(l->names);
        *l = (struct name_list){0};
}

static int memory(struct err *e)
{
        return err_set_cause(e, ERR_LOCAL, -ENOMEM, "out of memory while reading a list");
}

static int too_much(struct err *e)
{
        err_set_cause(e, ERR_UNSUPPORTED, -E2BIG,
                "the vault has more than %d objects of this type, or more than %zu MiB of names and "
                "tags",
                VAULT_NAMES_MAX, VAULT_NAMES_BYTES_MAX >> 20);
        err_hint(e, "name the objects one by one instead of selecting them");
        return -E2BIG;
}

static int make_room(struct name_list *l)
{
        if (!l->names) {
                l->names = calloc(1, sizeof(*l->names));
                if (!l->names)
                        return -ENOMEM;
                l->names->refs = 1;
        }
        if (l->names->n < l->size)
                return 0;
        size_t size = MAX(l->size * 2, (size_t)32);
        struct vault_listed *list = reallocarray(l->names->list, size, sizeof(*list));
        if (!list)
                return -ENOMEM;
        l->names->list = list;
        l->size = size;
        return 0;
}

/* A tag whose value is no string is none that could be asked for. */
static int add_tags(struct name_list *l, struct vault_listed *to, const cJSON *tags, struct err *e)
{
        const cJSON *tag;
        size_t n = 0;

        cJSON_ArrayForEach (tag, tags)
                n++;
        if (n == 0 || !cJSON_IsObject(tags))
                return 0;
        to->tags = calloc(n, sizeof(*to->tags));
        if (!to->tags)
                return memory(e);
        cJSON_ArrayForEach (tag, tags) {
                const char *value = cJSON_GetStringValue(tag);

                if (!value || !tag->string)
                        continue;
                l->bytes += strlen(tag->string) + strlen(value);
                if (l->bytes > VAULT_NAMES_BYTES_MAX)
                        return too_much(e);
                struct vault_tag *into = &to->tags[to->n_tags++];
                into->name = strdup(tag->string);
                into->value = strdup(value);
                if (!into->name || !into->value)
                        return memory(e);
        }
        return 0;
}

static int add_item(void *userdata, const struct list_item *item, struct err *e)
{
        struct name_list *l = userdata;

        l->bytes += item->name_len;
        if (++l->seen > VAULT_NAMES_MAX || l->bytes > VAULT_NAMES_BYTES_MAX)
                return too_much(e);
        if (!json_bool(json_get(item->json, "attributes"), "enabled", true))
                return 0;
        if (make_room(l) < 0)
                return memory(e);
        struct vault_listed *into = &l->names->list[l->names->n];
        *into = (struct vault_listed){.name = strndup(item->name, item->name_len)};
        if (!into->name)
                return memory(e);
        l->names->n++; /* what is half filled is freed as well */
        return add_tags(l, into, json_get(item->json, "tags"), e);
}

int name_list_add_page(struct name_list *l, enum vault_kind kind, const char *body, size_t len,
        char **ret_next, struct err *e)
{
        /* a list without names is one, too */
        return make_room(l) < 0 ? memory(e)
                                : list_page_read(kind, body, len, add_item, l, ret_next, e);
}
