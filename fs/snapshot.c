#include "fs/snapshot.h"

#include <pthread.h>

#include "base/log.h"

/* One rename at a time is under way in a mount: APPLIED or UNSTAGED. */
#define SLACK_PER_MOUNT ((size_t)64)

struct snapshot_mount {
        struct snapshot *snapshot;
        struct snapshot_mount *next;
        uint64_t id;
        snapshot_dump_fn dump;
        void *userdata;
        bool dumping; /* right now: records go to the new journal alone */
        bool in_next; /* written into the new journal: records go to both */
};

struct snapshot {
        struct snapshot_config cfg;
        pthread_mutex_t lock; /* the pointers below and the flags of mounts */
        struct journal *current, *next;
        struct snapshot_mount *mounts;
        size_t n_mounts;
        size_t live;    /* bytes that were true when the area in use began */
        size_t first;   /* size of the first area, where that is known */
        bool broken;    /* the area in use misses something: a new one is needed */
        int next_error; /* of the new one: -ENOSPC, it is too small; -ENOMEM */
        bool plain;     /* memory of the other kind ran out in the middle of an area */
        bool outdated;  /* `outdated` was called for the area in use */
};

int snapshot_new(const struct snapshot_config *cfg, struct snapshot **ret)
{
        struct snapshot *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->cfg = *cfg;
        pthread_mutex_init(&s->lock, NULL);
        *ret = s;
        return 0;
}

void snapshot_free(struct snapshot *s)
{
        if (!s)
                return;
        journal_free(s->current);
        journal_free(s->next);
        pthread_mutex_destroy(&s->lock);
        free(s);
}

void snapshot_expect(struct snapshot *s, size_t size)
{
        s->first = size;
}

int snapshot_add(struct snapshot *s, uint64_t mount, snapshot_dump_fn dump, void *userdata,
        struct snapshot_mount **ret)
{
        struct snapshot_mount *m = calloc(1, sizeof *m);
        if (!m)
                return -ENOMEM;
        *m = (struct snapshot_mount){
                .snapshot = s, .id = mount, .dump = dump, .userdata = userdata};
        pthread_mutex_lock(&s->lock);
        m->next = s->mounts;
        s->mounts = m;
        s->n_mounts++;
        pthread_mutex_unlock(&s->lock);
        *ret = m;
        return 0;
}

/* Under the lock. */
static void note_outdated(struct snapshot *s)
{
        if (!s->current || s->outdated || !s->cfg.outdated)
                return;
        s->outdated = true;
        s->cfg.outdated(s->cfg.userdata);
}

void snapshot_remove(struct snapshot_mount *m)
{
        if (!m)
                return;

        struct snapshot *s = m->snapshot;
        snapshot_put_raw(m, RECORD_GONE, NULL, 0);
        pthread_mutex_lock(&s->lock);
        note_outdated(s);
        for (struct snapshot_mount **p = &s->mounts; *p; p = &(*p)->next)
                if (*p == m) {
                        *p = m->next;
                        s->n_mounts--;
                        break;
                }
        pthread_mutex_unlock(&s->lock);
        free(m);
}

/* What must not fail: one event for each mount, and the farewells. */
static size_t slack(const struct snapshot *s)
{
        return 4096 + s->n_mounts * SLACK_PER_MOUNT;
}

static void set_dumping(struct snapshot_mount *m, bool dumping)
{
        pthread_mutex_lock(&m->snapshot->lock);
        m->dumping = dumping;
        m->in_next = !dumping;
        pthread_mutex_unlock(&m->snapshot->lock);
}

void snapshot_dump_begin(struct snapshot_mount *m)
{
        set_dumping(m, true);
}

void snapshot_dump_end(struct snapshot_mount *m)
{
        set_dumping(m, false);
}

static void give_up(struct snapshot *s, int r)
{
        if (!s->broken)
                log_error("the snapshot for a successor cannot be kept (%s): a worker that has to "
                          "restart will fetch everything again",
                        strerror(-r));
        s->broken = true;
}

/* -ENOSPC when the new area is too small for all and `need` bytes beside, -ENOMEM when there are no
 * pages for that. */
