#include "tests/emulator/faults.h"

#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>

#include "base/wipe.h"
#include "tests/emulator/store.h"

#define FAULTS_MAX 1000
#define LATENCY_MAX_MS INT64_C(600000)

struct fault {
        struct fault *next;
        struct fault_plan plan;
        char *method, *path; /* globs */
        char *vault, *host;  /* NULL: any */
        enum connection_fault connection;
        bool any_listener;
        enum listener_kind listener; /* connection faults */
        int64_t skip;                /* matches that still pass unharmed */
        int64_t count;               /* matches still to be played; -1: no end */
        uint64_t played;
};

struct faults {
        pthread_mutex_t lock;
        struct fault *first;
        size_t n;
        uint64_t last_id;
};

int faults_new(struct faults **ret)
{
        struct faults *f = calloc(1, sizeof *f);

        if (!f)
                return -ENOMEM;
        pthread_mutex_init(&f->lock, NULL);
        *ret = f;
        return 0;
}

void fault_plan_done(struct fault_plan *p)
{
        erase_and_free(p->body);
        free(p->content_type);
        for (size_t i = 0; i < p->n_headers; i++) {
                free(p->headers[i].name);
                free(p->headers[i].value);
        }
        *p = (struct fault_plan){.cut_after = -1};
}

static void fault_free(struct fault *f)
{
        if (!f)
                return;
        fault_plan_done(&f->plan);
        free(f->method);
        free(f->path);
        free(f->vault);
        free(f->host);
        free(f);
}
DEFINE_CLEANUP(struct fault *, fault_free)

void faults_free(struct faults *f)
{
        if (!f)
                return;
        faults_clear(f);
        pthread_mutex_destroy(&f->lock);
        free(f);
}

/* --- reading one --- */

static int read_number(const cJSON *spec, const char *name, int64_t least, int64_t most,
        int64_t otherwise, int64_t *ret, struct err *e)
{
        int r = json_int64(spec, name, ret);

        if (r == -ENOENT) {
                *ret = otherwise;
                return 0;
        }
        if (r < 0 || *ret < least || *ret > most)
                return err_set(e, -EINVAL, "%s is no number from %lld to %lld", name,
                        (long long)least, (long long)most);
        return 0;
}

static int read_text(const cJSON *spec, const char *name, char **ret, struct err *e)
{
        const cJSON *j = json_get(spec, name);

        if (!j)
                return 0;
        if (!cJSON_IsString(j))
                return err_set(e, -EINVAL, "%s is not a string", name);
        *ret = strdup(j->valuestring);
        return *ret ? 0 : -ENOMEM;
}

static int read_body(const cJSON *spec, struct fault_plan *p)
{
        const cJSON *j = json_get(spec, "body");

        if (!j)
                return 0;
        if (cJSON_IsString(j))
                p->body = strdup(j->valuestring);
        else
                p->body = cJSON_PrintUnformatted(j);
        if (!p->body)
                return -ENOMEM;
        p->body_len = strlen(p->body);
        return 0;
}

static int add_header(struct fault_plan *p, const char *name, const char *value, struct err *e)
{
        if (p->n_headers == HEADERS_MAX)
                return err_set(e, -EINVAL, "too many headers");
        if (strpbrk(name, "\r\n: ") || strpbrk(value, "\r\n"))
                return err_set(e, -EINVAL, "the header %s is malformed", name);
        struct header h = {strdup(name), strdup(value)};
        if (!h.name || !h.value) {
                free(h.name);
                free(h.value);
                return -ENOMEM;
        }
        p->headers[p->n_headers++] = h;
        return 0;
}

static int read_headers(const cJSON *spec, struct fault_plan *p, struct err *e)
{
        const cJSON *headers = json_get(spec, "headers"), *h;
        int64_t after;

        if (headers && !cJSON_IsObject(headers))
                return err_set(e, -EINVAL, "headers is not an object");
        cJSON_ArrayForEach (h, headers) {
                if (!cJSON_IsString(h))
                        return err_set(e, -EINVAL, "the header %s is not a string", h->string);
                int r = add_header(p, h->string, h->valuestring, e);
                if (r < 0)
                        return r;
        }
        int r = json_int64(spec, "retry_after", &after);
        if (r == -ENOENT)
                return 0;
        char text[24];
        if (r < 0 || after < 0)
                return err_set(e, -EINVAL, "retry_after is no number of seconds");
        snprintf(text, sizeof text, "%lld", (long long)after);
        return add_header(p, "Retry-After", text, e);
}

