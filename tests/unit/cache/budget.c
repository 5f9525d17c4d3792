#include "cache/budget.h"

#include <criterion/criterion.h>

#include "fake_vault.h"

#define N 100

struct user {
        struct budget_slot slot;
        struct loop *loop;
        unsigned number;
        bool went;
        usec_t at;
};

static unsigned order[N], n_went;

static void go(void *userdata)
{
        struct user *u = userdata;

        u->went = true;
        u->at = loop_now(u->loop);
        order[n_went++ % N] = u->number;
}

static struct loop *l;
static struct budget *b;
static struct user users[N];

static void set_up(void)
{
        l = simulated_loop();
        cr_assert_eq(budget_new(l, FAKE_URL, &b), 0);
        for (unsigned i = 0; i < N; i++)
                users[i] = (struct user){
                        .slot = {.go = go, .userdata = &users[i]}, .loop = l, .number = i};
}

static void tear_down(void)
{
        for (unsigned i = 0; i < N; i++)
                budget_cancel(b, &users[i].slot);
        budget_free(b);
        loop_free(l);
}

TestSuite(budget, .init = set_up, .fini = tear_down);

static void wait_again(struct user *u)
{
        u->went = false;
        budget_wait(b, &u->slot);
}

static unsigned count_held(void)
{
        unsigned n = 0;

        for (unsigned i = 0; i < N; i++)
                n += users[i].slot.state == SLOT_HELD;
        return n;
}

Test(budget, slots_are_given_in_turn_up_to_the_window)
{
        for (unsigned i = 0; i < N; i++)
                budget_wait(b, &users[i].slot);
        cr_assert_eq(n_went, 0, "never from within budget_wait()");
        run_for(l, USEC_PER_SEC);
        cr_assert_eq(n_went, BUDGET_WINDOW);

        budget_leave(b, &users[3].slot, BUDGET_ANSWERED, 0);
        budget_leave(b, &users[0].slot, BUDGET_FAILED, 0);
        run_for(l, USEC_PER_SEC);
        cr_assert_eq(n_went, BUDGET_WINDOW + 2);
        for (unsigned i = 0; i < n_went; i++)
                cr_assert_eq(order[i], i);
}

Test(budget, a_cancelled_slot_makes_room)
{
        for (unsigned i = 0; i < N; i++)
                budget_wait(b, &users[i].slot);
        run_for(l, USEC_PER_SEC);
        budget_cancel(b, &users[5].slot);  /* held */
        budget_cancel(b, &users[40].slot); /* waiting */
        budget_cancel(b, &users[40].slot); /* idle by now */
        run_for(l, USEC_PER_SEC);
        cr_assert_eq(count_held(), BUDGET_WINDOW);
        cr_assert(users[BUDGET_WINDOW].went);
        cr_assert_not(users[40].went);
}

Test(budget, retry_after_stops_all_sends_until_then)
{
        usec_t start = loop_now(l);

        budget_wait(b, &users[0].slot);
        run_for(l, USEC_PER_SEC);
        budget_leave(b, &users[0].slot, BUDGET_THROTTLED, 20);
        cr_assert_eq(budget_paused_until(b), start + 21 * USEC_PER_SEC);
        budget_wait(b, &users[1].slot);
        run_for(l, 19 * USEC_PER_SEC);
        cr_assert_not(users[1].went);
        run_for(l, 2 * USEC_PER_SEC);
        cr_assert_eq(users[1].at, start + 21 * USEC_PER_SEC);
        cr_assert_eq(budget_paused_until(b), 0);
}

Test(budget, retry_after_counts_with_any_outcome_and_is_bounded)
{
        budget_wait(b, &users[0].slot);
        run_for(l, USEC_PER_SEC);
        budget_leave(b, &users[0].slot, BUDGET_FAILED, UINT_MAX);
        cr_assert_eq(budget_paused_until(b), loop_now(l) + BUDGET_PAUSE_MAX);
}

