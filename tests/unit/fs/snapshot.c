#include "fs/snapshot.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>

#include "tests/unit/fs/support.h"

/* The keeper's side: the newest area, and how many came. */
static struct {
        int fd, result;
        unsigned areas, outdated;
} keeper;

static int take(void *userdata, int fd)
{
        if (keeper.result < 0)
                return keeper.result;
        safe_close(keeper.fd);
        keeper.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        cr_assert_geq(keeper.fd, 0);
        keeper.areas++;
        return 0;
}

static void on_outdated(void *userdata)
{
        keeper.outdated++;
}

/* A mount that is a count of blobs of one size; an event during a dump may be asked for. */
struct blobs {
        struct snapshot_mount *mount;
        unsigned n;
        size_t size;
        void (*before)(void), (*after)(void);
};

static void put_blob(struct snapshot_mount *m, size_t size)
{
        char *p = calloc(1, size);
        struct iovec part = {p, size};

        cr_assert_not_null(p);
        snapshot_put_raw(m, RECORD_INIT, &part, 1);
        free(p);
}

static void put_event(struct snapshot_mount *m, enum record_type type, uint64_t id)
{
        const struct record_event event = {.id = id};

        snapshot_put_event(m, type, &event);
}

static void dump(void *userdata, struct snapshot_mount *m)
{
        struct blobs *b = userdata;

        if (b->before)
                b->before();
        snapshot_dump_begin(m);
        for (unsigned i = 0; i < b->n; i++)
                put_blob(m, b->size);
        snapshot_dump_end(m);
        if (b->after)
                b->after();
}

static struct snapshot *snapshot;

static void init(void)
{
        struct snapshot_config cfg = {.hand_over = take, .outdated = on_outdated};

        keeper.fd = -EBADF;
        cr_assert_eq(snapshot_new(&cfg, &snapshot), 0);
}

static void fini(void)
{
        snapshot_free(snapshot);
        safe_close(keeper.fd);
}

TestSuite(snapshot, .init = init, .fini = fini, .timeout = 120);

static void add(struct blobs *b, uint64_t id)
{
        cr_assert_eq(snapshot_add(snapshot, id, dump, b, &b->mount), 0);
}

/* Records of that type and mount in an area. */
static unsigned count_in(int fd, uint32_t type, uint64_t mount)
{
        struct journal *j;
        struct journal_record r;
        size_t offset = 0;
        unsigned n = 0;

        cr_assert_eq(journal_open(fcntl(fd, F_DUPFD_CLOEXEC, 3), &j), 0);
        while (journal_next(j, &offset, &r))
                n += r.type == type && r.mount == mount;
        journal_free(j);
        return n;
}

/* In the one that the keeper has. */
static unsigned count(uint32_t type, uint64_t mount)
{
        return count_in(keeper.fd, type, mount);
}

Test(snapshot, nothing_is_written_before_there_is_an_area)
{
        struct blobs b = {.size = 10};

        add(&b, 3);
        put_blob(b.mount, 10);
        cr_assert_eq(snapshot_size(snapshot), 0);
        snapshot_make_room(b.mount, 100);
        cr_assert_eq(keeper.areas, 1);
        cr_assert_gt(snapshot_size(snapshot), 100);
        cr_assert_eq(count(RECORD_INIT, 3), 0);
        put_blob(b.mount, 10);
        cr_assert_eq(count(RECORD_INIT, 3), 1);
        snapshot_remove(b.mount);
        cr_assert_eq(count(RECORD_GONE, 3), 1);
        snapshot_remove(NULL);
        snapshot_free(NULL);
}

Test(snapshot, a_full_area_is_changed_for_a_new_one_with_what_is_true)
{
        struct blobs a = {.size = 1000, .n = 3}, b = {.size = 500, .n = 2};

        add(&a, 1);
        add(&b, 2);
        snapshot_make_room(a.mount, 100);
        cr_assert_eq(keeper.areas, 1);
        while (keeper.areas == 1) {
                snapshot_make_room(a.mount, 2000);
                put_blob(a.mount, 2000);
        }
        cr_assert_eq(keeper.areas, 2);
        cr_assert_eq(count(RECORD_INIT, 1), 4, "three that are true, and the one after");
        cr_assert_eq(count(RECORD_INIT, 2), 2);
        snapshot_remove(a.mount);
        snapshot_remove(b.mount);
}

/* Without a descriptor there is no secret memory, for as long as the process lives. */
static void lose_secret_memory(void)
{
        _cleanup_sec_ struct sec *s = NULL;
        static const char big[300000] = "";
        struct rlimit was, none;

        cr_assert_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
        none = was;
        none.rlim_cur = 0;
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        cr_assert_eq(sec_new(big, sizeof big, &s), 0);
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
        cr_assert_neq(sec_kind(), SEC_KIND_SECRET);
}

