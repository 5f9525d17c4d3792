/* The MOUNT and INIT records. What a successor does with them: tests/unit/fs/adopt.c. */
#include "fs/mount_private.h"

#include <criterion/criterion.h>
#include <fcntl.h>

#include "tests/unit/fs/stage.h"

static struct stage stage;

static void init(void)
{
        stage_new(&stage);
}

static void fini(void)
{
        stage_done(&stage);
}

TestSuite(mount_record, .init = init, .fini = fini, .timeout = 120);

static struct fs_mount *made(struct sec *state)
{
        struct fs_mount_config cfg = {.mountpoint = "/mnt/a b",
                .uid = 11,
                .gid = 12,
                .mode = 0440,
                .allow_other = true,
                .xattr = true,
                .grace = 1500,
                .state = state};
        struct fs_mount *m;

        cr_assert_eq(fs_mount_make(stage.fs, 5, &cfg, &m), 0);
        return m;
}

/* The mount as the next area would have it. */
static struct journal *written(struct fs_mount *m)
{
        struct journal *j;

        cr_assert_eq(tree_set_snapshot(m->tree, stage.fs->snapshot, 5), 0);
        tree_make_room(m->tree, fs_mount_record_size(m));
        cr_assert(stage_quiet(&stage));
        cr_assert_eq(journal_open(fcntl(stage.area, F_DUPFD_CLOEXEC, 3), &j), 0);
        return j;
}

Test(mount_record, a_mount_comes_back_with_all_it_had)
{
        struct sec *state;
        struct journal_record r;
        struct fs_mount *m, *again;
        size_t offset = 0;

        cr_assert_eq(sec_new("owner\0secret", 12, &state), 0);
        m = made(state);
        memset(m->init, 'i', 104);
        m->init_len = 104;
        struct journal *j = written(m);
        cr_assert(journal_next(j, &offset, &r));
        cr_assert_eq(r.type, RECORD_MOUNT);
        cr_assert_eq(r.mount, 5);
        cr_assert_leq(r.len, fs_mount_record_size(m), "the room that is made for it");
        cr_assert_eq(fs_mount_restore(stage.fs, 5, &r, &again), 0);
        cr_assert_str_eq(again->mountpoint, "/mnt/a b");
        cr_assert_eq(again->cfg.uid, 11);
        cr_assert_eq(again->cfg.gid, 12);
        cr_assert_eq(again->cfg.mode, 0440);
        cr_assert(again->cfg.allow_other && again->cfg.xattr && !again->cfg.privileged);
        cr_assert_eq(again->cfg.grace, 1500);
        cr_assert(sec_equal(fs_mount_state(again), state));

        cr_assert(journal_next(j, &offset, &r));
        cr_assert_eq(r.type, RECORD_INIT);
        cr_assert_eq(fs_mount_replay(again, &r), 0);
        cr_assert_eq(again->init_len, 104);
        cr_assert_arr_eq(again->init, m->init, 104);
        offset = 0;
        cr_assert(journal_next(j, &offset, &r));
        cr_assert_eq(fs_mount_replay(again, &r), 0, "said twice");
        journal_free(j);
        sec_unref(state);
        fs_mount_drop(again);
        fs_mount_drop(m);
}

Test(mount_record, without_an_owners_state_and_without_init)
{
        struct journal_record r;
        struct fs_mount *m = made(NULL), *again;
        size_t offset = 0;
        struct journal *j = written(m);

        cr_assert(journal_next(j, &offset, &r));
        cr_assert_eq(fs_mount_restore(stage.fs, 5, &r, &again), 0);
        cr_assert_null(fs_mount_state(again));
        cr_assert(journal_next(j, &offset, &r));
        cr_assert_neq(r.type, RECORD_INIT);

        /* It was never ready: fd is taken all the same. */
        int kernel, daemon;
        struct answer *a = malloc(sizeof *a);
        fuse_pair(&kernel, &daemon);
        cr_assert_not_null(a);
        cr_assert_eq(fs_mount_resume(again, daemon), -ENODATA);
        cr_assert_not(get_answer(kernel, a));
        free(a);
        safe_close(kernel);
        journal_free(j);
        fs_mount_drop(again);
        fs_mount_drop(m);
}

Test(mount_record, the_generation_before_stays_a_minute_at_most)
{
        static const struct {
                usec_t asked, is;
        } cases[] = {{0, FS_GRACE_MAX}, {1, 1}, {FS_GRACE_MAX, FS_GRACE_MAX},
                {FS_GRACE_MAX + 1, FS_GRACE_MAX}, {UINT64_MAX, FS_GRACE_MAX}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct fs_mount_config cfg = {.mountpoint = "/mnt", .grace = cases[i].asked};
                struct fs_mount *m;
                cr_assert_eq(fs_mount_make(stage.fs, 5, &cfg, &m), 0);
                cr_assert_eq(m->cfg.grace, cases[i].is);
                fs_mount_drop(m);
        }
}

/* Every byte changed, every length: an answer, and nothing else. */
Test(mount_record, any_damage_is_met_with_an_answer)
{
        struct sec *state;
        struct journal_record r;
        struct fs_mount *m, *again;
        size_t offset = 0;
        unsigned refused = 0;

        cr_assert_eq(sec_new("state", 5, &state), 0);
        m = made(state);
        struct journal *j = written(m);
        cr_assert(journal_next(j, &offset, &r));
        unsigned char *copy = calloc(1, r.len + 8);
        cr_assert_not_null(copy);
        struct journal_record bent = {.type = RECORD_MOUNT, .mount = 5, .data = copy};
        for (bent.len = 0; bent.len < r.len + 8; bent.len++) {
                memset(copy, 0, r.len + 8);
                memcpy(copy, r.data, MIN(bent.len, r.len));
                int e = fs_mount_restore(stage.fs, 5, &bent, &again);
                cr_assert_eq(e, bent.len == r.len ? 0 : -EBADMSG);
                if (e == 0)
                        fs_mount_drop(again);
        }
        bent.len = r.len;
        for (size_t i = 0; i < r.len; i++)
                for (unsigned bit = 0; bit < 8; bit++) {
                        memcpy(copy, r.data, r.len);
                        copy[i] = (unsigned char)(copy[i] ^ 1U << bit);
                        if (fs_mount_restore(stage.fs, 5, &bent, &again) == 0)
                                fs_mount_drop(again);
                        else
                                refused++;
                }
        cr_assert_gt(refused, 8 * 12, "lengths and the path at the least");
        free(copy);

        char endless[SESSION_INIT_MAX + 1] = "";
        struct journal_record init = {.type = RECORD_INIT, .data = endless, .len = sizeof endless};
        cr_assert_eq(fs_mount_replay(m, &init), -EBADMSG);
        cr_assert_eq(m->init_len, 0);
        init.len--;
        cr_assert_eq(fs_mount_replay(m, &init), 0);
        journal_free(j);
        sec_unref(state);
        fs_mount_drop(m);
}
