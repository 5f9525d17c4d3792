#include "csi/volumes_private.h"

struct volume *volumes_at(const struct volumes *v, const char *path)
{
        for (struct volume *volume = v->list; volume; volume = volume->next)
                if (streq(volume->path, path))
                        return volume;
        return NULL;
}

bool volumes_refuse_republish(
        struct volumes *v, const char *path, const char *volume_id, const struct err *error)
{
        struct volume *volume = volumes_at(v, path);

        if (!volume || volume->state != MOUNTED || !streq(volume->who.volume_id, volume_id))
                return false;
        volume_news_republished(&volume->news, error);
        return true;
}

struct class_mount *volumes_find(const struct volumes *v, const char *path)
{
        const struct volume *volume = volumes_at(v, path);

        return volume && volume->state == MOUNTED ? volume->mount : NULL;
}

size_t volumes_mounts(const struct volumes *v, struct class_mount ***ret)
{
        struct class_mount **list = calloc(v->n + 1, sizeof(struct class_mount *));
        size_t n = 0;

        for (const struct volume *volume = v->list; list && volume; volume = volume->next)
                if (volume->mount)
                        list[n++] = volume->mount;
        *ret = list;
        return n;
}

size_t volumes_count(const struct volumes *v)
{
        return v->n;
}

void volumes_get_levels(const struct volumes *v, struct driver_levels *ret)
{
        ret->volumes = ret->failing = ret->outdated = 0;
        for (const struct volume *volume = v->list; volume; volume = volume->next) {
                if (volume->state != MOUNTED)
                        continue;
                ret->volumes++;
                ret->failing += volume->news.failing;
                ret->outdated += volume->news.change != CLASS_SAME;
        }
}

bool volumes_are_quiet(const struct volumes *v)
{
        for (const struct volume *volume = v->list; volume; volume = volume->next)
                if (volume->state != MOUNTED)
                        return false;
        return true;
}
