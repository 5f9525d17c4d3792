#include "cache/view.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "scene.h"

static struct scene s;
static struct watcher w, w2;

static void set_up(void)
{
        scene_new(&s);
        fake_set(s.fake, "db", "hunter2");
        fake_set(s.fake, "api", "key");
}

static void tear_down(void)
{
        watch_end(&w);
        watch_end(&w2);
        scene_free(&s);
}

TestSuite(view, .init = set_up, .fini = tear_down);

/* --- opening --- */

Test(view, is_ready_with_all_files_in_the_order_of_the_class)
{
        struct view_file *const *files;

        scene_add(&s, "slow", "db");
        scene_add(&s, "tls/key", "api")->mode = 0400;
        fake_latency(s.fake, "db", 300 * USEC_PER_MSEC);
        watch(&w, &s, INTERVAL);
        cr_assert_eq(view_files(w.view, NULL), 0);
        run_for(s.loop, 200 * USEC_PER_MSEC);
        cr_assert_eq(w.ready, 0);
        cr_assert_eq(w.have, 1);
        cr_assert_eq(w.of, 2);
        cr_assert_eq(view_files(w.view, &files), 0, "none before all");
        run_for(s.loop, SECOND);
        cr_assert_eq(w.ready, 1);
        cr_assert_eq(w.n_errors, 0);
        cr_assert_eq(w.have, 2);
        cr_assert_eq(view_files(w.view, &files), 2);
        cr_assert_str_eq(files[0]->path, "slow");
        cr_assert_str_eq(files[1]->path, "tls/key");
        cr_assert_eq(files[0]->mode, -1);
        cr_assert_eq(files[1]->mode, 0400);
        cr_assert_neq(files[0]->serial, files[1]->serial);
        cr_assert_str_eq(watch_read(&w, "slow"), "hunter2");
        cr_assert_eq(w.changed, 0);
}

Test(view, a_class_without_objects_is_ready)
{
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.ready, 1);
        cr_assert_eq(w.n_errors, 0);
        cr_assert_eq(view_files(w.view, NULL), 0);
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.refreshed, 1);
}

Test(view, a_hundred_files_of_one_object_are_one_request)
{
        char file[16];

        for (unsigned i = 0; i < 100; i++) {
                (void)snprintf(file, sizeof file, "f%u", i);
                scene_add(&s, file, "db");
        }
        watch(&w, &s, CACHE_NO_POLL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.ready, 1);
        cr_assert_eq(view_files(w.view, NULL), 100);
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, NULL), 1);
}

Test(view, each_object_is_rendered_as_the_class_says)
{
        scene_add(&s, "plain", "db");
        scene_add(&s, "hex", "db")->encoding = SPC_ENCODING_HEX;
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_str_eq(watch_read(&w, "plain"), "hunter2");
        cr_assert_str_eq(watch_read(&w, "hex"), "HUNTER\x12");
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, NULL), 1);
}

Test(view, a_hundred_objects_are_fetched_in_parallel)
{
        char name[16];
        usec_t start = loop_now(s.loop), latency = 50 * USEC_PER_MSEC;

        for (unsigned i = 0; i < 100; i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(s.fake, name, name);
                scene_add(&s, name, name);
        }
        fake_latency(s.fake, NULL, latency);
        watch(&w, &s, INTERVAL);
        while (w.ready == 0)
                run_for(s.loop, USEC_PER_MSEC);
        cr_assert_leq(loop_now(s.loop) - start, 5 * latency);
}

