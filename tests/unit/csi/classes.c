#include "csi/classes.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "kube_props.h"

static struct classes *classes;

/* Of one volume: "changed gone same " as they were told. */
struct use {
        struct class_use *use;
        char log[128];
};
static struct use a, b;

static void set_up(void)
{
        kube_set_up();
        loop_simulate(loop, 1000, 5000);
        cr_assert_eq(classes_new(kube, loop, &classes), 0);
}

static void tear_down(void)
{
        class_use_free(a.use);
        class_use_free(b.use);
        classes_free(classes);
        kube_tear_down();
}

TestSuite(classes, .init = set_up, .fini = tear_down, .timeout = 60);

static void on_change(void *userdata, enum class_change change)
{
        static const char *const words[] = {"same ", "changed ", "gone "};
        struct use *u = userdata;

        strncat(u->log, words[change], sizeof u->log - strlen(u->log) - 1);
}

static void use(struct use *u, const char *uid, uint64_t generation)
{
        const struct class_version v = {uid, generation};

        cr_assert_eq(class_use_new(classes, "shop", "app", &v, on_change, u, &u->use), 0);
}

#define OBJECT(version, uid, generation)                                                     \
        "{\"metadata\":{\"name\":\"app\",\"resourceVersion\":\"" version "\",\"uid\":\"" uid \
        "\",\"generation\":" generation "}}"
#define LIST(items) "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[" items "]}"
#define LINE(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"

static void say(const char *body)
{
        test_server_say(server, &(struct test_answer){.body = body});
}

static void hang(void)
{
        test_server_say(server, &(struct test_answer){.manner = TEST_HANG});
}

static void until(const char *log, const struct use *u)
{
        while (!streq(u->log, log)) {
                cr_assert(startswith(log, u->log), "%s: %s", log, u->log);
                cr_assert_geq(loop_turn(loop, 20 * USEC_PER_MSEC), 0);
        }
}

static void until_requests(unsigned n)
{
        while (test_server_requests(server) < n)
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
}

Test(classes, a_change_is_told_to_those_of_an_older_one)
{
        say(LIST(OBJECT("3", "u", "2")));
        say(LINE("MODIFIED", OBJECT("6", "u", "2")) LINE("MODIFIED", OBJECT("7", "u", "3"))
                        LINE("MODIFIED", OBJECT("8", "u", "4")));
        hang();
        use(&a, "u", 2);
        use(&b, "u", 3);
        until("changed ", &b);
        cr_expect_str_eq(a.log, "changed ", "once");
        size_t failing;
        cr_expect_eq(classes_watched(classes, &failing), 1, "one watch for both");
}

Test(classes, one_that_goes_and_comes_again_is_another_one)
{
        say(LIST(OBJECT("3", "u", "2")));
        say(LINE("DELETED", OBJECT("6", "u", "2")) LINE("ADDED", OBJECT("7", "w", "1")));
        hang();
        use(&a, "u", 2);
        use(&b, "w", 1); /* it came before the watch heard of it */
        until("gone changed ", &a);
        cr_expect_str_eq(b.log, "changed gone same ");
}

Test(classes, what_the_watch_knows_already_is_told_to_who_comes_late)
{
        say(LIST(OBJECT("3", "u", "5")));
        hang();
        use(&a, "u", 5);
        until_requests(2);
        use(&b, "u", 4);
        cr_expect_str_eq(b.log, "", "never from within");
        until("changed ", &b);
        cr_expect_str_eq(a.log, "");
}

Test(classes, a_volume_that_knows_of_no_version_is_told_of_no_change)
{
        say(LIST(OBJECT("3", "u", "5")));
        say(LINE("MODIFIED", OBJECT("6", "u", "6")) LINE("DELETED", OBJECT("7", "u", "6")));
        hang();
        use(&a, "", 0);
        until("gone ", &a);
}

Test(classes, a_watch_outlives_its_last_volume_for_a_while)
{
        size_t failing;

        say(LIST(OBJECT("3", "u", "5")));
        hang();
        use(&a, "u", 5);
        until_requests(2);
        a.use = class_use_free(a.use);
        use(&a, "u", 5);
        a.use = class_use_free(a.use);
        cr_expect_eq(classes_watched(classes, &failing), 1);
        cr_expect_eq(test_server_requests(server), 2, "nothing was asked again");
        /* The stream holds the simulated clock, until it ends and lets go of it. */
        usec_t before = loop_now(loop);
        loop_release(loop);
        while (classes_watched(classes, &failing) > 0)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        loop_hold(loop);
        cr_expect_geq(loop_now(loop), before + CLASSES_LINGER);
}

Test(classes, trouble_is_counted_until_it_is_over)
{
        size_t failing = 0;

        test_server_say(server, &(struct test_answer){.status = 403, .body = "{}"});
        say(LIST(OBJECT("3", "u", "5")));
        say(LINE("BOOKMARK", OBJECT("9", "", "0")));
        hang();
        use(&a, "u", 5);
        while (classes_watched(classes, &failing) && failing == 0)
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
        while (classes_watched(classes, &failing) && failing > 0)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        cr_expect_str_eq(a.log, "");
}
