/* Objects that are chosen from the vault's list: they come and go with it. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "scene.h"

static struct scene s;
static struct watcher w;

static void set_up(void)
{
        scene_new(&s);
        fake_set(s.fake, "db", "plain");
        fake_set(s.fake, "app-one", "1");
        fake_set(s.fake, "app-two", "2");
}

static void tear_down(void)
{
        watch_end(&w);
        scene_free(&s);
}

TestSuite(selector, .init = set_up, .fini = tear_down);

static void opened(void)
{
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.ready, 1);
        cr_assert_eq(w.n_errors, 0, "%s", err_text(&w.errors[0]));
}

static void failed(enum err_cause cause, const char *text)
{
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.ready, 1);
        cr_assert_eq(w.n_errors, 1);
        cr_assert_eq(w.errors[0].cause, cause);
        cr_assert_not_null(strstr(err_text(&w.errors[0]), text), "%s", err_text(&w.errors[0]));
}

Test(selector, shows_what_matches_behind_what_is_named)
{
        struct view_file *const *files;

        scene_add(&s, "db", "db");
        scene_select(&s, "app-*")->like.alias = (char *)"conf/*.txt";
        opened();
        cr_assert_eq(view_files(w.view, &files), 3);
        cr_assert_str_eq(files[0]->path, "db");
        cr_assert_str_eq(watch_read(&w, "conf/app-one.txt"), "1");
        cr_assert_str_eq(watch_read(&w, "conf/app-two.txt"), "2");
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, "names"), 1);
        cr_assert_eq(view_n_selectors(w.view), 1);
        struct view_selected selected;
        view_get_selected(w.view, 0, &selected);
        cr_assert_eq(selected.n_objects, 2);
        cr_assert_null(selected.state.error);
}

Test(selector, follows_the_list)
{
        scene_select(&s, "app-*");
        opened();
        fake_set(s.fake, "app-three", "3");
        fake_delete(s.fake, "app-one");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "app-three"), "3");
        cr_assert_str_eq(watch_read(&w, "app-one"), "(none)");
        cr_assert_str_eq(watch_read(&w, "app-two"), "2");
        cr_assert_eq(w.removed, 1);
        cr_assert_str_eq(w.gone[0], "app-one");

        /* What is gone is asked for no more, what is there goes on being polled. */
        unsigned n = fake_requests(s.fake, NULL, NULL, "app-one");
        fake_set(s.fake, "app-two", "22");
        run_for(s.loop, 3 * INTERVAL);
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, "app-one"), n);
        cr_assert_str_eq(watch_read(&w, "app-two"), "22");
}

Test(selector, what_was_refused_for_a_while_goes_once)
{
        scene_select(&s, "app-*");
        s.policy = (struct view_policy){.remove_forbidden = true};
        opened();
        fake_fail(s.fake, NULL, NULL, "app-one", ERR_FORBIDDEN, 0, FAKE_FOREVER);
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(w.denied, 1);
        fake_mend(s.fake);
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "app-one"), "1");
        fake_delete(s.fake, "app-one");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(w.removed, 1);
        cr_assert_eq(w.n_gone, 1);
        cr_assert_str_eq(w.gone[0], "app-one");
}

Test(selector, disabled_objects_are_left_out)
{
        scene_select(&s, "app-*");
        fake_enable(s.fake, "app-one", "v2", false);
        opened();
        cr_assert_eq(view_files(w.view, NULL), 1);
}

Test(selector, chooses_by_tag)
{
        fake_tag(s.fake, "db", "env", "prod");
        fake_tag(s.fake, "app-one", "env", "test");
        scene_select(&s, "")->tag = (char *)"env=prod";
        opened();
        cr_assert_eq(view_files(w.view, NULL), 1);
        cr_assert_str_eq(watch_read(&w, "db"), "plain");
}

Test(selector, several_share_one_list)
{
        scene_select(&s, "app-o*");
        scene_select(&s, "app-t*");
        opened();
        cr_assert_eq(view_files(w.view, NULL), 2);
        cr_assert_eq(fake_requests(s.fake, NULL, NULL, "names"), 1);
}

Test(selector, nothing_chosen_is_fine_until_something_comes)
{
        scene_select(&s, "none-*");
        opened();
        cr_assert_eq(view_files(w.view, NULL), 0);
        fake_set(s.fake, "none-yet", "x");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "none-yet"), "x");
}

