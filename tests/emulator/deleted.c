/* Soft delete: DELETE, the deleted objects, recovery and purge. A certificate goes and comes with
 * the key and the secret behind it. */

#include "tests/emulator/call.h"

#define DAY INT64_C(86400) /* seconds */

/* Calls fn for the object and, for a certificate, for the managed key and secret of its name. */
static void for_family(
        struct vault *v, struct object *o, void (*fn)(struct vault *v, struct object *o))
{
        struct object *family[KINDS] = {NULL};
        size_t n = 0;

        family[n++] = o;
        if (o->kind == KIND_CERTIFICATE)
                for (enum kind k = KIND_SECRET; k <= KIND_KEY; k++) {
                        struct object *f = vault_find(v, k, o->name);
                        if (f && f->versions && f->versions->managed)
                                family[n++] = f;
                }
        for (size_t i = 0; i < n; i++)
                fn(v, family[i]);
}

static void mark_deleted(struct vault *v, struct object *o)
{
        o->deleted = now_seconds();
        o->purge = o->deleted + v->recoverable_days * DAY;
        o->settles_ms = monotonic_ms() + v->deletion_ms;
}

static void mark_live(struct vault *v, struct object *o)
{
        o->deleted = o->purge = NO_TIME;
}

void write_deletion(struct out *o, const struct call *c, const struct object *obj)
{
        out_memberf(
                o, "recoveryId", "%s/deleted%s/%s", c->base, kind_segment(obj->kind), obj->name);
        out_member_int(o, "deletedDate", obj->deleted);
        out_member_int(o, "scheduledPurgeDate", obj->purge);
}

static void write_body(struct out *o, const struct call *c, const struct object *obj)
{
        switch (obj->kind) {
        case KIND_SECRET:
                write_secret(o, c, obj, obj->versions, true, false);
                break;
        case KIND_KEY:
                write_key(o, c, obj, obj->versions);
                break;
        default:
                write_certificate(o, c, obj, obj->versions, true);
                break;
        }
}

static void answer_deleted(struct call *c, const struct object *obj)
{
        struct out o = {0};

        out_open(&o, '{');
        write_deletion(&o, c, obj);
        write_body(&o, c, obj);
        out_close(&o, '}');
        answer_out(c->answer, MHD_HTTP_OK, &o);
}

void delete_object(struct call *c, enum kind kind, const char *name)
{
        static const char *const names[] = {"secrets.delete", "keys.delete", "certificates.delete"};

        c->request->operation = names[kind];
        if (!call_permitted(c, kind, OP_DELETE, name))
                return;
        struct object *obj = vault_find_live(c->vault, kind, name);
        if (!obj || !obj->versions) {
                call_not_found(c, kind, name, NULL);
                return;
        }
        if (kind != KIND_CERTIFICATE && obj->versions->managed) {
                call_fail(c, MHD_HTTP_FORBIDDEN, "Forbidden", NULL,
                        "Operation delete is not allowed on a %s that belongs to a certificate.",
                        kind_word(kind));
                return;
        }
        for_family(c->vault, obj, mark_deleted);
        answer_deleted(c, obj);
        if (c->vault->recoverable_days == 0)
                for_family(c->vault, obj, vault_purge);
}

bool name_is_free(struct call *c, enum kind kind, const char *name)
{
        struct object *obj = vault_find(c->vault, kind, name);

        if (!obj || obj->deleted == NO_TIME)
                return true;
        if (monotonic_ms() < obj->settles_ms)
                call_fail(c, MHD_HTTP_CONFLICT, "Conflict", "ObjectIsBeingDeleted",
                        "%s %s is currently being deleted.", kind_title(kind), name);
        else
                call_fail(c, MHD_HTTP_CONFLICT, "Conflict", "ObjectIsDeletedButRecoverable",
                        "%s %s is currently in a deleted but recoverable state, and its name "
                        "cannot be reused; in this state, the %s can only be recovered or purged.",
                        kind_title(kind), name, kind_word(kind));
        return false;
}

static void get_deleted(struct call *c, enum kind kind, struct object *obj, const char *name)
{
        static const char *const names[] = {
                "deletedsecrets.get", "deletedkeys.get", "deletedcertificates.get"};

        c->request->operation = names[kind];
        if (!call_permitted(c, kind, OP_GET, name))
                return;
        if (!obj || obj->deleted == NO_TIME || monotonic_ms() < obj->settles_ms)
                call_deleted_not_found(c, kind, name);
        else
                answer_deleted(c, obj);
}

static void recover(struct call *c, enum kind kind, struct object *obj, const char *name)
{
        static const char *const names[] = {
                "deletedsecrets.recover", "deletedkeys.recover", "deletedcertificates.recover"};
        struct out o = {0};

        c->request->operation = names[kind];
        if (!call_permitted(c, kind, OP_RECOVER, name))
                return;
        if (!obj) {
                call_deleted_not_found(c, kind, name);
                return;
        }
        if (obj->deleted == NO_TIME) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "MethodNotAllowed",
                        "RequestNotAllowedOnNonDeletedObject", "%s exists already: %s",
                        kind_title(kind), name);
                return;
        }
        if (monotonic_ms() < obj->settles_ms) {
                (void)name_is_free(c, kind, name); /* answers 409 */
                return;
        }
        for_family(c->vault, obj, mark_live);
        out_open(&o, '{');
        write_body(&o, c, obj);
        out_close(&o, '}');
        answer_out(c->answer, MHD_HTTP_OK, &o);
}

static void purge(struct call *c, enum kind kind, struct object *obj, const char *name)
{
        static const char *const names[] = {
                "deletedsecrets.purge", "deletedkeys.purge", "deletedcertificates.purge"};

        c->request->operation = names[kind];
        if (!call_permitted(c, kind, OP_PURGE, name))
                return;
        if (!obj || obj->deleted == NO_TIME) {
                call_deleted_not_found(c, kind, name);
                return;
        }
        for_family(c->vault, obj, vault_purge);
        answer_text(c->answer, MHD_HTTP_NO_CONTENT, "");
}

/* /deletedsecrets, /deletedsecrets/NAME, /deletedsecrets/NAME/recover, and so on */
void deleted_call(struct call *c, enum kind kind)
{
        const char *method = c->request->method;
        const char *name = c->n_segments > 1 ? c->segments[1] : NULL;
        const char *third = c->n_segments > 2 ? c->segments[2] : NULL;
        struct object *obj = name ? vault_find(c->vault, kind, name) : NULL;

        if (!name && streq(method, "GET"))
                list_deleted(c, kind);
        else if (name && !third && streq(method, "GET"))
                get_deleted(c, kind, obj, name);
        else if (name && !third && streq(method, "DELETE"))
                purge(c, kind, obj, name);
        else if (name && third && streq(third, "recover") && streq(method, "POST"))
                recover(c, kind, obj, name);
        else
                call_method_not_allowed(c);
}