Test(view, failure_has_all_reasons_in_the_order_of_the_class)
{
        scene_add(&s, "missing", "nowhere");
        scene_add(&s, "good", "db");
        scene_add(&s, "off", "disabled");
        scene_add(&s, "odd", "bad")->encoding = SPC_ENCODING_HEX;
        fake_enable(s.fake, "disabled", fake_set(s.fake, "disabled", "x"), false);
        fake_latency(s.fake, "disabled", SECOND);
        fake_set(s.fake, "bad", FAKE_UNRENDERABLE);
        watch(&w, &s, INTERVAL);
        run_for(s.loop, 10 * SECOND);
        cr_assert_eq(w.ready, 1);
        cr_assert_eq(w.n_errors, 3);
        cr_assert(startswith(err_text(&w.errors[0]), "object missing: "));
        cr_assert_eq(w.errors[0].cause, ERR_NOT_FOUND);
        cr_assert(startswith(err_text(&w.errors[1]), "object off: "));
        cr_assert_eq(w.errors[1].cause, ERR_DISABLED);
        cr_assert(startswith(err_text(&w.errors[2]), "object odd: "));
        cr_assert_eq(w.errors[2].cause, ERR_UNSUPPORTED);

        /* Nothing is left subscribed, nothing is ever asked again. */
        struct cache_stats stats;
        cache_get_stats(s.cache, &stats);
        cr_assert_eq(stats.keys, 0);
        unsigned n = fake_requests(s.fake, NULL, NULL, NULL);
        run_for(s.loop, 60 * MINUTE);
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, NULL), n);
        cr_assert_eq(view_files(w.view, NULL), 0);
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.refreshed, 1);
        cr_assert_eq(w.refresh_error.cause, ERR_NOT_FOUND);
}

Test(view, bytes_are_bounded)
{
        scene_add(&s, "a", "big");
        scene_add(&s, "b", "big");
        scene_add(&s, "c", "big");
        scene_add(&s, "d", "big");
        scene_add(&s, "e", "db");
        scene_add(&s, "f", "big");
        fake_set(s.fake, "big", "15M");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.n_errors, 1);
        cr_assert(startswith(err_text(&w.errors[0]), "object f: "), "%s", err_text(&w.errors[0]));
        cr_assert(strstr(err_text(&w.errors[0]), "64 MiB"));
        cr_assert_eq(w.errors[0].code, -EFBIG);
}

Test(view, an_object_that_grows_beyond_the_bound_keeps_its_bytes)
{
        scene_add(&s, "a", "big");
        scene_add(&s, "b", "big");
        scene_add(&s, "c", "big");
        scene_add(&s, "d", "big");
        scene_add(&s, "e", "db");
        fake_set(s.fake, "big", "15M");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.n_errors, 0);
        fake_set(s.fake, "db", "5M");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(w.changed, 0);
        cr_assert_str_eq(watch_read(&w, "e"), "hunter2");
        cr_assert_eq(watch_state(&w, "e").error->code, -EFBIG);
        /* Room that others give back is room. */
        fake_set(s.fake, "big", "14M");
        run_for(s.loop, 3 * INTERVAL);
        cr_assert_eq(sec_len(watch_file(&w, "e")->bytes), 5u << 20);
        cr_assert_null(watch_state(&w, "e").error);
}

/* --- after ready --- */

Test(view, a_rotation_is_a_change)
{
        scene_add(&s, "db", "db");
        scene_add(&s, "api", "api");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        struct view_file *old = view_file_ref(watch_file(&w, "db"));
        const char *version = fake_set(s.fake, "db", "new");
        run_for(s.loop, INTERVAL + INTERVAL / 10 + SECOND);
        cr_assert_eq(w.changed, 1);
        cr_assert_eq(w.n_paths, 1);
        cr_assert_str_eq(w.paths[0], "db");
        cr_assert_str_eq(watch_read(&w, "db"), "new");
        cr_assert_str_eq(watch_file(&w, "db")->version, version);
        cr_assert_gt(watch_file(&w, "db")->serial, old->serial);
        cr_assert_eq(
                memcmp(sec_bytes(old->bytes), "hunter2", 7), 0, "who holds the old one has it");
        view_file_unref(old);
}

