#include <criterion/criterion.h>
#include <stdio.h>

#include "scene.h"

static struct scene s;
static struct watcher w, w2;
static struct spc_object *o;

static void set_up(void)
{
        scene_new(&s);
        fake_set(s.fake, "db", "one");
        fake_set(s.fake, "db", "two");
        fake_set(s.fake, "db", "three");
        o = scene_add(&s, "db", "db");
        o->history = 3;
}

static void tear_down(void)
{
        watch_end(&w);
        watch_end(&w2);
        scene_free(&s);
}

TestSuite(history, .init = set_up, .fini = tear_down);

static void start_at(const char *version)
{
        free(o->version);
        o->version = strdup(version);
}

static void open_it(void)
{
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.ready, 1);
}

static void expect_files(const char *zero, const char *one, const char *two)
{
        cr_assert_str_eq(watch_read(&w, "db/0"), zero);
        cr_assert_str_eq(watch_read(&w, "db/1"), one);
        cr_assert_str_eq(watch_read(&w, "db/2"), two);
}

Test(history, shows_the_newest_versions_and_no_more)
{
        fake_set(s.fake, "db", "four");
        open_it();
        cr_assert_eq(view_files(w.view, NULL), 3);
        expect_files("four", "three", "two");
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, "versions of db"), 1);
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, "db"), 3);
}

Test(history, shows_what_there_is_when_there_is_less)
{
        o->history = 100;
        open_it();
        cr_assert_eq(view_files(w.view, NULL), 3);
        expect_files("three", "two", "one");
}

Test(history, latest_is_the_newest)
{
        start_at("latest");
        open_it();
        expect_files("three", "two", "one");
}

Test(history, starts_at_the_version_of_the_class)
{
        const char *four = fake_set(s.fake, "db", "four");

        fake_set(s.fake, "db", "five");
        start_at(four);
        open_it();
        expect_files("four", "three", "two");
        fake_set(s.fake, "db", "six");
        run_for(s.loop, 2 * INTERVAL);
        expect_files("four", "three", "two");
        cr_assert_eq(w.changed, 0);
}

Test(history, a_version_that_is_not_there_is_an_error)
{
        start_at("v99");
        open_it();
        cr_assert_eq(w.n_errors, 1);
        cr_assert_eq(w.errors[0].cause, ERR_NOT_FOUND);
        const char *text = err_text(&w.errors[0]);
        cr_assert(startswith(text, "object db: failed to get versions of objectType:secret, "
                                   "objectName:db, objectVersion:v99: "),
                "%s", text);
        cr_assert(strstr(text, "3 enabled"), "%s", text);
        cr_assert(w.errors[0].hint);
}

Test(history, a_name_that_is_not_there_is_an_error)
{
        fake_delete(s.fake, "db");
        open_it();
        cr_assert_eq(w.n_errors, 1);
        cr_assert_eq(w.errors[0].cause, ERR_NOT_FOUND);
        cr_assert(strstr(err_text(&w.errors[0]), FAKE_URL));
}

Test(history, a_list_that_is_forbidden_is_an_error)
{
        fake_fail(s.fake, NULL, NULL, "versions of db", ERR_FORBIDDEN, 0, FAKE_FOREVER);
        open_it();
        cr_assert_eq(w.n_errors, 1);
        cr_assert_eq(w.errors[0].cause, ERR_FORBIDDEN);
}

Test(history, one_version_that_fails_fails_the_object)
{
        fake_fail(s.fake, NULL, NULL, "db", ERR_SERVICE, 0, 1);
        open_it();
        cr_assert_eq(w.n_errors, 1);
        cr_assert(startswith(err_text(&w.errors[0]), "object db: "));
}

Test(history, disabled_versions_are_left_out)
{
        fake_enable(s.fake, "db", fake_set(s.fake, "db", "off"), false);
        open_it();
        expect_files("three", "two", "one");
}

Test(history, a_rotation_moves_all_files_on_together)
{
        open_it();
        fake_set(s.fake, "db", "four");
        fake_latency(s.fake, "db", SECOND);
        run_for(s.loop, 2 * INTERVAL);
        expect_files("four", "three", "two");
        cr_assert_eq(w.changed, 1);
        cr_assert_eq(w.n_paths, 3);
        cr_assert_eq(w.removed, 0);
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, "db"), 4, "the older two are known already");
}

Test(history, nothing_new_is_no_change_and_lists_alone_are_asked)
{
        open_it();
        run_for(s.loop, 60 * MINUTE);
        cr_assert_eq(w.changed, 0);
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, "db"), 3);
        unsigned n = fake_requests(s.fake, NULL, NULL, "versions of db");
        cr_assert(n >= 27 && n <= 35, "%u lists", n);
        struct cache_state state = watch_state(&w, "db/2");
        cr_assert_gt(state.next_poll, 0);
        cr_assert_geq(state.fetched_at, loop_wall(s.loop) - 140);
        cr_assert_str_eq(state.object->version, watch_file(&w, "db/2")->version);
}

