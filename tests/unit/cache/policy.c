/* What becomes of a file when its object changes state: each cause, kept and taken away. */
#include <criterion/criterion.h>

#include "scene.h"

static struct scene s;
static struct watcher w;

static void set_up(void)
{
        scene_new(&s);
        fake_set(s.fake, "db", "hunter2");
        scene_add(&s, "db", "db");
        fake_set(s.fake, "api", "key");
        scene_add(&s, "api", "api");
}

static void tear_down(void)
{
        watch_end(&w);
        scene_free(&s);
}

TestSuite(policy, .init = set_up, .fini = tear_down);

static void open_with(struct view_policy p)
{
        s.policy = p;
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.ready, 1);
        cr_assert_eq(w.n_errors, 0);
}

static enum view_trouble trouble_of(size_t i)
{
        return view_file_trouble(w.view, i);
}

static void delete_db(void)
{
        fake_delete(s.fake, "db");
}

static void disable_db(void)
{
        fake_enable(s.fake, "db", "v1", false);
}

static void expire_db(void)
{
        fake_expires(s.fake, "db", loop_wall(s.loop) + 1);
}

static void forbid_db(void)
{
        fake_fail(s.fake, NULL, NULL, "db", ERR_FORBIDDEN, 0, FAKE_FOREVER);
}

static const struct {
        void (*happens)(void);
        enum view_trouble trouble;
        struct view_policy remove;
} cases[] = {
        {delete_db, VIEW_DELETED, {.remove_deleted = true}},
        {disable_db, VIEW_DISABLED, {.remove_disabled = true}},
        {expire_db, VIEW_EXPIRED, {.remove_expired = true}},
        {forbid_db, VIEW_FORBIDDEN, {.remove_forbidden = true}},
};

static void kept(size_t i, struct view_policy policy)
{
        open_with(policy);
        cases[i].happens();
        run_for(s.loop, 3 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "db"), "hunter2", "case %zu", i);
        cr_assert_eq(trouble_of(0), cases[i].trouble, "case %zu", i);
        cr_assert_eq(trouble_of(1), VIEW_FINE);
        cr_assert_eq(w.removed + w.denied, 0);
        cr_assert_eq(view_n_absent(w.view), 0);
}

static void taken(size_t i)
{
        struct view_absent a;

        open_with(cases[i].remove);
        cases[i].happens();
        run_for(s.loop, 3 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "db"), "(none)", "case %zu", i);
        cr_assert_str_eq(watch_read(&w, "api"), "key", "case %zu", i);
        bool forbidden = cases[i].trouble == VIEW_FORBIDDEN;
        cr_assert_eq(w.removed, forbidden ? 0 : 1);
        cr_assert_eq(w.denied, forbidden ? 1 : 0);
        cr_assert_str_eq(forbidden ? w.denied_paths[0] : w.gone[0], "db");
        cr_assert_eq(view_n_absent(w.view), 1);
        view_get_absent(w.view, 0, &a);
        cr_assert_str_eq(a.object->file, "db");
        cr_assert_eq(a.trouble, cases[i].trouble);
        cr_assert_not_null(a.state.error);

        /* Told once, and back when the vault gives it again. */
        fake_mend(s.fake);
        fake_set(s.fake, "db", "again");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "db"), "again", "case %zu", i);
        cr_assert_eq(w.removed + w.denied, 1);
        cr_assert_eq(view_n_absent(w.view), 0);
        cr_assert_eq(trouble_of(0), VIEW_FINE);
}

Test(policy, deleted_is_kept)
{
        kept(0, (struct view_policy){0});
}

Test(policy, disabled_is_kept)
{
        kept(1, (struct view_policy){0});
}

Test(policy, expired_is_kept)
{
        kept(2, (struct view_policy){0});
}

Test(policy, forbidden_is_kept)
{
        kept(3, (struct view_policy){0});
}