Test(view, the_same_again_is_no_change)
{
        scene_add(&s, "db", "db");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        struct view_file *file = watch_file(&w, "db");
        run_for(s.loop, 60 * MINUTE);
        cr_assert_eq(w.changed, 0);
        cr_assert_eq(watch_file(&w, "db"), file);
}

Test(view, the_same_bytes_in_a_new_version_are_a_change)
{
        scene_add(&s, "db", "db");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        fake_set(s.fake, "db", "hunter2");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(w.changed, 1);
}

Test(view, a_new_time_or_expiry_is_a_change)
{
        scene_add(&s, "db", "db");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        fake_touch(s.fake, "db", 1800000000);
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(w.changed, 1);
        cr_assert_eq(watch_file(&w, "db")->mtime, 1800000000);
        fake_expires(s.fake, "db", 1900000000);
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(w.changed, 2);
        cr_assert_eq(watch_file(&w, "db")->expires, 1900000000);
}

Test(view, changes_of_one_moment_are_reported_together)
{
        char name[16];

        for (unsigned i = 0; i < ELEMENTSOF(w.paths); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(s.fake, name, "old");
                scene_add(&s, name, name);
        }
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        for (unsigned i = 0; i < ELEMENTSOF(w.paths); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(s.fake, name, "new");
        }
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.changed, 1);
        cr_assert_eq(w.n_paths, ELEMENTSOF(w.paths));
        for (unsigned i = 0; i < ELEMENTSOF(w.paths); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                cr_assert_str_eq(w.paths[i], name, "in the order of the class");
        }
}

Test(view, two_views_of_one_class_poll_once)
{
        scene_add(&s, "db", "db");
        scene_add(&s, "api", "api");
        watch(&w, &s, INTERVAL);
        watch(&w2, &s, INTERVAL);
        run_for(s.loop, 24 * 60 * MINUTE);
        unsigned n = fake_requests(s.fake, NULL, NULL, NULL);
        cr_assert(n > 1300 && n < 1610, "%u requests for two objects a day", n);
        fake_set(s.fake, "db", "new");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(w.changed, 1);
        cr_assert_eq(w2.changed, 1);
        cr_assert_str_eq(watch_read(&w2, "db"), "new");
        cr_assert_neq(watch_file(&w, "db"), watch_file(&w2, "db"));
}

Test(view, an_outage_changes_nothing_but_the_state)
{
        scene_add(&s, "db", "db");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        int64_t fetched = watch_state(&w, "db").fetched_at;
        fake_fail(s.fake, NULL, NULL, NULL, ERR_CONNECT, 0, FAKE_FOREVER);
        run_for(s.loop, 3 * INTERVAL);
        cr_assert_eq(w.changed, 0);
        cr_assert_str_eq(watch_read(&w, "db"), "hunter2");
        struct cache_state state = watch_state(&w, "db");
        cr_assert_eq(state.error->cause, ERR_CONNECT);
        cr_assert_eq(state.fetched_at, fetched);
        cr_assert_gt(state.tried_at, fetched);
        cr_assert_geq(state.next_poll, loop_wall(s.loop));
        cr_assert_geq(state.failures, 3);
        cr_assert(state.object);
        fake_mend(s.fake);
        fake_set(s.fake, "db", "new");
        run_for(s.loop, INTERVAL);
        cr_assert_str_eq(watch_read(&w, "db"), "new");
        cr_assert_null(watch_state(&w, "db").error);
}

Test(view, what_cannot_be_rendered_any_more_keeps_its_bytes)
{
        scene_add(&s, "db", "db");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        fake_set(s.fake, "db", FAKE_UNRENDERABLE);
        run_for(s.loop, 10 * INTERVAL);
        cr_assert_eq(w.changed, 0);
        cr_assert_str_eq(watch_read(&w, "db"), "hunter2");
        cr_assert_eq(watch_state(&w, "db").error->cause, ERR_UNSUPPORTED);
        cr_assert_eq(watch_state(&w, "db").failures, 0, "the vault did its part");
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_assert(strstr(err_text(&w.refresh_error), "object db: "));
        fake_set(s.fake, "db", "good");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "db"), "good");
        cr_assert_null(watch_state(&w, "db").error);
}

