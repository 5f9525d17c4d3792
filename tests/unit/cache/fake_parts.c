/* What the fake vault needs of others: lists of names, as vault/names.c keeps them, and time. */
#include <criterion/criterion.h>

#include "fake_vault.h"

struct vault_names *vault_names_ref(struct vault_names *n)
{
        n->refs++;
        return n;
}

struct vault_names *vault_names_unref(struct vault_names *n)
{
        if (!n || --n->refs > 0)
                return NULL;
        for (size_t i = 0; i < n->n; i++) {
                free(n->list[i].name);
                free(n->list[i].tags);
        }
        free(n->list);
        free(n);
        return NULL;
}

/* --- time --- */

static void on_end(void *userdata)
{
        *(bool *)userdata = true;
}

void run_for(struct loop *l, usec_t span)
{
        struct loop_timer *end;
        bool over = false;

        cr_assert_eq(loop_timer_new(l, on_end, &over, &end), 0);
        cr_assert_eq(loop_timer_in(end, span), 0);
        while (!over)
                cr_assert_geq(loop_turn(l, USEC_INFINITY), 0);
        loop_timer_free(end);
}

struct loop *simulated_loop(void)
{
        struct loop *l;

        cr_assert_eq(loop_new(&l), 0);
        loop_simulate(l, 1000 * USEC_PER_SEC, 1700000000);
        return l;
}
