#include "base/loop.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static struct loop *loop;

static void set_up(void)
{
        cr_assert_eq(loop_new(&loop), 0);
}

static void tear_down(void)
{
        loop_free(loop);
}

TestSuite(loop, .init = set_up, .fini = tear_down, .timeout = 60);

/* --- timers --- */

static char order[256];

static void *text(const char *s)
{
        return (void *)(uintptr_t)s;
}

static void note(void *userdata)
{
        strcat(order, userdata);
}

static struct loop_timer *timer(loop_timer_fn fn, void *userdata)
{
        struct loop_timer *t;

        cr_assert_eq(loop_timer_new(loop, fn, userdata, &t), 0);
        return t;
}

static void leap_to_the_end(void)
{
        while (loop_turn(loop, USEC_PER_SEC * 1000000) > 0)
                ;
}

Test(loop, timers_fire_in_order_of_time_then_of_setting)
{
        struct loop_timer *a = timer(note, text("a")), *b = timer(note, text("b")),
                          *c = timer(note, text("c")), *d = timer(note, text("d"));

        loop_simulate(loop, 100, 5000);
        loop_timer_at(c, 300);
        loop_timer_at(b, 200);
        loop_timer_at(d, 300);
        loop_timer_at(a, 150);
        cr_assert_eq(loop_timer_when(b), 200);
        leap_to_the_end();
        cr_assert_str_eq(order, "abcd");
        cr_assert_eq(loop_now(loop), 300);
        cr_assert_eq(loop_timer_when(b), USEC_INFINITY);
        /* set again, it is behind those that were set before */
        order[0] = '\0';
        loop_timer_at(a, 400);
        loop_timer_at(b, 400);
        loop_timer_at(a, 400);
        leap_to_the_end();
        cr_assert_str_eq(order, "ba");
        loop_timer_free(a);
        loop_timer_free(b);
        loop_timer_free(c);
        cr_assert_null(loop_timer_free(d));
        cr_assert_null(loop_timer_free(NULL));
}

Test(loop, timers_can_be_moved_and_turned_off)
{
        struct loop_timer *a = timer(note, text("a")), *b = timer(note, text("b")),
                          *c = timer(note, text("c"));

        loop_simulate(loop, 0, 0);
        loop_timer_at(a, 10);
        loop_timer_at(b, 20);
        loop_timer_at(c, 30);
        loop_timer_at(a, 40);
        loop_timer_off(b);
        loop_timer_off(b);
        leap_to_the_end();
        cr_assert_str_eq(order, "ca");
        loop_timer_in(a, USEC_INFINITY); /* off, not the past */
        loop_timer_in(b, USEC_INFINITY - 5);
        loop_timer_at(c, USEC_INFINITY);
        cr_assert_eq(loop_timer_when(a), USEC_INFINITY);
        cr_assert_eq(loop_timer_when(b), USEC_INFINITY);
        cr_assert_eq(loop_turn(loop, 1000), 0);
        cr_assert_str_eq(order, "ca");
        loop_timer_free(a);
        loop_timer_free(b);
        loop_timer_free(c);
}

Test(loop, many_timers_at_random)
{
        enum { N = 2000 };
        static struct loop_timer *t[N];
        static usec_t fired_at;
        usec_t last = 0;
        unsigned seed = 1, left = 0;

        loop_simulate(loop, 0, 0);
        for (int i = 0; i < N; i++) {
                t[i] = timer(note, text(""));
                loop_timer_at(t[i], (usec_t)(rand_r(&seed) % 5000) + 1);
        }
        for (int i = 0; i < N; i += 3)
                loop_timer_off(t[i]);
        for (int i = 1; i < N; i += 3)
                loop_timer_at(t[i], (usec_t)(rand_r(&seed) % 5000) + 1);
        while (loop_turn(loop, USEC_PER_SEC) > 0) {
                fired_at = loop_now(loop);
                cr_assert_gt(fired_at, last);
                last = fired_at;
                for (int i = 0; i < N; i++)
                        cr_assert(loop_timer_when(t[i]) > fired_at);
        }
        for (int i = 0; i < N; i++) {
                left += loop_timer_when(t[i]) != USEC_INFINITY;
                loop_timer_free(t[i]);
        }
        cr_assert_eq(left, 0);
}

struct again {
        struct loop_timer *timer;
        unsigned calls;
};

