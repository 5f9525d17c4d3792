#include "fake_vault.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/queue.h>

struct fake_version {
        char name[16], value[64];
        bool enabled;
        int64_t created, updated, expires;
};

struct fake_secret {
        SLIST_ENTRY(fake_secret) link;
        char name[64];
        struct fake_version versions[120]; /* oldest first */
        size_t n;
        usec_t latency;
        bool slow;
        const char *tag, *tag_value;
};

struct fake_fault {
        SLIST_ENTRY(fake_fault) link;
        const char *url, *identity, *name;
        enum err_cause cause;
        unsigned retry_after, times;
};

struct fake_request {
        char url[64], identity[64], name[80];
        usec_t sent;
};

struct fake {
        struct loop *loop;
        SLIST_HEAD(, fake_secret) secrets;
        SLIST_HEAD(, fake_fault) faults;
        struct fake_request *requests;
        size_t n_requests, requests_size;
        usec_t latency;
        unsigned in_flight[2], most_in_flight[2];
        bool no_memory;
        unsigned versions_made;
        unsigned objects, vaults; /* alive */
};

struct vault {
        struct fake *fake;
        char url[64], identity[64], key[160];
        unsigned refs;
};

struct fake_object {
        struct vault_object object;
        struct fake *fake;
};

struct vault_call {
        struct vault *vault;
        char name[64], version[64];
        enum vault_kind kind;
        vault_get_fn got;
        vault_versions_fn listed;
        vault_names_fn named;
        void *userdata;
        struct loop_timer *timer;
};

static void copy(char *to, size_t size, const char *from)
{
        cr_assert_lt(strlen(from), size);
        strcpy(to, from);
}

/* --- the script --- */

struct fake *fake_new(struct loop *l)
{
        struct fake *f = calloc(1, sizeof *f);
        f->loop = l;
        f->latency = 10 * USEC_PER_MSEC;
        return f;
}

void fake_mend(struct fake *f)
{
        struct fake_fault *fault;

        while ((fault = SLIST_FIRST(&f->faults))) {
                SLIST_REMOVE_HEAD(&f->faults, link);
                free(fault);
        }
}

void fake_free(struct fake *f)
{
        struct fake_secret *s;

        cr_assert_eq(f->in_flight[0] + f->in_flight[1], 0, "requests are still under way");
        cr_assert_eq(f->objects, 0, "objects are still held");
        cr_assert_eq(f->vaults, 0, "vaults are still held");
        cr_assert_eq(sec_total(), 0, "secrets are still held");
        fake_mend(f);
        while ((s = SLIST_FIRST(&f->secrets))) {
                SLIST_REMOVE_HEAD(&f->secrets, link);
                free(s);
        }
        free(f->requests);
        free(f);
}

static struct fake_secret *find(struct fake *f, const char *name)
{
        struct fake_secret *s;

        SLIST_FOREACH (s, &f->secrets, link)
                if (streq(s->name, name))
                        return s;
        return NULL;
}

static struct fake_version *newest(struct fake *f, const char *name)
{
        struct fake_secret *s = find(f, name);

        cr_assert(s && s->n > 0, "no secret %s", name);
        return &s->versions[s->n - 1];
}

const char *fake_set(struct fake *f, const char *name, const char *value)
{
        struct fake_secret *s = find(f, name);

        if (!s) {
                s = calloc(1, sizeof *s);
                copy(s->name, sizeof s->name, name);
                SLIST_INSERT_HEAD(&f->secrets, s, link);
        }
        cr_assert_lt(s->n, ELEMENTSOF(s->versions));
        struct fake_version *v = &s->versions[s->n++];
        *v = (struct fake_version){.enabled = true,
                .created = loop_wall(f->loop),
                .updated = loop_wall(f->loop),
                .expires = VAULT_NO_TIME};
        (void)snprintf(v->name, sizeof v->name, "v%u", ++f->versions_made);
        copy(v->value, sizeof v->value, value);
        return v->name;
}

void fake_enable(struct fake *f, const char *name, const char *version, bool enabled)
{
        struct fake_secret *s = find(f, name);

        for (size_t i = 0; i < s->n; i++)
                if (streq(s->versions[i].name, version))
                        s->versions[i].enabled = enabled;
}

void fake_delete(struct fake *f, const char *name)
{
        find(f, name)->n = 0;
}

void fake_expires(struct fake *f, const char *name, int64_t expires)
{
        newest(f, name)->expires = expires;
}

void fake_touch(struct fake *f, const char *name, int64_t updated)
{
        newest(f, name)->updated = updated;
}