static int read_connection(const cJSON *spec, struct fault *f, struct err *e)
{
        static const char *const names[] = {"", "hang", "reset", "garbage"};
        const char *what = json_string(spec, "connection");
        const char *listener = json_string(spec, "listener");

        f->any_listener = !listener;
        if (listener && streq(listener, "imds"))
                f->listener = LISTEN_IMDS;
        else if (listener && !streq(listener, "https"))
                return err_set(e, -EINVAL, "listener is neither https nor imds");
        if (!what)
                return 0;
        for (size_t i = 1; i < ELEMENTSOF(names); i++)
                if (streq(what, names[i])) {
                        f->connection = (enum connection_fault)i;
                        return 0;
                }
        return err_set(e, -EINVAL, "connection is none of hang, reset, garbage");
}

static int check_names(const cJSON *spec, struct err *e)
{
        static const char *const known[] = {"id", "played", "method", "path", "vault", "host",
                "listener", "count", "skip", "latency_ms", "hang", "drop", "reset", "status",
                "body", "content_type", "headers", "retry_after", "cut_after", "bytes_per_second",
                "garbage", "close", "connection"};
        const cJSON *j;

        if (!cJSON_IsObject(spec))
                return err_set(e, -EINVAL, "a fault is a JSON object");
        cJSON_ArrayForEach (j, spec) {
                bool found = false;
                for (size_t i = 0; i < ELEMENTSOF(known) && !found; i++)
                        found = streq(j->string, known[i]);
                if (!found)
                        return err_set(e, -EINVAL, "a fault has no member %s", j->string);
        }
        return 0;
}

static int read_fault(const cJSON *spec, struct fault *f, struct err *e)
{
        struct fault_plan *p = &f->plan;
        int64_t status = 0;

        p->cut_after = -1;
        int r = check_names(spec, e);
        if (r == 0)
                r = read_text(spec, "method", &f->method, e);
        if (r == 0)
                r = read_text(spec, "path", &f->path, e);
        if (r == 0)
                r = read_text(spec, "vault", &f->vault, e);
        if (r == 0)
                r = read_text(spec, "host", &f->host, e);
        if (r == 0)
                r = read_text(spec, "content_type", &p->content_type, e);
        if (r == 0)
                r = read_number(spec, "count", 0, INT32_MAX, -1, &f->count, e);
        if (r == 0)
                r = read_number(spec, "skip", 0, INT32_MAX, 0, &f->skip, e);
        if (r == 0)
                r = read_number(spec, "latency_ms", 0, LATENCY_MAX_MS, 0, &p->latency_ms, e);
        if (r == 0)
                r = read_number(spec, "status", 200, 599, 0, &status, e);
        if (r == 0)
                r = read_number(spec, "cut_after", 0, INT32_MAX, -1, &p->cut_after, e);
        if (r == 0)
                r = read_number(spec, "bytes_per_second", 1, INT32_MAX, 0, &p->bytes_per_second, e);
        if (r == 0)
                r = read_body(spec, p);
        if (r == 0)
                r = read_headers(spec, p, e);
        if (r == 0)
                r = read_connection(spec, f, e);
        if (r < 0)
                return r;
        p->status = (unsigned)status;
        p->hang = json_bool(spec, "hang", false);
        p->drop = json_bool(spec, "drop", false);
        p->reset = json_bool(spec, "reset", false);
        p->garbage = json_bool(spec, "garbage", false);
        p->close = json_bool(spec, "close", false);
        if (p->body && p->status == 0)
                return err_set(e, -EINVAL, "a body needs a status");
        return 0;
}

int faults_add(struct faults *fs, const cJSON *spec, uint64_t *ret_id, struct err *e)
{
        _cleanup_(fault_freep) struct fault *f = calloc(1, sizeof *f);

        if (!f)
                return -ENOMEM;
        int r = read_fault(spec, f, e);
        if (r < 0)
                return r;
        pthread_mutex_lock(&fs->lock);
        if (fs->n == FAULTS_MAX) {
                pthread_mutex_unlock(&fs->lock);
                return err_set(e, -ENOSPC, "there are %d faults already", FAULTS_MAX);
        }
        struct fault **last = &fs->first;
        while (*last)
                last = &(*last)->next;
        f->plan.id = ++fs->last_id;
        *ret_id = f->plan.id;
        *last = TAKE_PTR(f);
        fs->n++;
        pthread_mutex_unlock(&fs->lock);
        return 0;
}

bool faults_remove(struct faults *fs, uint64_t id)
{
        struct fault *gone = NULL;

        pthread_mutex_lock(&fs->lock);
        for (struct fault **p = &fs->first; *p; p = &(*p)->next)
                if ((*p)->plan.id == id) {
                        gone = *p;
                        *p = gone->next;
                        fs->n--;
                        break;
                }
        pthread_mutex_unlock(&fs->lock);
        bool found = gone;
        fault_free(gone);
        return found;
}