static void on_again(void *userdata)
{
        struct again *a = userdata;

        a->calls++;
        loop_timer_in(a->timer, 0);
}

Test(loop, timer_set_for_now_by_itself_does_not_starve_others)
{
        struct again a = {0};
        struct loop_timer *b = timer(note, text("b"));

        loop_simulate(loop, 100, 0);
        a.timer = timer(on_again, &a);
        loop_timer_in(a.timer, 0);
        loop_timer_in(b, 0);
        cr_assert_eq(loop_turn(loop, 0), 1);
        cr_assert_eq(a.calls, 1);
        cr_assert_str_eq(order, "b");
        cr_assert_eq(loop_turn(loop, 0), 1);
        cr_assert_eq(a.calls, 2);
        loop_timer_free(a.timer);
        loop_timer_free(b);
}

static void on_free_itself(void *userdata)
{
        struct loop_timer **t = userdata;

        *t = loop_timer_free(*t);
        strcat(order, "x");
}

Test(loop, timer_may_free_itself_and_others)
{
        struct loop_timer *a, *b;

        loop_simulate(loop, 0, 0);
        a = timer(on_free_itself, &b);
        b = timer(note, text("b"));
        loop_timer_at(a, 5);
        loop_timer_at(b, 5);
        leap_to_the_end();
        cr_assert_str_eq(order, "x");
        cr_assert_null(b);
        loop_timer_free(a);
        a = timer(on_free_itself, &a);
        loop_timer_at(a, 10);
        leap_to_the_end();
        cr_assert_null(a);
}

Test(loop, real_clock)
{
        struct loop_timer *t = timer(note, text("t"));
        usec_t before = loop_now(loop);

        cr_assert_gt(loop_wall(loop), 1600000000);
        cr_assert_eq(loop_turn(loop, 0), 0);
        loop_timer_in(t, 2000);
        while (!*order)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        cr_assert_geq(loop_now(loop), before + 2000);
        loop_timer_free(t);
}

/* --- the simulated clock --- */

Test(loop, simulated_time_leaps_no_further_than_told)
{
        struct loop_timer *t = timer(note, text("t"));

        loop_simulate(loop, 1000, 7000);
        loop_timer_in(t, 3600 * USEC_PER_SEC);
        cr_assert_eq(loop_turn(loop, USEC_PER_MSEC), 0);
        cr_assert_eq(loop_now(loop), 1000);
        cr_assert_eq(loop_turn(loop, USEC_INFINITY), 1);
        cr_assert_eq(loop_now(loop), 1000 + 3600 * USEC_PER_SEC);
        cr_assert_eq(loop_wall(loop), 7000 + 3600);
        loop_timer_free(t);
}

static void *post_later(void *userdata)
{
        cr_assert_eq(loop_post(loop, note, userdata), 0);
        return NULL;
}

Test(loop, simulated_time_stands_still_while_held)
{
        struct loop_timer *t = timer(note, text("t")), *due = timer(note, text("d"));
        pthread_t thread;

        loop_simulate(loop, 0, 0);
        loop_hold(loop);
        loop_hold(loop);
        loop_timer_in(t, 10);
        loop_timer_in(due, 0);
        cr_assert_eq(loop_turn(loop, USEC_INFINITY), 1); /* what is due runs */
        cr_assert_str_eq(order, "d");
        loop_release(loop);
        cr_assert_eq(pthread_create(&thread, NULL, post_later, text("p")), 0);
        while (loop_turn(loop, USEC_INFINITY) == 0) /* waits for the post, for real */
                ;
        cr_assert_str_eq(order, "dp");
        pthread_join(thread, NULL);
        cr_assert_eq(loop_now(loop), 0);
        loop_release(loop);
        leap_to_the_end();
        cr_assert_str_eq(order, "dpt");
        loop_timer_free(t);
        loop_timer_free(due);
}

/* --- descriptors --- */

static void on_readable(void *userdata, int fd, uint32_t revents)
{
        char c;

        cr_assert(revents & EPOLLIN);
        cr_assert_eq(read(fd, &c, 1), 1);
        strcat(order, (char[]){c, '\0'});
}