void fake_tag(struct fake *f, const char *name, const char *tag, const char *value)
{
        find(f, name)->tag = tag;
        find(f, name)->tag_value = value;
}

void fake_latency(struct fake *f, const char *name, usec_t latency)
{
        if (!name) {
                f->latency = latency;
                return;
        }
        find(f, name)->latency = latency;
        find(f, name)->slow = true;
}

void fake_fail(struct fake *f, const char *url, const char *identity, const char *name,
        enum err_cause cause, unsigned retry_after, unsigned times)
{
        struct fake_fault *fault = calloc(1, sizeof *fault);

        *fault = (struct fake_fault){.url = url,
                .identity = identity,
                .name = name,
                .cause = cause,
                .retry_after = retry_after,
                .times = times};
        SLIST_INSERT_HEAD(&f->faults, fault, link);
}

void fake_no_memory(struct fake *f, bool on)
{
        f->no_memory = on;
}

/* --- what was asked --- */

static bool matches(const char *pattern, const char *s)
{
        return !pattern || streq(pattern, s);
}

unsigned fake_requests(
        const struct fake *f, const char *url, const char *identity, const char *name)
{
        unsigned n = 0;

        for (size_t i = 0; i < f->n_requests; i++)
                n += matches(url, f->requests[i].url) &&
                     matches(identity, f->requests[i].identity) &&
                     matches(name, f->requests[i].name);
        return n;
}

usec_t fake_sent(const struct fake *f, const char *url, const char *name, unsigned nth)
{
        for (size_t i = 0; i < f->n_requests; i++)
                if (matches(url, f->requests[i].url) && matches(name, f->requests[i].name) &&
                        nth-- == 0)
                        return f->requests[i].sent;
        cr_assert(false, "so many requests were not sent");
        return 0;
}

static size_t index_of(const char *url)
{
        return streq(url, FAKE_URL) ? 0 : 1;
}

unsigned fake_most_in_flight(const struct fake *f, const char *url)
{
        return f->most_in_flight[index_of(url)];
}

/* --- the client's functions --- */

struct vault *fake_open(struct fake *f, const char *url, const char *identity)
{
        struct vault *v = calloc(1, sizeof *v);

        v->fake = f;
        f->vaults++;
        v->refs = 1;
        copy(v->url, sizeof v->url, url);
        copy(v->identity, sizeof v->identity, identity);
        (void)snprintf(v->key, sizeof v->key, "%s %s", url, identity);
        return v;
}

struct vault *vault_ref(struct vault *v)
{
        v->refs++;
        return v;
}

struct vault *vault_unref(struct vault *v)
{
        if (v && --v->refs == 0) {
                v->fake->vaults--;
                free(v);
        }
        return NULL;
}

const char *vault_url(const struct vault *v)
{
        return v->url;
}

const char *vault_key(const struct vault *v)
{
        return v->key;
}

const char *vault_kind_name(enum vault_kind k)
{
        return (const char *[]){"secret", "key", "cert"}[k];
}

struct vault_object *vault_object_ref(struct vault_object *o)
{
        if (o)
                o->refs++;
        return o;
}

struct vault_object *vault_object_unref(struct vault_object *o)
{
        if (!o || --o->refs > 0)
                return NULL;
        ((struct fake_object *)o)->fake->objects--;
        free(o->id);
        free(o->name);
        free(o->version);
        free(o->content_type);
        free(o->kid);
        free(o->kty);
        free(o->crv);
        sec_unref(o->value);
        free(o);
        return NULL;
}

/* Plain bytes, or in upper case when hex is asked for: enough to tell two renderings apart. */
int vault_render(const struct vault_object *o, const struct vault_render *how, struct sec **ret,
        struct err *e)
{
        if (startswith(sec_bytes(o->value), FAKE_UNRENDERABLE))
                return err_set_cause(e, ERR_UNSUPPORTED, -EOPNOTSUPP, "cannot be rendered");
        if (how->encoding != VAULT_ENCODING_HEX) {
                *ret = sec_ref(o->value);
                return 0;
        }
        int r = sec_new(sec_bytes(o->value), sec_len(o->value), ret);
        for (size_t i = 0; r == 0 && i < sec_len(*ret); i++)
                ((char *)sec_buf(*ret))[i] &= ~0x20;
        return r;
}