void faults_clear(struct faults *fs)
{
        pthread_mutex_lock(&fs->lock);
        while (fs->first) {
                struct fault *f = fs->first;
                fs->first = f->next;
                fault_free(f);
        }
        fs->n = 0;
        pthread_mutex_unlock(&fs->lock);
}

/* --- matching --- */

static bool glob(const char *pattern, const char *text)
{
        return !pattern || fnmatch(pattern, text, 0) == 0;
}

static bool matches(const struct fault *f, const struct request *r)
{
        return f->connection == CONNECTION_OK && f->count != 0 &&
               (f->any_listener || f->listener == r->listener) && glob(f->method, r->method) &&
               glob(f->host, request_host(r)) && glob(f->vault, r->vault ? r->vault : "") &&
               path_matches(f->path, r->path);
}

/* Counts a match; true when it is to be played. */
static bool spend(struct fault *f)
{
        if (f->skip > 0) {
                f->skip--;
                return false;
        }
        if (f->count > 0)
                f->count--;
        f->played++;
        return true;
}

static int copy_plan(const struct fault_plan *from, struct fault_plan *to)
{
        struct fault_plan p = *from;

        p.body = NULL;
        p.content_type = NULL;
        p.n_headers = 0;
        if (from->body) {
                p.body = strdup(from->body);
                if (!p.body)
                        return -ENOMEM;
        }
        if (set_string(&p.content_type, from->content_type) < 0) {
                fault_plan_done(&p);
                return -ENOMEM;
        }
        for (size_t i = 0; i < from->n_headers; i++)
                if (add_header(&p, from->headers[i].name, from->headers[i].value, NULL) < 0) {
                        fault_plan_done(&p);
                        return -ENOMEM;
                }
        *to = p;
        return 0;
}

bool faults_match(struct faults *fs, const struct request *r, struct fault_plan *ret)
{
        bool found = false;

        pthread_mutex_lock(&fs->lock);
        for (struct fault *f = fs->first; f && !found; f = f->next)
                if (matches(f, r) && spend(f))
                        found = copy_plan(&f->plan, ret) == 0;
        pthread_mutex_unlock(&fs->lock);
        return found;
}

enum connection_fault faults_connection(struct faults *fs, enum listener_kind listener)
{
        enum connection_fault what = CONNECTION_OK;

        pthread_mutex_lock(&fs->lock);
        for (struct fault *f = fs->first; f && what == CONNECTION_OK; f = f->next)
                if (f->connection != CONNECTION_OK && f->count != 0 &&
                        (f->any_listener || f->listener == listener) && spend(f))
                        what = f->connection;
        pthread_mutex_unlock(&fs->lock);
        return what;
}

bool faults_exists(struct faults *fs, uint64_t id)
{
        bool found = false;

        pthread_mutex_lock(&fs->lock);
        for (struct fault *f = fs->first; f && !found; f = f->next)
                found = f->plan.id == id;
        pthread_mutex_unlock(&fs->lock);
        return found;
}

static void write_fault(const struct fault *f, struct out *o)
{
        static const char *const connections[] = {NULL, "hang", "reset", "garbage"};
        const struct fault_plan *p = &f->plan;

        out_open(o, '{');
        out_member_int(o, "id", (int64_t)p->id);
        out_member_int(o, "played", (int64_t)f->played);
        if (f->count >= 0)
                out_member_int(o, "count", f->count);
        if (f->skip > 0)
                out_member_int(o, "skip", f->skip);
        out_member_opt(o, "method", f->method);
        out_member_opt(o, "path", f->path);
        out_member_opt(o, "vault", f->vault);
        out_member_opt(o, "host", f->host);
        if (!f->any_listener)
                out_member(o, "listener", f->listener == LISTEN_IMDS ? "imds" : "https");
        out_member_opt(o, "connection", connections[f->connection]);
        if (p->latency_ms > 0)
                out_member_int(o, "latency_ms", p->latency_ms);
        if (p->status != 0)
                out_member_int(o, "status", p->status);
        if (p->cut_after >= 0)
                out_member_int(o, "cut_after", p->cut_after);
        if (p->bytes_per_second > 0)
                out_member_int(o, "bytes_per_second", p->bytes_per_second);
        const struct {
                const char *name;
                bool on;
        } flags[] = {{"hang", p->hang}, {"drop", p->drop}, {"reset", p->reset},
                {"garbage", p->garbage}, {"close", p->close}};
        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                if (flags[i].on)
                        out_member_bool(o, flags[i].name, true);
        out_close(o, '}');
}

void faults_write(struct faults *fs, struct out *o)
{
        pthread_mutex_lock(&fs->lock);
        out_open(o, '[');
        for (struct fault *f = fs->first; f; f = f->next)
                write_fault(f, o);
        out_close(o, ']');
        pthread_mutex_unlock(&fs->lock);
}
