#include "mount/vault_urls.h"

#include "auth/cloud.h"

#define VAULTS_MAX (2 * SPC_OBJECTS_MAX)

void vault_urls_done(struct vault_urls *u)
{
        for (size_t i = 0; i < u->n; i++) {
                free(u->list[i].name);
                free(u->list[i].url);
        }
        free(u->list);
        *u = (struct vault_urls){0};
}

static int add(struct vault_urls *u, const char *name, char *url)
{
        struct vault_url *bigger = reallocarray(u->list, u->n + 1, sizeof *bigger);
        char *copy = strdup(name);

        if (bigger)
                u->list = bigger;
        if (!bigger || !copy) {
                free(copy);
                return -ENOMEM;
        }
        bigger[u->n++] = (struct vault_url){copy, url};
        return 0;
}

static bool has(const struct vault_urls *u, const char *name)
{
        for (size_t i = 0; i < u->n; i++)
                if (streq(u->list[i].name, name))
                        return true;
        return false;
}

static int want(struct vault_urls *u, const struct spc_class *class, const char *name,
        const char *override, const struct cloud *cloud, struct err *e)
{
        _cleanup_free_ char *url = NULL;

        if (isempty(name) || streq(name, class->vault) || has(u, name))
                return 0;
        if (override && !strstr(override, "{vault}")) {
                err_set_cause(e, ERR_USAGE, -EINVAL,
                        "the class names the vaults %s and %s, and --vault-url %s is only one",
                        class->vault, name, override);
                err_hint(e, "write {vault} into it where a vault's name belongs");
                return -EINVAL;
        }
        int r = vault_make_url(name, cloud->vault_suffix, override, &url, e);
        if (r < 0)
                return r;
        r = add(u, name, url);
        if (r < 0)
                return err_set(e, r, "out of memory");
        url = NULL;
        return 0;
}

int vault_urls_resolve(
        const struct spc_class *class, const char *override, struct vault_urls *ret, struct err *e)
{
        _cleanup_vault_urls_ struct vault_urls u = {0};
        struct cloud cloud = {0};

        int r = cloud_find(class->cloud, class->cloud_env_file, &cloud, e);
        for (size_t i = 0; i < class->n_objects && r == 0; i++)
                r = want(&u, class, class->objects[i].vault, override, &cloud, e);
        for (size_t i = 0; i < class->n_selectors && r == 0; i++)
                r = want(&u, class, class->selectors[i].like.vault, override, &cloud, e);
        cloud_done(&cloud);
        if (r < 0)
                return r;
        *ret = u;
        u = (struct vault_urls){0};
        return 0;
}

cJSON *vault_urls_format(const struct vault_urls *u)
{
        _cleanup_json_ cJSON *j = cJSON_CreateArray();

        for (size_t i = 0; j && i < u->n; i++) {
                cJSON *o = cJSON_CreateObject();

                cJSON_AddItemToArray(j, o);
                if (!cJSON_AddStringToObject(o, "name", u->list[i].name) ||
                        !cJSON_AddStringToObject(o, "url", u->list[i].url))
                        return NULL;
        }
        return TAKE_PTR(j);
}

int vault_urls_parse(const cJSON *j, struct vault_urls *ret)
{
        _cleanup_vault_urls_ struct vault_urls u = {0};
        const cJSON *item;

        if (!cJSON_IsArray(j) || cJSON_GetArraySize(j) > VAULTS_MAX)
                return -EBADMSG;
        cJSON_ArrayForEach (item, j) {
                const char *name = json_string(item, "name"), *url = json_string(item, "url");
                char *copy = url ? strdup(url) : NULL;
                int r = name && copy ? add(&u, name, copy) : url && name ? -ENOMEM : -EBADMSG;

                if (r < 0) {
                        free(copy);
                        return r;
                }
        }
        *ret = u;
        u = (struct vault_urls){0};
        return 0;
}

void vault_set_done(struct vault_set *s)
{
        for (size_t i = 0; i < s->n; i++)
                vault_unref(s->list[i].vault);
        free(s->list);
        *s = (struct vault_set){0};
}

int vault_urls_open(const struct vault_urls *u, const struct identity *identity,
        struct auths *auths, struct vaults *vaults, struct vault_set *ret, struct err *e)
{
        struct vault_set s = {.list = calloc(u->n + 1, sizeof *s.list)};
        struct identity there = *identity; /* borrows everything */
        int r = s.list ? 0 : err_set(e, -ENOMEM, "out of memory");

        for (size_t i = 0; i < u->n && r == 0; i++) {
                there.vault_url = u->list[i].url;
                s.list[i].name = u->list[i].name;
                r = identity_open(&there, auths, vaults, &s.list[i].vault, e);
                s.n += r == 0;
        }
        if (r < 0) {
                vault_set_done(&s);
                return r;
        }
        *ret = s;
        return 0;
}