/* Each switch is for its own cause. */
Test(policy, the_others_switches_do_not_count)
{
        kept(0, (struct view_policy){
                        .remove_disabled = true, .remove_expired = true, .remove_forbidden = true});
}

Test(policy, deleted_is_taken_away)
{
        taken(0);
}

Test(policy, disabled_is_taken_away)
{
        taken(1);
}

Test(policy, expired_is_taken_away)
{
        taken(2);
}

Test(policy, forbidden_is_refused)
{
        taken(3);
}

static const struct view_policy all = {true, true, true, true};

Test(policy, a_vault_that_does_not_answer_always_keeps)
{
        static const enum err_cause causes[] = {ERR_DNS, ERR_CONNECT, ERR_TIMEOUT, ERR_TLS,
                ERR_AUTH, ERR_THROTTLED, ERR_SERVICE, ERR_OTHER};

        open_with(all);
        for (size_t i = 0; i < ELEMENTSOF(causes); i++) {
                fake_fail(s.fake, NULL, NULL, NULL, causes[i], 0, FAKE_FOREVER);
                run_for(s.loop, 2 * INTERVAL);
                cr_assert_str_eq(watch_read(&w, "db"), "hunter2", "cause %zu", i);
                cr_assert_eq(trouble_of(0), VIEW_FAILING);
                fake_mend(s.fake);
                run_for(s.loop, 3 * INTERVAL);
                cr_assert_eq(trouble_of(0), VIEW_FINE);
        }
        cr_assert_eq(w.removed + w.denied + w.changed, 0);
}

Test(policy, what_was_taken_stays_away_while_nobody_knows_better)
{
        open_with(all);
        fake_delete(s.fake, "db");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "db"), "(none)");
        fake_fail(s.fake, NULL, NULL, NULL, ERR_CONNECT, 0, FAKE_FOREVER);
        run_for(s.loop, 3 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "db"), "(none)");
        cr_assert_eq(w.removed, 1);
}

Test(policy, deleted_and_then_forbidden_is_refused_and_the_reverse)
{
        open_with(all);
        forbid_db();
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(w.denied, 1);
        fake_mend(s.fake);
        fake_delete(s.fake, "db");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(w.removed, 1, "from refused to not there");
        cr_assert_str_eq(w.gone[0], "db");
        forbid_db();
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(w.denied, 2);
}

Test(policy, expiry_is_seen_without_any_poll)
{
        s.policy = all;
        fake_expires(s.fake, "db", loop_wall(s.loop) + 3600);
        watch(&w, &s, CACHE_NO_POLL);
        run_for(s.loop, 59 * MINUTE);
        cr_assert_str_eq(watch_read(&w, "db"), "hunter2");
        run_for(s.loop, 2 * MINUTE);
        cr_assert_str_eq(watch_read(&w, "db"), "(none)");
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, "db"), 1);
}

Test(policy, expired_already_is_no_mount)
{
        s.policy = all;
        fake_expires(s.fake, "db", loop_wall(s.loop) - 1);
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.n_errors, 1);
        cr_assert(startswith(err_text(&w.errors[0]), "object db: it has expired"));
}

Test(policy, a_history_goes_and_comes_as_a_whole)
{
        s.class.objects[0].history = 3;
        fake_set(s.fake, "db", "second");
        open_with(all);
        cr_assert_str_eq(watch_read(&w, "db/0"), "second");
        fake_delete(s.fake, "db");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(w.removed, 1);
        cr_assert_eq(w.n_gone, 2);
        cr_assert_str_eq(watch_read(&w, "db/0"), "(none)");
        fake_set(s.fake, "db", "third");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "db/0"), "third");
        cr_assert_str_eq(watch_read(&w, "db/1"), "(none)");
}