/* The only area there is loses its pages, once. */
static void starve(void)
{
        static bool done;
        char path[64], target[64];

        for (int fd = 3; fd < 100 && !done; fd++) {
                (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
                ssize_t n = readlink(path, target, sizeof target - 1);
                target[MAX(n, (ssize_t)0)] = '\0';
                if (!strstr(target, "akvfs-journal"))
                        continue;
                cr_assert_eq(ftruncate(fd, 4096), 0);
                done = true;
        }
        cr_assert(done);
}

Test(snapshot, memory_that_runs_out_in_the_middle_of_an_area)
{
        struct blobs b = {.size = 1000, .n = 20, .before = starve};

        lose_secret_memory();
        add(&b, 1);
        snapshot_make_room(b.mount, 100);
        cr_assert_eq(keeper.areas, 1, "the one after it is whole");
        cr_assert_eq(count(RECORD_INIT, 1), 20);
        snapshot_remove(b.mount);
}

/* After making room that room is there, however much the mounts had to write themselves. */
Test(snapshot, room_that_was_made_is_there)
{
        enum { LEN = 100000 };

        for (size_t size = 1000; size < 400000; size += 12345) {
                struct blobs b = {.size = size, .n = 3};
                struct blobs other = {.size = 1000, .n = (unsigned)(size / 100)};
                unsigned areas = keeper.areas;

                add(&b, 1);
                add(&other, 2);
                snapshot_make_room(b.mount, LEN);
                cr_assert_geq(keeper.areas, areas);
                put_blob(b.mount, LEN - 64);
                put_event(b.mount, RECORD_APPLIED, 1);
                if (keeper.areas > areas) {
                        cr_assert_eq(count(RECORD_INIT, 1), 4, "%zu", size);
                        cr_assert_eq(count(RECORD_APPLIED, 1), 1);
                }
                snapshot_remove(b.mount);
                snapshot_remove(other.mount);
                fini();
                init();
        }
}

static struct blobs *early;

static void applied_early(void)
{
        put_event(early->mount, RECORD_APPLIED, 1);
}

/* While an area is being written, what happens in a mount that is in it already goes to both, and
 * what happens in one that is not will be written by itself. */
Test(snapshot, what_happens_meanwhile_is_in_both_or_in_what_follows)
{
        struct blobs a = {.size = 10, .n = 1}, b = {.size = 10, .n = 1};

        add(&a, 1);
        add(&b, 2); /* the one added last is written first */
        snapshot_make_room(a.mount, 100);
        int old = fcntl(keeper.fd, F_DUPFD_CLOEXEC, 3);

        early = &b;
        a.before = applied_early; /* b is written, a is not yet */
        while (keeper.areas == 1) {
                snapshot_make_room(a.mount, 20000);
                put_blob(a.mount, 20000);
        }
        cr_assert_eq(count(RECORD_APPLIED, 2), 1, "in the new area");
        cr_assert_eq(count_in(old, RECORD_APPLIED, 2), 1, "and in the old one, were this the end");

        early = &a;
        a.before = NULL;
        b.before = applied_early; /* none is written */
        unsigned areas = keeper.areas;
        safe_close(old);
        old = fcntl(keeper.fd, F_DUPFD_CLOEXEC, 3);
        while (keeper.areas == areas) {
                snapshot_make_room(a.mount, 20000);
                put_blob(a.mount, 20000);
        }
        cr_assert_eq(count(RECORD_APPLIED, 1), 0, "part of what it writes itself");
        cr_assert_eq(count_in(old, RECORD_APPLIED, 1), 1);
        safe_close(old);
        snapshot_remove(a.mount);
        snapshot_remove(b.mount);
}

Test(snapshot, an_area_that_the_keeper_did_not_get_is_not_used)
{
        struct blobs b = {.size = 10, .n = 1};

        add(&b, 1);
        snapshot_make_room(b.mount, 100);
        unsigned areas = keeper.areas;
        keeper.result = -EPIPE;
        for (int i = 0; i < 100; i++) {
                snapshot_make_room(b.mount, 20000);
                put_blob(b.mount, 20000);
        }
        cr_assert_eq(keeper.areas, areas);
        keeper.result = 0;
        /* What was lost meanwhile is made good at the next occasion. */
        snapshot_make_room(b.mount, 100);
        cr_assert_eq(keeper.areas, areas + 1);
        cr_assert_eq(count(RECORD_INIT, 1), 1);
        snapshot_remove(b.mount);
}

/* Ever so many changes of a mount that stays as large as it is. */
Test(snapshot, areas_do_not_grow_with_what_was_once_true)
{
        struct blobs b = {.size = 1000, .n = 20};

        add(&b, 1);
        while (keeper.areas < 200) {
                snapshot_make_room(b.mount, 30000);
                put_blob(b.mount, 30000);
        }
        cr_assert_leq(snapshot_size(snapshot), 2 * JOURNAL_SIZE_MIN);
        snapshot_remove(b.mount);
}

/* A successor knows how large the last worker's area was, and does not have to find it out. */
Test(snapshot, the_first_area_is_as_large_as_the_last_workers)
{
        struct blobs b = {.size = 100000, .n = 20};

        snapshot_expect(snapshot, 16 * JOURNAL_SIZE_MIN);
        add(&b, 1);
        snapshot_make_room(b.mount, 100);
        cr_assert_gt(snapshot_size(snapshot), 15 * JOURNAL_SIZE_MIN);
        cr_assert_eq(keeper.areas, 1);
        cr_assert_eq(count(RECORD_INIT, 1), 20);
        /* The next one is as large as what is true. */
        b.n = 1;
        while (keeper.areas < 3) {
                snapshot_make_room(b.mount, 100000);
                put_blob(b.mount, 100000);
        }
        cr_assert_lt(snapshot_size(snapshot), 4 * JOURNAL_SIZE_MIN);
        snapshot_remove(b.mount);
}

Test(snapshot, what_the_kernel_forgot_never_takes_the_room_of_others)
{
        struct blobs b = {.size = 10, .n = 1};

        add(&b, 1);
        snapshot_make_room(b.mount, 100);
        for (uint64_t i = 0; i < 100000; i++)
                put_event(b.mount, RECORD_FORGOTTEN, i);
        unsigned areas = keeper.areas;
        put_event(b.mount, RECORD_APPLIED, 1);
        cr_assert_eq(count(RECORD_APPLIED, 1), 1);
        cr_assert_eq(keeper.areas, areas);
        snapshot_remove(b.mount);
}

static _Atomic bool stop;

static void *apply_for_ever(void *userdata)
{
        struct blobs *b = userdata;
        uint64_t n = 0;

        while (!stop && n < 1000000) {
                put_event(b->mount, RECORD_FORGOTTEN, ++n);
        }
        return NULL;
}

Test(snapshot, threads_write_while_areas_change)
{
        struct blobs a = {.size = 100, .n = 10}, b = {.size = 100, .n = 10};
        pthread_t t;

        add(&a, 1);
        add(&b, 2);
        snapshot_make_room(a.mount, 100);
        cr_assert_eq(pthread_create(&t, NULL, apply_for_ever, &b), 0);
        while (keeper.areas < 30) {
                snapshot_make_room(a.mount, 40000); /* FORGOTTEN takes of it */
                put_blob(a.mount, 20000);
        }
        stop = true;
        cr_assert_eq(pthread_join(t, NULL), 0);
        cr_assert_geq(count(RECORD_INIT, 2), 10);
        snapshot_remove(a.mount);
        snapshot_remove(b.mount);
}

/* Whoever rotates a secret wants the old one gone, not merely unused. */
Test(snapshot, what_is_over_is_told_once_and_gone_from_a_renewed_area)
{
        struct blobs b = {.n = 1, .size = 64}, other = {.n = 1, .size = 64};

        snapshot_renew(snapshot);
        cr_assert_eq(keeper.areas, 0, "there was nothing to renew");
        add(&b, 3);
        add(&other, 4);
        snapshot_make_room(b.mount, 1000);
        put_blob(b.mount, 64);
        put_blob(b.mount, 64);
        cr_assert_eq(keeper.outdated, 0);
        put_event(b.mount, RECORD_APPLIED, 7);
        cr_assert_eq(keeper.outdated, 0, "nothing is over by that");
        put_event(b.mount, RECORD_FORGOTTEN, 7);
        put_event(b.mount, RECORD_FORGOTTEN, 8);
        cr_assert_eq(keeper.outdated, 1);
        cr_assert_eq(count(RECORD_INIT, 3), 3);
        snapshot_renew(snapshot);
        cr_assert_eq(keeper.areas, 2);
        cr_assert_eq(count(RECORD_INIT, 3), 1);
        cr_assert_eq(count(RECORD_FORGOTTEN, 3), 0);

        keeper.result = -EPIPE;
        put_event(b.mount, RECORD_UNSTAGED, 9);
        cr_assert_eq(keeper.outdated, 2, "again for the new one");
        snapshot_renew(snapshot);
        cr_assert_eq(count(RECORD_UNSTAGED, 3), 1, "the old one is still in use");
        keeper.result = 0;
        snapshot_remove(other.mount);
        cr_assert_eq(keeper.outdated, 3, "a mount that is gone is over");
        snapshot_renew(snapshot);
        cr_assert_eq(count(RECORD_INIT, 4) + count(RECORD_GONE, 4), 0);
        cr_assert_eq(count(RECORD_INIT, 3), 1);
        snapshot_remove(b.mount);
}