Test(view, a_pinned_object_follows_nothing)
{
        struct spc_object *o = scene_add(&s, "db", "db");

        free(o->version);
        o->version = strdup(fake_set(s.fake, "db", "pinned"));
        fake_set(s.fake, "db", "newer");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, 60 * MINUTE);
        cr_assert_str_eq(watch_read(&w, "db"), "pinned");
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, NULL), 1);
}

/* --- refresh --- */

Test(view, a_refresh_is_done_after_the_change_was_told)
{
        scene_add(&s, "db", "db");
        scene_add(&s, "api", "api");
        watch(&w, &s, CACHE_NO_POLL);
        run_for(s.loop, SECOND);
        fake_set(s.fake, "db", "new");
        fake_latency(s.fake, "api", 5 * SECOND);
        watch_refresh(&w);
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.changed, 1);
        cr_assert_eq(w.refreshed, 0, "not all have been tried");
        run_for(s.loop, 5 * SECOND);
        cr_assert_eq(w.refreshed, 2);
        cr_assert_eq(w.refresh_error.code, 0);
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, NULL), 4);
}

Test(view, a_refresh_tells_the_first_failure)
{
        scene_add(&s, "db", "db");
        scene_add(&s, "api", "api");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        fake_fail(s.fake, NULL, NULL, "api", ERR_FORBIDDEN, 0, 1);
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.refreshed, 1);
        cr_assert(startswith(err_text(&w.refresh_error), "object api: "));
        cr_assert_eq(w.refresh_error.cause, ERR_FORBIDDEN);
}

Test(view, a_refresh_while_it_opens_waits_for_that)
{
        scene_add(&s, "db", "db");
        watch(&w, &s, INTERVAL);
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.ready, 1);
        cr_assert_eq(w.refreshed, 1);
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, NULL), 1);
}

Test(view, a_refresh_without_anybody_waiting)
{
        scene_add(&s, "db", "db");
        watch(&w, &s, CACHE_NO_POLL);
        run_for(s.loop, SECOND);
        fake_set(s.fake, "db", "new");
        view_refresh(w.view, NULL, NULL);
        run_for(s.loop, SECOND);
        cr_assert_str_eq(watch_read(&w, "db"), "new");
}

/* --- closing --- */

Test(view, closing_while_it_opens_leaves_nothing)
{
        scene_add(&s, "db", "db");
        watch(&w, &s, INTERVAL);
        watch_refresh(&w);
        run_for(s.loop, USEC_PER_MSEC);
        view_close(w.view);
        w.view = NULL;
        run_for(s.loop, 60 * MINUTE);
        cr_assert_eq(w.ready + w.refreshed, 0);
}

static void close_within(char event)
{
        struct spc_object *o = scene_add(&s, "db", "db");

        o->history = 2;
        scene_add(&s, "api", "api");
        const char *second = fake_set(s.fake, "db", "second");
        w.close_in = event;
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        if (w.view) {
                fake_set(s.fake, "api", "new");
                if (event == 'g')
                        fake_enable(s.fake, "db", second, false);
                watch_refresh(&w);
                run_for(s.loop, SECOND);
        }
        cr_assert_null(w.view, "it was closed in that event");
        unsigned told = w.ready + w.changed + w.removed + w.progress + w.refreshed;
        unsigned n = fake_requests(s.fake, NULL, NULL, NULL);
        run_for(s.loop, 60 * MINUTE);
        cr_assert_eq(w.ready + w.changed + w.removed + w.progress + w.refreshed, told);
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, NULL), n);
}

Test(view, closes_within_ready)
{
        close_within('r');
}

