#include "tests/emulator/reqlog.h"

#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "tests/emulator/store.h"

#define STATUS_MAX 600
#define TEXT_MAX 512 /* of a path or query kept */

struct entry {
        uint64_t id;
        int64_t at_ms, began, took_ms; /* since the epoch; monotonic; -1 while under way */
        enum listener_kind listener;
        char *method, *path, *query, *identity, *vault, *sent;
        const char *operation;
        unsigned status;
        uint64_t fault;
};

struct counters {
        uint64_t requests, dropped, faults;
        uint64_t by_status[STATUS_MAX];
        uint64_t in_flight, in_flight_max;
        uint64_t opened, open, open_max;
};

struct reqlog {
        pthread_mutex_t lock;
        struct entry *entries[REQLOG_MAX]; /* a ring: entry id is at id % REQLOG_MAX */
        uint64_t last;
        struct counters c;
};

int reqlog_new(struct reqlog **ret)
{
        struct reqlog *l = calloc(1, sizeof *l);

        if (!l)
                return -ENOMEM;
        pthread_mutex_init(&l->lock, NULL);
        *ret = l;
        return 0;
}

static void entry_free(struct entry *e)
{
        if (!e)
                return;
        free(e->method);
        free(e->path);
        free(e->query);
        free(e->identity);
        free(e->vault);
        free(e->sent);
        free(e);
}

static void forget_all(struct reqlog *l)
{
        for (size_t i = 0; i < REQLOG_MAX; i++) {
                entry_free(l->entries[i]);
                l->entries[i] = NULL;
        }
}

void reqlog_free(struct reqlog *l)
{
        if (!l)
                return;
        forget_all(l);
        pthread_mutex_destroy(&l->lock);
        free(l);
}

static char *copy(const char *text)
{
        return text ? strndup(text, TEXT_MAX) : NULL;
}

static struct entry *entry_new(const struct request *r)
{
        struct entry *e = calloc(1, sizeof *e);
        struct timespec now;

        if (!e)
                return NULL;
        clock_gettime(CLOCK_REALTIME, &now);
        e->at_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
        e->began = monotonic_ms();
        e->took_ms = -1;
        e->listener = r->listener;
        e->method = copy(r->method);
        e->path = copy(r->path);
        e->query = copy(r->vault || r->listener == LISTEN_IMDS ? r->query : "");
        e->identity = copy(r->identity);
        e->vault = copy(r->vault);
        if (!e->method || !e->path || !e->query) {
                entry_free(e);
                return NULL;
        }
        return e;
}

uint64_t reqlog_begin(struct reqlog *l, const struct request *r)
{
        struct entry *e = entry_new(r);

        pthread_mutex_lock(&l->lock);
        uint64_t id = ++l->last;
        struct entry **slot = &l->entries[id % REQLOG_MAX];
        entry_free(*slot);
        *slot = e;
        if (e)
                e->id = id;
        l->c.requests++;
        l->c.in_flight++;
        l->c.in_flight_max = MAX(l->c.in_flight_max, l->c.in_flight);
        pthread_mutex_unlock(&l->lock);
        return id;
}

void reqlog_end(struct reqlog *l, const struct request *r, unsigned status, uint64_t fault)
{
        pthread_mutex_lock(&l->lock);
        struct entry *e = l->entries[r->log_id % REQLOG_MAX];
        if (e && e->id == r->log_id) {
                e->took_ms = monotonic_ms() - e->began;
                e->status = status;
                e->fault = fault;
                e->operation = r->operation;
                if (!e->identity)
                        e->identity = copy(r->identity);
                if (!e->vault)
                        e->vault = copy(r->vault);
                if (!e->sent && r->sent)
                        e->sent = strdup(r->sent);
        }
        if (l->c.in_flight > 0)
                l->c.in_flight--;
        if (status == 0)
                l->c.dropped++;
        else if (status < STATUS_MAX)
                l->c.by_status[status]++;
        if (fault != 0)
                l->c.faults++;
        pthread_mutex_unlock(&l->lock);
}

void reqlog_connection_opened(struct reqlog *l)
{
        pthread_mutex_lock(&l->lock);
        l->c.opened++;
        pthread_mutex_unlock(&l->lock);
}

void reqlog_connection_served(struct reqlog *l, bool begins)
{
        pthread_mutex_lock(&l->lock);
        if (begins)
                l->c.open++;
        else if (l->c.open > 0)
                l->c.open--;
        l->c.open_max = MAX(l->c.open_max, l->c.open);
        pthread_mutex_unlock(&l->lock);
}

/* --- reading it --- */