/* After a change of worker: what was taken away before must not keep the rest from going on. */
Test(policy, an_adopted_view_opens_without_what_is_taken)
{
        s.policy = all;
        s.adopted = true;
        forbid_db();
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.ready, 1);
        cr_assert_eq(w.n_errors, 0);
        cr_assert_str_eq(watch_read(&w, "api"), "key");
        cr_assert_eq(w.denied, 1, "the mount has to be told that it is refused");
        cr_assert_str_eq(w.denied_paths[0], "db");
}

Test(policy, an_adopted_view_keeps_waiting_for_what_is_kept)
{
        s.adopted = true;
        fake_delete(s.fake, "db");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.n_errors, 1);
}

/* --- optional --- */

Test(policy, a_missing_optional_object_is_absent)
{
        struct view_absent a;

        s.class.objects[0].optional = true;
        fake_delete(s.fake, "db");
        open_with((struct view_policy){0});
        cr_assert_str_eq(watch_read(&w, "db"), "(none)");
        cr_assert_eq(view_n_absent(w.view), 1);
        view_get_absent(w.view, 0, &a);
        cr_assert_eq(a.trouble, VIEW_DELETED);
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.refreshed, 1);
        cr_assert_eq(w.refresh_error.code, 0, "that it is missing is no failure");

        fake_set(s.fake, "db", "there");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(w.changed, 1);
        cr_assert_str_eq(watch_read(&w, "db"), "there");

        /* From then on it is an object like any other. */
        fake_delete(s.fake, "db");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "db"), "there");
}

Test(policy, a_disabled_optional_object_is_absent)
{
        s.class.objects[0].optional = true;
        disable_db();
        open_with((struct view_policy){0});
        cr_assert_str_eq(watch_read(&w, "db"), "(none)");
}

Test(policy, an_optional_history_may_be_missing)
{
        s.class.objects[0].optional = true;
        s.class.objects[0].history = 2;
        fake_delete(s.fake, "db");
        open_with((struct view_policy){0});
        fake_set(s.fake, "db", "one");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "db/0"), "one");
}

Test(policy, optional_excuses_nothing_else)
{
        s.policy = all;
        s.class.objects[0].optional = true;
        forbid_db();
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.n_errors, 1);
        cr_assert_eq(w.errors[0].cause, ERR_FORBIDDEN);
}

/* --- several vaults --- */

Test(policy, each_object_comes_from_its_own_vault)
{
        s.class.objects[1].vault = (char *)"other";
        open_with((struct view_policy){0});
        cr_assert_eq(fake_requests(s.fake, FAKE_URL, NULL, "db"), 1);
        cr_assert_eq(fake_requests(s.fake, FAKE_URL_2, NULL, "api"), 1);
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, NULL), 2);

        /* One that throttles does not hold up the other. */
        fake_fail(s.fake, FAKE_URL_2, NULL, NULL, ERR_THROTTLED, 600, 1);
        run_for(s.loop, INTERVAL + INTERVAL / 5);
        unsigned n = fake_requests(s.fake, FAKE_URL, NULL, NULL);
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_gt(fake_requests(s.fake, FAKE_URL, NULL, NULL), n);
        cr_assert_eq(fake_requests(s.fake, FAKE_URL_2, NULL, NULL), 2);
}

Test(policy, the_same_name_in_two_vaults_is_two_objects)
{
        s.class.objects[1].vault = (char *)"other";
        free(s.class.objects[1].name);
        s.class.objects[1].name = strdup("db");
        open_with((struct view_policy){0});
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, "db"), 2);
        cr_assert_neq(strcmp(watch_file(&w, "db")->object_id, watch_file(&w, "api")->object_id), 0);
}

Test(policy, a_vault_that_nobody_opened_is_refused)
{
        static const struct view_events none = {0};
        const struct view_config cfg = {.class = &s.class, .vault = s.vault};
        _cleanup_err_ struct err e = {0};
        struct view *v = NULL;

        s.class.objects[0].vault = (char *)"third";
        cr_assert_eq(view_open(s.cache, &cfg, &none, NULL, &v, &e), -EINVAL);
        cr_assert_null(v);
}
