/* One object of a class: which error it names, and what the log says of answers that cannot be
 * shown. What it shows is in view.c and history.c. */
#include <criterion/criterion.h>
#include <sys/mman.h>

#include "base/log.h"
#include "cache/view_priv.h"
#include "scene.h"

static struct scene s;
static struct watcher w;
static int log_fd;

static void set_up(void)
{
        log_fd = memfd_create("log", MFD_CLOEXEC);
        cr_assert_geq(log_fd, 0);
        log_set_fd(log_fd);
        scene_new(&s);
        fake_set(s.fake, "db", "hunter2");
}

static void tear_down(void)
{
        watch_end(&w);
        scene_free(&s);
        close(log_fd);
}

TestSuite(entry, .init = set_up, .fini = tear_down);

static unsigned lines_with(const char *what)
{
        char text[1 << 16];
        ssize_t n = pread(log_fd, text, sizeof text - 1, 0);
        unsigned found = 0;

        cr_assert_geq(n, 0);
        text[n] = '\0';
        for (const char *p = text; (p = strstr(p, what)); p++)
                found++;
        return found;
}

Test(entry, the_log_tells_once_that_an_answer_cannot_be_shown)
{
        scene_add(&s, "file", "db");
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        fake_set(s.fake, "db", FAKE_UNRENDERABLE);
        run_for(s.loop, 60 * MINUTE);
        cr_assert_eq(lines_with("object file: cannot be rendered; what was shown last is kept"), 1);
        fake_set(s.fake, "db", "good");
        run_for(s.loop, 60 * MINUTE);
        cr_assert_eq(lines_with("object file: can be shown again"), 1);
        cr_assert_eq(lines_with("\n"), 2);
}

Test(entry, the_log_tells_once_that_a_history_cannot_be_chosen)
{
        scene_add(&s, "file", "db")->history = 2;
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        fake_delete(s.fake, "db");
        run_for(s.loop, 60 * MINUTE);
        cr_assert_eq(lines_with("has no enabled version of it; what was shown last is kept"), 1);
        fake_set(s.fake, "db", "again");
        run_for(s.loop, 60 * MINUTE);
        cr_assert_eq(lines_with("can be shown again"), 1);
        cr_assert_eq(lines_with("\n"), 2);
}

Test(entry, what_fails_while_it_opens_is_not_logged)
{
        scene_add(&s, "file", "db");
        fake_set(s.fake, "db", FAKE_UNRENDERABLE);
        watch(&w, &s, INTERVAL);
        run_for(s.loop, SECOND);
        cr_assert_eq(w.n_errors, 1);
        cr_assert_eq(lines_with("\n"), 0);
}

Test(entry, the_list_comes_before_the_choice_before_the_versions_before_the_bytes)
{
        struct source list = {0}, member = {0};
        struct source *members[] = {&member};
        struct entry en = {.list = &list, .members = members, .n_members = 1};

        cr_assert_null(entry_error(&en));
        en.show_error.code = -EINVAL;
        cr_assert_eq(entry_error(&en), &en.show_error);
        member.error.code = -EIO;
        cr_assert_eq(entry_error(&en), &member.error);
        en.select_error.code = -ENOENT;
        cr_assert_eq(entry_error(&en), &en.select_error);
        list.error.code = -EACCES;
        cr_assert_eq(entry_error(&en), &list.error);
}

Test(entry, is_settled_when_each_source_was_tried)
{
        struct source list = {0}, member = {0};
        struct source *members[] = {&member};
        struct entry en = {.list = &list, .members = members, .n_members = 1};

        cr_assert_not(entry_is_settled(&en));
        list.tried = true;
        cr_assert_not(entry_is_settled(&en));
        member.tried = true;
        cr_assert(entry_is_settled(&en));
        member.refreshing = true;
        cr_assert_not(entry_is_settled(&en));
}