static bool same(const char *wanted, const char *have)
{
        return !wanted || (have && strcasecmp(wanted, have) == 0);
}

static bool matches(const struct entry *e, const struct reqlog_filter *f)
{
        return e->id > f->since && same(f->method, e->method) && path_matches(f->path, e->path) &&
               same(f->identity, e->identity) && same(f->vault, e->vault) &&
               same(f->operation, e->operation) && (f->status == 0 || f->status == e->status);
}

static void write_entry(const struct entry *e, struct out *o)
{
        static const char *const listeners[] = {"https", "imds", "admin"};
        time_t seconds = (time_t)(e->at_ms / 1000);
        struct tm tm;
        char text[32];

        gmtime_r(&seconds, &tm);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
        out_open(o, '{');
        out_member_int(o, "id", (int64_t)e->id);
        out_memberf(o, "time", "%s.%03dZ", text, (int)(e->at_ms % 1000));
        out_member_int(o, "time_ms", e->at_ms);
        out_member(o, "listener", listeners[e->listener]);
        out_member(o, "method", e->method);
        out_member(o, "path", e->path);
        out_member(o, "query", e->query);
        out_member(o, "vault", e->vault);
        out_member(o, "identity", e->identity);
        out_member(o, "operation", e->operation);
        _cleanup_json_ cJSON *sent = NULL;
        if (e->sent && json_parse(e->sent, strlen(e->sent), &sent) == 0) {
                out_key(o, "sent");
                out_tree(o, sent);
        }
        out_key(o, "status");
        if (e->took_ms >= 0)
                out_int(o, e->status);
        else
                out_null(o); /* under way */
        out_key(o, "took_ms");
        if (e->took_ms >= 0)
                out_int(o, e->took_ms);
        else
                out_null(o);
        out_member_int(o, "fault", (int64_t)e->fault);
        out_close(o, '}');
}

void reqlog_write(struct reqlog *l, const struct reqlog_filter *f, struct out *o)
{
        uint64_t count = 0, listed = 0;

        pthread_mutex_lock(&l->lock);
        uint64_t first = l->last >= REQLOG_MAX ? l->last - REQLOG_MAX + 1 : 1;
        for (uint64_t id = first; id <= l->last; id++) {
                const struct entry *e = l->entries[id % REQLOG_MAX];
                count += e && e->id == id && matches(e, f);
        }
        out_open(o, '{');
        out_member_int(o, "count", (int64_t)count);
        out_member_int(o, "last", (int64_t)l->last);
        out_key(o, "requests");
        out_open(o, '[');
        for (uint64_t id = first; id <= l->last; id++) {
                const struct entry *e = l->entries[id % REQLOG_MAX];
                if (!e || e->id != id || !matches(e, f))
                        continue;
                if (++listed + f->limit > count) /* the newest of them */
                        write_entry(e, o);
        }
        out_close(o, ']');
        out_close(o, '}');
        pthread_mutex_unlock(&l->lock);
}

void reqlog_write_counters(struct reqlog *l, struct out *o)
{
        pthread_mutex_lock(&l->lock);
        const struct counters *c = &l->c;
        out_open(o, '{');
        out_member_int(o, "requests", (int64_t)c->requests);
        out_member_int(o, "dropped", (int64_t)c->dropped);
        out_member_int(o, "faults", (int64_t)c->faults);
        out_member_int(o, "in_flight", (int64_t)c->in_flight);
        out_member_int(o, "in_flight_max", (int64_t)c->in_flight_max);
        out_key(o, "status");
        out_open(o, '{');
        for (unsigned s = 0; s < STATUS_MAX; s++)
                if (c->by_status[s] > 0) {
                        char name[8];
                        snprintf(name, sizeof name, "%u", s);
                        out_member_int(o, name, (int64_t)c->by_status[s]);
                }
        out_close(o, '}');
        out_key(o, "connections");
        out_open(o, '{');
        out_member_int(o, "opened", (int64_t)c->opened);
        out_member_int(o, "open", (int64_t)c->open);
        out_member_int(o, "open_max", (int64_t)c->open_max);
        out_close(o, '}');
        out_close(o, '}');
        pthread_mutex_unlock(&l->lock);
}

void reqlog_reset(struct reqlog *l)
{
        pthread_mutex_lock(&l->lock);
        forget_all(l);
        uint64_t in_flight = l->c.in_flight, open = l->c.open;
        l->c = (struct counters){
                .in_flight = in_flight, .in_flight_max = in_flight, .open = open, .open_max = open};
        pthread_mutex_unlock(&l->lock);
}