static int write_all_mounts(struct snapshot *s, size_t size, size_t need)
{
        struct journal *j;

        int r = journal_new(size, s->plain, &j);
        if (r < 0)
                return r;
        pthread_mutex_lock(&s->lock);
        s->next = j;
        s->next_error = 0;
        s->outdated = false; /* what is forgotten from here on may be in it already */
        pthread_mutex_unlock(&s->lock);

        for (struct snapshot_mount *m = s->mounts; m; m = m->next)
                m->dump(m->userdata, m);
        size_t live = journal_used(j);
        pthread_mutex_lock(&s->lock);
        r = s->next_error;
        pthread_mutex_unlock(&s->lock);
        if (r == 0)
                r = journal_make_room(j, need - slack(s), slack(s));
        if (r == 0)
                r = s->cfg.hand_over(s->cfg.userdata, journal_fd(j));

        pthread_mutex_lock(&s->lock);
        struct journal *old = r == 0 ? s->current : j;
        if (r == 0) {
                s->current = j;
                s->live = live;
                s->broken = false;
        }
        s->next = NULL;
        for (struct snapshot_mount *m = s->mounts; m; m = m->next)
                m->in_next = false;
        pthread_mutex_unlock(&s->lock);
        journal_free(old);
        return r;
}

static int change_area(struct snapshot *s, size_t need)
{
        /* As large as what was true the last time, not as what was written since, or areas would
         * grow for ever. What is true now is known only when it has been written. */
        size_t size = MAX(2 * (s->live + need), JOURNAL_SIZE_MIN);
        if (!s->current)
                size = MAX(size, MIN(s->first, JOURNAL_SIZE_MAX));
        int r;
        do {
                r = write_all_mounts(s, size, need);
                if (r == -ENOMEM && !s->plain) {
                        log_info("the snapshot for a successor is kept in ordinary memory from "
                                 "here on: there is no more of the secret kind");
                        s->plain = true;
                        r = write_all_mounts(s, size, need);
                }
                size *= 2;
        } while (r == -ENOSPC && size <= JOURNAL_SIZE_MAX);
        return r;
}

void snapshot_make_room(struct snapshot_mount *m, size_t len)
{
        struct snapshot *s = m->snapshot;
        size_t need = len + slack(s);

        if (s->current && !s->broken && journal_make_room(s->current, len, slack(s)) == 0)
                return;
        int r = change_area(s, need);
        if (r < 0)
                give_up(s, r);
}

void snapshot_renew(struct snapshot *s)
{
        int r = s->current ? change_area(s, slack(s)) : 0;

        if (r < 0)
                log_debug("old versions stay in the snapshot for a while: %s", strerror(-r));
}

/* Which journals a record of this mount goes to; under the lock. */
static unsigned targets(struct snapshot_mount *m, struct journal *ret[2])
{
        struct snapshot *s = m->snapshot;
        unsigned n = 0;

        if (s->current && !m->dumping)
                ret[n++] = s->current;
        if (s->next && (m->dumping || m->in_next))
                ret[n++] = s->next;
        return n;
}

static void check(struct snapshot *s, const struct journal *j, int r)
{
        if (r == 0)
                return;
        if (j == s->next)
                s->next_error = r;
        else
                give_up(s, r);
}

void snapshot_put_node(
        struct snapshot_mount *m, enum record_type type, const struct record_node *node)
{
        struct journal *j[2];

        pthread_mutex_lock(&m->snapshot->lock);
        for (unsigned n = targets(m, j); n > 0; n--)
                check(m->snapshot, j[n - 1], record_put_node(j[n - 1], type, m->id, node));
        pthread_mutex_unlock(&m->snapshot->lock);
}

void snapshot_put_event(
        struct snapshot_mount *m, enum record_type type, const struct record_event *event)
{
        struct journal *j[2];

        pthread_mutex_lock(&m->snapshot->lock);
        if (type == RECORD_FORGOTTEN || type == RECORD_UNSTAGED)
                note_outdated(m->snapshot);
        for (unsigned n = targets(m, j); n > 0; n--) {
                /* What the kernel forgot is dropped at the next change of area anyway. */
                bool may_fail = type == RECORD_FORGOTTEN;
                int r = record_put_event(j[n - 1], type, m->id, event, !may_fail);
                if (!may_fail)
                        check(m->snapshot, j[n - 1], r);
        }
        pthread_mutex_unlock(&m->snapshot->lock);
}

void snapshot_put_raw(
        struct snapshot_mount *m, enum record_type type, const struct iovec *parts, size_t n_parts)
{
        struct journal *j[2];

        pthread_mutex_lock(&m->snapshot->lock);
        for (unsigned n = targets(m, j); n > 0; n--)
                check(m->snapshot, j[n - 1],
                        journal_append(j[n - 1], (uint32_t)type, m->id, parts, n_parts, true));
        pthread_mutex_unlock(&m->snapshot->lock);
}

int snapshot_fd(const struct snapshot *s)
{
        return s->current ? journal_fd(s->current) : -EBADF;
}

size_t snapshot_size(struct snapshot *s)
{
        pthread_mutex_lock(&s->lock);
        size_t n = s->current ? journal_size(s->current) : 0;
        pthread_mutex_unlock(&s->lock);
        return n;
}