Test(loop, descriptors)
{
        int p[2];
        struct loop_io *io;

        cr_assert_eq(pipe(p), 0);
        cr_assert_eq(loop_io_new(loop, p[0], EPOLLIN, on_readable, NULL, &io), 0);
        cr_assert_eq(loop_turn(loop, 0), 0);
        cr_assert_eq(write(p[1], "ab", 2), 2);
        cr_assert_eq(loop_turn(loop, USEC_INFINITY), 1);
        cr_assert_eq(loop_turn(loop, USEC_INFINITY), 1); /* level-triggered */
        cr_assert_str_eq(order, "ab");
        cr_assert_eq(write(p[1], "c", 1), 1);
        cr_assert_eq(loop_io_set(io, 0), 0);
        cr_assert_eq(loop_turn(loop, 0), 0);
        cr_assert_eq(loop_io_set(io, EPOLLIN), 0);
        cr_assert_eq(loop_turn(loop, 0), 1);
        cr_assert_null(loop_io_free(io));
        cr_assert_null(loop_io_free(NULL));
        cr_assert_eq(write(p[1], "d", 1), 1);
        cr_assert_eq(loop_turn(loop, 0), 0);
        cr_assert_str_eq(order, "abc");

        cr_assert_eq(loop_io_new(loop, -1, EPOLLIN, on_readable, NULL, &io), -EBADF);
        close(p[0]);
        close(p[1]);
}

struct pair {
        struct loop_io *a, *b;
        unsigned calls;
};

static void on_free_both(void *userdata, int fd, uint32_t revents)
{
        struct pair *p = userdata;

        p->calls++;
        p->a = loop_io_free(p->a);
        p->b = loop_io_free(p->b);
}

Test(loop, descriptor_freed_by_the_other_of_the_same_turn_is_not_called)
{
        int one = eventfd(1, EFD_CLOEXEC), two = eventfd(1, EFD_CLOEXEC);
        struct pair p = {0};

        cr_assert_eq(loop_io_new(loop, one, EPOLLIN, on_free_both, &p, &p.a), 0);
        cr_assert_eq(loop_io_new(loop, two, EPOLLIN, on_free_both, &p, &p.b), 0);
        cr_assert_eq(loop_turn(loop, USEC_INFINITY), 1);
        cr_assert_eq(p.calls, 1);
        cr_assert_eq(loop_turn(loop, 0), 0);
        close(one);
        close(two);
}

/* --- posts and exit --- */

enum { THREADS = 4, POSTS = 2000 };
static unsigned posted;

static void count(void *userdata)
{
        if (++posted == THREADS * POSTS)
                loop_exit(loop, 42);
}

static void *post_many(void *userdata)
{
        for (int i = 0; i < POSTS; i++)
                cr_assert_eq(loop_post(loop, count, NULL), 0);
        return NULL;
}

Test(loop, posts_of_many_threads_all_run)
{
        pthread_t t[THREADS];

        for (int i = 0; i < THREADS; i++)
                cr_assert_eq(pthread_create(&t[i], NULL, post_many, NULL), 0);
        cr_assert_eq(loop_run(loop), 42);
        cr_assert_eq(posted, THREADS * POSTS);
        for (int i = 0; i < THREADS; i++)
                pthread_join(t[i], NULL);
}

static void post_again(void *userdata)
{
        strcat(order, "a");
        cr_assert_eq(loop_post(loop, note, text("b")), 0);
}

Test(loop, posts_run_in_order_and_may_post)
{
        cr_assert_eq(loop_post(loop, note, text("1")), 0);
        cr_assert_eq(loop_post(loop, post_again, NULL), 0);
        cr_assert_eq(loop_post(loop, note, text("2")), 0);
        cr_assert_eq(loop_turn(loop, 0), 1);
        cr_assert_str_eq(order, "1a2");
        cr_assert_eq(loop_turn(loop, 0), 1);
        cr_assert_str_eq(order, "1a2b");
        cr_assert_eq(loop_post(loop, note, text("never")), 0); /* dropped with the loop */
}

static void *exit_later(void *userdata)
{
        loop_exit(loop, 7);
        return NULL;
}

Test(loop, exit_from_another_thread_wakes_and_can_run_again)
{
        pthread_t t;

        cr_assert_eq(pthread_create(&t, NULL, exit_later, NULL), 0);
        cr_assert_eq(loop_run(loop), 7);
        pthread_join(t, NULL);
        loop_exit(loop, 8);
        cr_assert_eq(loop_run(loop), 8);
}

Test(loop, free_takes_nothing)
{
        loop_free(NULL);
}
