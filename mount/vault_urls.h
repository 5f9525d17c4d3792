/* The vaults of a class beside its own: objects and selectors may name another one (keyvaultName).
 *
 * Resolved like the identity (mount/identity.h), to which all of them are opened: one name, one
 * URL, by the same cloud or the same --vault-url. A worker gets names and URLs.
 */
#pragma once

#include "base/json.h"
#include "cache/view.h"
#include "mount/identity.h"

struct vault_url {
        char *name, *url;
};
struct vault_urls {
        struct vault_url *list;
        size_t n;
};
void vault_urls_done(struct vault_urls *u);
#define _cleanup_vault_urls_ _cleanup_(vault_urls_done)

/* One for each name that is not the class's own; override: as vault_make_url() has it. */
int vault_urls_resolve(
        const struct spc_class *class, const char *override, struct vault_urls *ret, struct err *e);

/* An array of {"name","url"}; NULL without memory. */
cJSON *vault_urls_format(const struct vault_urls *u);
int vault_urls_parse(const cJSON *j, struct vault_urls *ret); /* -EBADMSG, -ENOMEM */

/* All of them opened, as struct view_config takes them; the names are those of `u`. */
struct vault_set {
        struct view_vault *list;
        size_t n;
};
int vault_urls_open(const struct vault_urls *u, const struct identity *identity,
        struct auths *auths, struct vaults *vaults, struct vault_set *ret, struct err *e);
void vault_set_done(struct vault_set *s);