/* Several files for what begins so, each with its own suffix before the bytes. */
int vault_render_files(const struct vault_object *o, const struct vault_render *how,
        struct vault_file ret[static VAULT_FILES_MAX], size_t *ret_n, struct err *e)
{
        static const char *const folder[] = {"/tls.crt", "/tls.key"}, *const separate[] = {
                                                                              ".crt", ".key", ""};
        bool several = startswith(sec_bytes(o->value), FAKE_CERTIFICATE);
        const char *const *suffixes = how->files == VAULT_FILES_FOLDER ? folder : separate;
        size_t n = !several || how->files == VAULT_FILES_ONE ? 1
                   : how->files == VAULT_FILES_FOLDER        ? 2
                                                             : 3;

        *ret_n = n;
        if (n == 1) {
                ret[0] = (struct vault_file){.suffix = ""};
                return vault_render(o, how, &ret[0].bytes, e);
        }
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *text = NULL;

                ret[i] = (struct vault_file){.suffix = suffixes[i]};
                if (xasprintf(&text, "%s:%s", suffixes[i], (const char *)sec_bytes(o->value)) < 0 ||
                        sec_new(text, strlen(text), &ret[i].bytes) < 0)
                        abort();
        }
        return 0;
}

static void finish(struct vault_call *c)
{
        c->vault->fake->in_flight[index_of(c->vault->url)]--;
        loop_timer_free(c->timer);
        vault_unref(c->vault);
        free(c);
}

struct vault_call *vault_cancel(struct vault_call *c)
{
        if (c)
                finish(c);
        return NULL;
}

static bool fault(const struct vault_call *c, const char *name, struct err *e, unsigned *retry)
{
        struct fake_fault *f;

        SLIST_FOREACH (f, &c->vault->fake->faults, link) {
                if (f->times == 0 || !matches(f->url, c->vault->url) ||
                        !matches(f->identity, c->vault->identity) || !matches(f->name, name))
                        continue;
                if (f->times != FAKE_FOREVER)
                        f->times--;
                err_set_cause(e, f->cause, f->cause == ERR_FORBIDDEN ? -EACCES : -EIO, "%s says %s",
                        c->vault->url, err_cause_name(f->cause));
                *retry = f->retry_after;
                return true;
        }
        return false;
}

static struct vault_object *object_of(
        const struct vault_call *c, const struct fake_secret *s, const struct fake_version *v)
{
        struct fake_object *fo = calloc(1, sizeof *fo);
        struct vault_object *o = &fo->object;

        fo->fake = c->vault->fake;
        fo->fake->objects++;
        *o = (struct vault_object){.kind = c->kind,
                .enabled = v->enabled,
                .created = v->created,
                .updated = v->updated,
                .expires = v->expires,
                .not_before = VAULT_NO_TIME,
                .name = strdup(s->name),
                .version = strdup(v->name),
                .content_type = strdup(""),
                .kid = strdup(""),
                .kty = strdup(""),
                .crv = strdup(""),
                .refs = 1};
        cr_assert_eq(xasprintf(&o->id, "%s/%ss/%s/%s", c->vault->url, vault_kind_name(c->kind),
                             s->name, v->name),
                0);
        /* "4M" stands for that many MiB. */
        char *unit;
        unsigned long mib = strtoul(v->value, &unit, 10);
        if (streq(unit, "M"))
                cr_assert_eq(sec_alloc(mib << 20, &o->value), 0);
        else {
                /* The NUL is not part of the value, but within reach of vault_render() above. */
                cr_assert_eq(sec_alloc(strlen(v->value) + 1, &o->value), 0);
                strcpy(sec_buf(o->value), v->value);
                sec_truncate(o->value, strlen(v->value));
        }
        return o;
}

static void on_get(void *userdata)
{
        struct vault_call *c = userdata;
        struct fake_secret *s = find(c->vault->fake, c->name);
        struct vault_object *o = NULL;
        struct err e = {0};
        struct vault_answer answer = {0};

        if (!fault(c, c->name, &e, &answer.retry_after)) {
                struct fake_version *v = NULL;

                for (size_t i = 0; s && i < s->n; i++)
                        if (!*c->version || streq(c->version, s->versions[i].name))
                                v = &s->versions[i];
                if (v && v->enabled)
                        o = object_of(c, s, v);
                else if (v)
                        err_set_cause(&e, ERR_DISABLED, -EACCES, "secret %s is disabled", c->name);
                else
                        err_set_cause(
                                &e, ERR_NOT_FOUND, -ENOENT, "secret %s is not there", c->name);
        }
        answer.object = o;
        answer.error = o ? NULL : &e;
        vault_get_fn got = c->got;
        void *data = c->userdata;
        finish(c);
        got(data, &answer);
        vault_object_unref(o);
        err_done(&e);
}