Test(selector, more_than_max_is_an_error)
{
        scene_select(&s, "app-*")->max = 1;
        failed(ERR_USAGE, "2 objects of vault " FAKE_URL " are chosen, and at most 1 can be shown");
}

Test(selector, a_list_that_grows_beyond_max_changes_nothing)
{
        struct view_selected selected;

        scene_select(&s, "app-*")->max = 2;
        opened();
        fake_set(s.fake, "app-three", "3");
        fake_set(s.fake, "app-two", "22");
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_str_eq(watch_read(&w, "app-three"), "(none)");
        cr_assert_str_eq(watch_read(&w, "app-two"), "22", "what is shown is still polled");
        view_get_selected(w.view, 0, &selected);
        cr_assert_not_null(selected.state.error);
}

Test(selector, a_name_that_is_taken_is_an_error)
{
        scene_add(&s, "app-one", "db");
        scene_select(&s, "app-*");
        failed(ERR_USAGE, "object app-one would be shown as app-one, where object db is already");
}

Test(selector, a_file_cannot_be_the_folder_of_another)
{
        scene_add(&s, "conf/app-one/x", "db");
        scene_select(&s, "app-*")->like.alias = (char *)"conf/*";
        failed(ERR_USAGE, "would be shown as conf/app-one");
}

Test(selector, a_list_that_is_refused_fails_the_mount)
{
        fake_fail(s.fake, NULL, NULL, "names", ERR_FORBIDDEN, 0, FAKE_FOREVER);
        scene_add(&s, "db", "db");
        scene_select(&s, "app-*");
        failed(ERR_FORBIDDEN, "selector secrets like app-*");
}

Test(selector, an_object_that_is_refused_fails_the_mount)
{
        fake_fail(s.fake, NULL, NULL, "app-one", ERR_FORBIDDEN, 0, FAKE_FOREVER);
        scene_select(&s, "app-*");
        failed(ERR_FORBIDDEN, "object app-one");
}

Test(selector, a_list_that_fails_later_changes_nothing)
{
        scene_select(&s, "app-*");
        opened();
        fake_fail(s.fake, NULL, NULL, "names", ERR_CONNECT, 0, FAKE_FOREVER);
        fake_set(s.fake, "app-two", "22");
        run_for(s.loop, 3 * INTERVAL);
        cr_assert_eq(view_files(w.view, NULL), 2);
        cr_assert_eq(w.removed, 0);
}

Test(selector, an_object_that_goes_between_list_and_look_is_no_failure)
{
        scene_select(&s, "app-*");
        fake_fail(s.fake, NULL, NULL, "app-one", ERR_NOT_FOUND, 0, 1);
        opened();
        cr_assert_eq(view_files(w.view, NULL), 1);
        run_for(s.loop, 2 * INTERVAL);
        cr_assert_eq(view_files(w.view, NULL), 2, "it was there after all");
}

Test(selector, refresh_lists_as_well)
{
        scene_select(&s, "app-*");
        watch(&w, &s, CACHE_NO_POLL);
        run_for(s.loop, SECOND);
        fake_set(s.fake, "app-new", "n");
        run_for(s.loop, 10 * INTERVAL);
        cr_assert_eq(view_files(w.view, NULL), 2);
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.refreshed, 1);
        cr_assert_str_eq(watch_read(&w, "app-new"), "n", "done means that it is there");
}

Test(selector, from_a_vault_of_its_own)
{
        scene_select(&s, "app-*")->like.vault = (char *)"other";
        opened();
        cr_assert_eq(fake_requests(s.fake, FAKE_URL, NULL, NULL), 0);
        cr_assert_eq(fake_requests(s.fake, FAKE_URL_2, NULL, NULL), 3);
}

Test(selector, a_thousand_objects_come_and_go)
{
        char name[16];

        for (unsigned i = 0; i < 1000; i++) {
                (void)snprintf(name, sizeof name, "many-%u", i);
                fake_set(s.fake, name, "x");
        }
        scene_select(&s, "many-*")->max = 1000;
        w.close_in = 'r';
        watch(&w, &s, INTERVAL);
        run_for(s.loop, 10 * SECOND);
        cr_assert_eq(w.ready, 1);
        cr_assert_eq(w.n_errors, 0);
        cr_assert_null(w.view);
}
