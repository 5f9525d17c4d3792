/* The secret of a certificate as several files: which ones, when they change, and what of them
 * goes. What is in them is vault/'s. */
#include <criterion/criterion.h>

#include "scene.h"

static struct scene s;
static struct watcher w;

static void set_up(void)
{
        scene_new(&s);
        fake_set(s.fake, "tls", FAKE_CERTIFICATE "1");
        fake_set(s.fake, "db", "hunter2");
}

static void tear_down(void)
{
        watch_end(&w);
        scene_free(&s);
}

TestSuite(certificate_files, .init = set_up, .fini = tear_down);

static struct spc_object *add(const char *file, enum spc_files files)
{
        struct spc_object *o = scene_add(&s, file, "tls");

        o->files = files;
        return o;
}

static void expect_files(const char *const *paths, size_t n)
{
        struct view_file *const *files;

        cr_assert_eq(view_files(w.view, &files), n);
        for (size_t i = 0; i < n; i++)
                cr_expect_str_eq(files[i]->path, paths[i]);
}

Test(certificate_files, a_folder_lies_where_the_file_was)
{
        static const char *const paths[] = {"web/tls.crt", "web/tls.key", "db"};
        struct view_file *const *files;

        add("web", SPC_FILES_FOLDER)->mode = 0400;
        scene_add(&s, "db", "db");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.ready, 1);
        expect_files(paths, 3);
        cr_expect_str_eq(watch_read(&w, "web/tls.key"), "/tls.key:cert-1");
        cr_expect_eq(w.of, 2, "progress counts objects");
        view_files(w.view, &files);
        cr_expect_eq(files[0]->mode, 0400);
        cr_expect_eq(files[1]->mode, 0400);
        cr_expect_str_eq(files[0]->version, files[1]->version);
        cr_expect_eq(fake_requests(s.fake, NULL, NULL, NULL), 2, "one request for all of them");
}

Test(certificate_files, the_mount_says_what_the_class_does_not)
{
        static const char *const paths[] = {
                "web.crt", "web.key", "web", "one", "dir/tls.crt", "dir/tls.key", "db", "picked"};

        s.shape.cert_key_files = true;
        add("web", SPC_FILES_DEFAULT);
        add("one", SPC_FILES_COMBINED);
        add("dir", SPC_FILES_FOLDER);
        scene_add(&s, "db", "db");
        add("picked", SPC_FILES_DEFAULT)->json_path = (char *)"$.a";
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        expect_files(paths, ELEMENTSOF(paths));
}

Test(certificate_files, all_of_them_change_together)
{
        add("web", SPC_FILES_SEPARATE);
        scene_add(&s, "db", "db");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        fake_set(s.fake, "tls", FAKE_CERTIFICATE "2");
        run_for(s.loop, 2 * INTERVAL);
        cr_expect_eq(w.changed, 1);
        cr_assert_eq(w.n_paths, 3);
        cr_expect_str_eq(w.paths[0], "web.crt");
        cr_expect_str_eq(w.paths[1], "web.key");
        cr_expect_str_eq(w.paths[2], "web");
        cr_expect_str_eq(watch_read(&w, "web.crt"), ".crt:cert-2");
        cr_expect_eq(w.removed, 0);
        watch_refresh(&w);
        run_for(s.loop, SECOND);
        cr_expect_eq(w.changed, 1, "the same again is no change");
}

Test(certificate_files, what_is_no_certificate_any_more_loses_the_files_beside_it)
{
        static const char *const before[] = {"web.crt", "web.key", "web", "db"}, *const after[] = {
                                                                                         "web",
                                                                                         "db"};

        add("web", SPC_FILES_SEPARATE);
        scene_add(&s, "db", "db");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        expect_files(before, 4);
        fake_set(s.fake, "tls", "plain");
        run_for(s.loop, 2 * INTERVAL);
        expect_files(after, 2);
        cr_assert_eq(w.n_gone, 2);
        cr_expect_str_eq(w.gone[0], "web.crt");
        cr_expect_str_eq(w.gone[1], "web.key");
        cr_expect_str_eq(watch_read(&w, "web"), "plain");
        fake_set(s.fake, "tls", FAKE_CERTIFICATE "3");
        run_for(s.loop, 2 * INTERVAL);
        expect_files(before, 4);
        cr_expect_eq(w.removed, 1);
}

Test(certificate_files, versions_have_folders_of_their_own)
{
        static const char *const two[] = {
                "web/0/tls.crt", "web/0/tls.key", "web/1/tls.crt", "web/1/tls.key"};

        fake_set(s.fake, "tls", FAKE_CERTIFICATE "2");
        add("web", SPC_FILES_FOLDER)->history = 2;
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        expect_files(two, 4);
        cr_expect_str_eq(watch_read(&w, "web/1/tls.key"), "/tls.key:cert-1");
        fake_set(s.fake, "tls", FAKE_CERTIFICATE "3");
        run_for(s.loop, 2 * INTERVAL);
        expect_files(two, 4);
        cr_expect_str_eq(watch_read(&w, "web/0/tls.key"), "/tls.key:cert-3");
        cr_expect_str_eq(watch_read(&w, "web/1/tls.key"), "/tls.key:cert-2");
        cr_expect_eq(w.n_paths, 4);
}

Test(certificate_files, a_history_loses_one_version_of_a_certificate)
{
        static const char *const left[] = {"web/0.crt", "web/0.key", "web/0"};
        const char *newest = fake_set(s.fake, "tls", FAKE_CERTIFICATE "2");

        add("web", SPC_FILES_SEPARATE)->history = 2;
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(view_files(w.view, NULL), 6);
        fake_enable(s.fake, "tls", newest, false);
        run_for(s.loop, 2 * INTERVAL);
        expect_files(left, 3);
        cr_expect_eq(w.n_gone, 3);
        cr_expect_str_eq(watch_read(&w, "web/0.crt"), ".crt:cert-1");
}

/* Neither the class nor its check can know that the mount has .crt files. */
Test(certificate_files, names_that_clash_when_they_are_known_are_an_error)
{
        s.shape.cert_key_files = true;
        scene_add(&s, "web.crt/x", "db");
        add("web", SPC_FILES_DEFAULT);
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.n_errors, 1);
        cr_expect(strstr(err_text(&w.errors[0]), "gets in the way of object"), "%s",
                err_text(&w.errors[0]));
        cr_expect_str_eq(w.errors[0].hint, "give one of them another objectAlias");
        cr_expect_eq(w.errors[0].cause, ERR_USAGE);
}

Test(certificate_files, a_clash_that_a_rotation_brings_keeps_what_is_shown)
{
        s.shape.cert_key_files = true;
        fake_set(s.fake, "tls", "plain");
        add("web", SPC_FILES_DEFAULT);
        scene_add(&s, "web.key", "db");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.n_errors, 0);
        fake_set(s.fake, "tls", FAKE_CERTIFICATE "1");
        run_for(s.loop, 2 * INTERVAL);
        cr_expect_str_eq(watch_read(&w, "web"), "plain");
        cr_expect_str_eq(watch_read(&w, "web.key"), "hunter2");
        cr_expect(strstr(err_text(watch_state(&w, "web").error), "web.key"));
}
