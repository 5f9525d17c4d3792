#include "cache/same.h"

static bool same_sec(const struct sec *a, const struct sec *b)
{
        return a && b ? sec_equal(a, b) : a == b;
}

bool same_object(const struct vault_object *a, const struct vault_object *b)
{
        return a->kind == b->kind && a->enabled == b->enabled && a->created == b->created &&
               a->updated == b->updated && a->expires == b->expires &&
               a->not_before == b->not_before && streq_ptr(a->id, b->id) &&
               streq_ptr(a->name, b->name) && streq_ptr(a->version, b->version) &&
               streq_ptr(a->content_type, b->content_type) && streq_ptr(a->kid, b->kid) &&
               streq_ptr(a->kty, b->kty) && streq_ptr(a->crv, b->crv) &&
               same_sec(a->value, b->value) && same_sec(a->n, b->n) && same_sec(a->e, b->e) &&
               same_sec(a->x, b->x) && same_sec(a->y, b->y);
}