static void on_list(void *userdata)
{
        struct vault_call *c = userdata;
        struct fake_secret *s = find(c->vault->fake, c->name);
        struct vault_version list[ELEMENTSOF(s->versions)];
        char name[80], names[ELEMENTSOF(s->versions)][16];
        struct err e = {0};
        size_t n = 0;
        unsigned retry = 0;

        (void)snprintf(name, sizeof name, "versions of %s", c->name);
        bool failed = fault(c, name, &e, &retry);
        for (size_t i = s ? s->n : 0; i-- > 0 && !failed;)
                if (s->versions[i].enabled) {
                        strcpy(names[n], s->versions[i].name);
                        list[n] = (struct vault_version){names[n], s->versions[i].created};
                        n++;
                }
        vault_versions_fn listed = c->listed;
        void *data = c->userdata;
        finish(c);
        listed(data, list, n, failed ? &e : NULL, retry);
        /* A list is borrowed during the call only. */
        memset(names, 'x', sizeof names);
        err_done(&e);
}

static int start(struct vault *v, struct vault_call *c, const char *what, loop_timer_fn fn,
        struct vault_call **ret)
{
        struct fake *f = v->fake;
        struct fake_secret *s = find(f, c->name);
        size_t i = index_of(v->url);

        if (f->n_requests == f->requests_size) {
                f->requests_size = f->requests_size ? 2 * f->requests_size : 64;
                f->requests = realloc(f->requests, f->requests_size * sizeof *f->requests);
        }
        struct fake_request *r = &f->requests[f->n_requests++];
        copy(r->url, sizeof r->url, v->url);
        copy(r->identity, sizeof r->identity, v->identity);
        copy(r->name, sizeof r->name, what);
        r->sent = loop_now(f->loop);
        c->vault = vault_ref(v);
        f->in_flight[i]++;
        f->most_in_flight[i] = MAX(f->most_in_flight[i], f->in_flight[i]);
        cr_assert_eq(loop_timer_new(f->loop, fn, c, &c->timer), 0);
        cr_assert_eq(loop_timer_in(c->timer, s && s->slow ? s->latency : f->latency), 0);
        *ret = c;
        return 0;
}

int vault_get(struct vault *v, enum vault_kind kind, const char *name, const char *version,
        vault_get_fn done, void *userdata, struct vault_call **ret)
{
        if (v->fake->no_memory)
                return -ENOMEM;

        struct vault_call *c = calloc(1, sizeof *c);
        c->kind = kind;
        c->got = done;
        c->userdata = userdata;
        copy(c->name, sizeof c->name, name);
        copy(c->version, sizeof c->version, version);
        return start(v, c, name, on_get, ret);
}

int vault_list_versions(struct vault *v, enum vault_kind kind, const char *name,
        vault_versions_fn done, void *userdata, struct vault_call **ret)
{
        char what[80];

        if (v->fake->no_memory)
                return -ENOMEM;

        struct vault_call *c = calloc(1, sizeof *c);
        c->kind = kind;
        c->listed = done;
        c->userdata = userdata;
        copy(c->name, sizeof c->name, name);
        (void)snprintf(what, sizeof what, "versions of %s", name);
        return start(v, c, what, on_list, ret);
}

/* Newest secret last, as the list is kept; those whose newest version is disabled are left out. */
static void on_names(void *userdata)
{
        struct vault_call *c = userdata;
        struct fake_secret *s;
        struct err e = {0};
        unsigned retry = 0;
        struct vault_names *names = calloc(1, sizeof *names);

        names->refs = 1;
        names->list = calloc(2000, sizeof *names->list);
        bool failed = fault(c, "names", &e, &retry);
        SLIST_FOREACH (s, &c->vault->fake->secrets, link) {
                if (s->n == 0 || !s->versions[s->n - 1].enabled)
                        continue;
                struct vault_listed *o = &names->list[names->n++];
                o->name = strdup(s->name);
                if (s->tag) {
                        o->tags = calloc(1, sizeof *o->tags);
                        o->tags[0] = (struct vault_tag){(char *)s->tag, (char *)s->tag_value};
                        o->n_tags = 1;
                }
        }
        vault_names_fn named = c->named;
        void *data = c->userdata;
        finish(c);
        named(data, failed ? NULL : names, failed ? &e : NULL, retry);
        vault_names_unref(names);
        err_done(&e);
}

int vault_list_names(struct vault *v, enum vault_kind kind, vault_names_fn done, void *userdata,
        struct vault_call **ret)
{
        if (v->fake->no_memory)
                return -ENOMEM;

        struct vault_call *c = calloc(1, sizeof *c);
        c->kind = kind;
        c->named = done;
        c->userdata = userdata;
        return start(v, c, "names", on_names, ret);
}
