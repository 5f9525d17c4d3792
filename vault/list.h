/* Lists of versions: pages of them, and the order they are wanted in. Lists of names: their pages.
 */
#pragma once

#include "base/json.h"
#include "vault/vault.h"

#define LIST_PAGES_MAX 200
#define LIST_LINK_MAX ((size_t)8192)

struct version_list {
        struct vault_version *items; /* `version` is owned */
        size_t n, size;
        bool full; /* VAULT_VERSIONS_MAX was met: there were more */
};

void version_list_done(struct version_list *l);

/* Adds the enabled versions of one page; those without attributes are left out, as upstream. Else
 * as list_page_read(). */
int version_list_add_page(struct version_list *l, enum vault_kind kind, const char *body,
        size_t len, char **ret_next, struct err *e);

/* Newest first; those of the same second stay in the order of the service. */
void version_list_sort(struct version_list *l);

/* An item of any list; name and version ("" for none) are parts of its id. */
struct list_item {
        const cJSON *json;
        const char *name, *version;
        size_t name_len;
};
/* Reads one page of any list, item by item, until fn fails. *ret_next is the page's nextLink or
 * NULL. "value" may be null (services before mid 2019), pages may be short or empty anywhere.
 * -EBADMSG with the reason in e. */
int list_page_read(enum vault_kind kind, const char *body, size_t len,
        int (*fn)(void *userdata, const struct list_item *item, struct err *e), void *userdata,
        char **ret_next, struct err *e);

/* Whether both are https URLs of the same host and port, as a nextLink and its vault have to be;
 * 443 is the port where none is given. A URL with a user in it is of no origin. */
bool same_origin(const char *a, const char *b);

/* --- vault/names.c --- */

struct name_list {
        struct vault_names *names;
        size_t size, bytes, seen; /* seen: disabled ones too */
};
void name_list_done(struct name_list *l);
/* As version_list_add_page(). -E2BIG beyond VAULT_NAMES_MAX and VAULT_NAMES_BYTES_MAX. */
int name_list_add_page(struct name_list *l, enum vault_kind kind, const char *body, size_t len,
        char **ret_next, struct err *e);