Test(budget, pauses_without_retry_after_double_to_a_minute)
{
        static const unsigned seconds[] = {1, 2, 4, 8, 16, 32, 60, 60};

        for (unsigned i = 0; i < ELEMENTSOF(seconds); i++) {
                wait_again(&users[0]);
                run_for(l, 100 * USEC_PER_SEC);
                cr_assert(users[0].went);
                budget_leave(b, &users[0].slot, BUDGET_THROTTLED, 0);
                cr_assert_eq(budget_paused_until(b), loop_now(l) + seconds[i] * USEC_PER_SEC);
        }
        /* An answer ends it. */
        wait_again(&users[0]);
        run_for(l, 100 * USEC_PER_SEC);
        budget_leave(b, &users[0].slot, BUDGET_ANSWERED, 0);
        wait_again(&users[0]);
        run_for(l, USEC_PER_SEC);
        budget_leave(b, &users[0].slot, BUDGET_THROTTLED, 0);
        cr_assert_eq(budget_paused_until(b), loop_now(l) + USEC_PER_SEC);
}

Test(budget, one_burst_is_one_pause)
{
        for (unsigned i = 0; i < BUDGET_WINDOW; i++)
                budget_wait(b, &users[i].slot);
        run_for(l, USEC_PER_SEC);
        for (unsigned i = 0; i < 10; i++)
                budget_leave(b, &users[i].slot, BUDGET_THROTTLED, 0);
        cr_assert_eq(budget_paused_until(b), loop_now(l) + USEC_PER_SEC);
        /* An answer to a request of the same burst does not end the pause, */
        budget_leave(b, &users[10].slot, BUDGET_ANSWERED, 0);
        cr_assert_neq(budget_paused_until(b), 0);
        /* and a longer Retry-After prolongs it, */
        budget_leave(b, &users[11].slot, BUDGET_THROTTLED, 7);
        cr_assert_eq(budget_paused_until(b), loop_now(l) + 7 * USEC_PER_SEC);
        /* which a shorter one does not take back. */
        budget_leave(b, &users[12].slot, BUDGET_THROTTLED, 2);
        cr_assert_eq(budget_paused_until(b), loop_now(l) + 7 * USEC_PER_SEC);
}

Test(budget, after_a_pause_one_goes_first_and_the_window_opens_with_each_answer)
{
        budget_wait(b, &users[0].slot);
        run_for(l, USEC_PER_SEC);
        budget_leave(b, &users[0].slot, BUDGET_THROTTLED, 5);
        for (unsigned i = 1; i < N; i++)
                budget_wait(b, &users[i].slot);
        run_for(l, 10 * USEC_PER_SEC);
        cr_assert_eq(count_held(), 1);
        for (unsigned i = 1; i < 6; i++) {
                budget_leave(b, &users[i].slot, BUDGET_ANSWERED, 0);
                run_for(l, USEC_PER_SEC);
                cr_assert_eq(count_held(), i + 1);
        }
}

static void go_and_leave(void *userdata)
{
        struct user *u = userdata;

        go(u);
        budget_leave(b, &u->slot, BUDGET_FAILED, 0);
        if (u->number + 1 < N)
                budget_cancel(b, &users[u->number + 1].slot);
}

Test(budget, slots_may_be_left_and_cancelled_while_they_are_given)
{
        for (unsigned i = 0; i < N; i++) {
                users[i].slot.go = go_and_leave;
                budget_wait(b, &users[i].slot);
        }
        run_for(l, USEC_PER_SEC);
        cr_assert_eq(n_went, N / 2);
        cr_assert(budget_is_idle(b));
}

Test(budget, is_idle_only_when_nothing_would_be_lost)
{
        cr_assert(budget_is_idle(b));
        budget_wait(b, &users[0].slot);
        cr_assert_not(budget_is_idle(b));
        run_for(l, USEC_PER_SEC);
        cr_assert_not(budget_is_idle(b));
        budget_leave(b, &users[0].slot, BUDGET_THROTTLED, 5);
        cr_assert_not(budget_is_idle(b));
        run_for(l, 6 * USEC_PER_SEC);
        cr_assert(budget_is_idle(b));
        cr_assert_str_eq(budget_url(b), FAKE_URL);
}