Test(history, a_history_grows)
{
        o->history = 5;
        scene_add(&s, "last", "db");
        open_it();
        fake_set(s.fake, "db", "four");
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.refreshed, 1);
        cr_assert_eq(w.n_paths, 4, "after `last`, which needs no list");
        expect_files("four", "three", "two");
        cr_assert_str_eq(watch_read(&w, "db/3"), "one");
        struct view_file *const *files;
        cr_assert_eq(view_files(w.view, &files), 5);
        cr_assert_str_eq(files[3]->path, "db/3");
        cr_assert_str_eq(files[4]->path, "last", "the order is the class's");
        cr_assert_str_eq(watch_state(&w, "last").object->version, files[4]->version);
        cr_assert_eq(w.removed, 0);
}

Test(history, a_history_shrinks)
{
        fake_enable(s.fake, "db", "v2", false);
        open_it();
        cr_assert_eq(view_files(w.view, NULL), 2);
        fake_enable(s.fake, "db", "v3", false);
        run_for(s.loop, 2 * INTERVAL);
        expect_files("one", "(none)", "(none)");
        cr_assert_eq(w.changed, 1);
        cr_assert_eq(w.n_paths, 1);
        cr_assert_eq(w.removed, 1);
        cr_assert_eq(w.n_gone, 1);
        cr_assert_str_eq(w.gone[0], "db/1");
}

Test(history, a_file_that_is_back_before_the_report_was_never_gone)
{
        open_it();
        fake_latency(s.fake, NULL, 0);
        fake_latency(s.fake, "db", 0);
        fake_enable(s.fake, "db", "v1", false);
        watch_refresh(&w);
        while (view_files(w.view, NULL) == 3)
                cr_assert_geq(loop_turn(s.loop, USEC_INFINITY), 0);
        cr_assert_eq(w.refreshed, 0, "the report is still to come");
        fake_enable(s.fake, "db", "v1", true);
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        expect_files("three", "two", "one");
        cr_assert_eq(w.removed, 0);
}

Test(history, what_comes_and_goes_before_ready_is_not_reported)
{
        scene_add(&s, "slow", "slow");
        fake_set(s.fake, "slow", "x");
        fake_latency(s.fake, "slow", 10 * MINUTE);
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        fake_enable(s.fake, "db", "v3", false);
        run_for(s.loop, 11 * MINUTE);
        cr_assert_eq(w.ready, 1);
        cr_assert_eq(w.n_errors, 0);
        cr_assert_eq(w.changed + w.removed, 0);
        expect_files("two", "one", "(none)");
}

Test(history, an_object_that_vanishes_keeps_its_files)
{
        open_it();
        fake_delete(s.fake, "db");
        run_for(s.loop, 2 * INTERVAL);
        expect_files("three", "two", "one");
        cr_assert_eq(watch_state(&w, "db/0").error->cause, ERR_NOT_FOUND);
        cr_assert_eq(w.changed + w.removed, 0);
        fake_set(s.fake, "db", "again");
        run_for(s.loop, 2 * INTERVAL);
        expect_files("again", "(none)", "(none)");
}

Test(history, files_move_on_only_when_the_new_version_is_there)
{
        open_it();
        fake_fail(s.fake, NULL, NULL, "db", ERR_FORBIDDEN, 0, FAKE_FOREVER);
        fake_set(s.fake, "db", "four");
        run_for(s.loop, 3 * INTERVAL);
        expect_files("three", "two", "one");
        cr_assert_eq(w.changed, 0);
        cr_assert_eq(watch_state(&w, "db/0").error->cause, ERR_FORBIDDEN);
        fake_mend(s.fake);
        run_for(s.loop, INTERVAL);
        expect_files("four", "three", "two");
        cr_assert_null(watch_state(&w, "db/0").error);
}

Test(history, a_version_that_cannot_be_rendered_names_itself)
{
        open_it();
        const char *bad = fake_set(s.fake, "db", FAKE_UNRENDERABLE);
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        expect_files("three", "two", "one");
        cr_assert(strstr(err_text(&w.refresh_error), bad));
}

Test(history, memory_that_is_short_changes_nothing)
{
        open_it();
        fake_set(s.fake, "db", "four");
        fake_no_memory(s.fake, true);
        run_for(s.loop, 2 * INTERVAL);
        expect_files("three", "two", "one");
        fake_no_memory(s.fake, false);
        run_for(s.loop, 2 * INTERVAL);
        expect_files("four", "three", "two");
}

Test(history, two_views_list_once)
{
        watch(&w, &s, INTERVAL);
        watch(&w2, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w2.ready, 1);
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, NULL), 4);
}