Test(view, closes_within_ready_of_a_failure)
{
        fake_fail(s.fake, NULL, NULL, NULL, ERR_SERVICE, 0, FAKE_FOREVER);
        close_within('r');
        cr_assert_eq(w.n_errors, 2);
}

Test(view, closes_within_changed)
{
        close_within('c');
        cr_assert_eq(w.changed, 1);
}

Test(view, closes_within_removed)
{
        close_within('g');
        cr_assert_eq(w.removed, 1);
}

Test(view, closes_within_progress)
{
        close_within('p');
        cr_assert_eq(w.ready, 0);
}

Test(view, closes_within_the_end_of_a_refresh)
{
        close_within('f');
        cr_assert_eq(w.refreshed, 1);
}

Test(view, closing_nothing_is_fine)
{
        view_close(NULL);
}

Test(view, a_state_beyond_the_files_is_empty)
{
        struct cache_state state = {.failures = 7};

        watch(&w, &s, INTERVAL);
        view_file_state(w.view, 3, &state);
        cr_assert_eq(state.failures, 0);
        cr_assert_null(state.object);
}

Test(view, a_thousand_objects_rotate)
{
        char name[16];
        static struct watcher crowd;

        for (unsigned i = 0; i < 1000; i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(s.fake, name, "old");
                scene_add(&s, name, name);
        }
        watch(&crowd, &s, INTERVAL);
        run_for(s.loop, 10 * SECOND);
        cr_assert_eq(view_files(crowd.view, NULL), 1000);
        cr_assert_leq(fake_most_in_flight(s.fake, FAKE_URL), 32);
        for (unsigned i = 0; i < 1000; i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(s.fake, name, "new");
        }
        run_for(s.loop, INTERVAL + INTERVAL / 10 + SECOND);
        for (unsigned i = 0; i < 1000; i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                cr_assert_str_eq(watch_read(&crowd, name), "new");
        }
        watch_end(&crowd);
}

/* --- polls --- */

Test(view, each_poll_is_told_with_what_it_came_to)
{
        scene_add(&s, "db", "db");
        scene_add(&s, "api", "api");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.ready, 1);
        cr_expect_eq(w.polled, 0, "being ready is none");

        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_assert_geq(w.polled, 1);
        cr_expect_not(w.poll_changed);
        cr_expect_eq(w.poll_error.code, 0);

        fake_set(s.fake, "db", "hunter3");
        fake_fail(s.fake, NULL, NULL, "api", ERR_SERVICE, 0, FAKE_FOREVER);
        unsigned changed = w.changed;
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_expect_eq(w.changed, changed + 1);
        cr_expect_eq(w.poll_error.cause, ERR_SERVICE);
        cr_expect_not_null(startswith(err_text(&w.poll_error), "object api: "));
        cr_expect_not(w.poll_taken);

        fake_mend(s.fake);
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_expect_eq(w.poll_error.code, 0, "%s", err_text(&w.poll_error));
        cr_expect_not(w.poll_changed);
}

Test(view, a_poll_tells_what_the_policy_took_away)
{
        s.policy = (struct view_policy){.remove_deleted = true};
        scene_add(&s, "db", "db");
        scene_add(&s, "maybe", "api")->optional = true;
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        fake_delete(s.fake, "api");
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_expect(w.poll_changed);
        cr_expect_eq(w.poll_error.code, 0, "an optional one may go");
        fake_delete(s.fake, "db");
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_expect(w.poll_changed);
        cr_expect(w.poll_taken);
        cr_expect_eq(w.poll_error.cause, ERR_NOT_FOUND);
}

Test(view, may_be_closed_when_a_poll_is_told)
{
        scene_add(&s, "db", "db");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        w.close_in = 'o';
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_expect_eq(w.polled, 1);
        cr_expect_eq(w.refreshed, 0, "nothing more is told");
}
