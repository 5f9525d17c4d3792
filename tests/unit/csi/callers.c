#include "csi/callers.h"

#include <criterion/criterion.h>

#include "grpc_client.h"

static struct callers line;
static struct rpc_pair pair;
static size_t nobody, arrived;

static char *say_late(void *userdata)
{
        return strdup("not yet");
}

static void on_nobody(void *userdata)
{
        nobody++;
}

static void on_wait(void *userdata, struct rpc_call *call)
{
        arrived++;
        cr_assert_eq(callers_add(&line, call, true), 0);
}

static void on_wait_for_ever(void *userdata, struct rpc_call *call)
{
        arrived++;
        cr_assert_eq(callers_add(&line, call, false), 0);
}

static const struct rpc_method methods[] = {
        {.path = "/test/Wait", .fn = on_wait},
        {.path = "/test/WaitForEver", .fn = on_wait_for_ever},
};

static void set_up(void)
{
        rpc_pair_open(&pair, methods, ELEMENTSOF(methods), NULL);
        line = (struct callers){.loop = pair.loop, .late = say_late, .nobody = on_nobody};
        nobody = arrived = 0;
}

static void tear_down(void)
{
        rpc_pair_close(&pair);
}

TestSuite(callers, .init = set_up, .fini = tear_down, .timeout = 60);

static struct client_call *start(const char *method, usec_t timeout)
{
        size_t before = arrived;
        struct client_call *call = client_start(pair.client, method, "", 0, timeout);

        while (arrived == before)
                cr_assert_geq(loop_turn(pair.loop, USEC_PER_SEC), 0);
        return call;
}

Test(callers, all_are_told_the_same)
{
        struct client_call *a = start("/test/Wait", 30 * USEC_PER_SEC);
        struct client_call *b = start("/test/WaitForEver", 30 * USEC_PER_SEC);

        callers_answer(&line, RPC_NOT_FOUND, "no");
        cr_assert_null(line.list);
        _cleanup_answer_ struct answer first = client_finish(a), second = client_finish(b);
        cr_assert_eq(first.code, RPC_NOT_FOUND);
        cr_assert_str_eq(first.text, "no");
        cr_assert_eq(second.code, RPC_NOT_FOUND);
        cr_assert_eq(nobody, 0);

        a = start("/test/Wait", 30 * USEC_PER_SEC);
        callers_answer(&line, RPC_OK, NULL);
        _cleanup_answer_ struct answer third = client_finish(a);
        cr_assert_eq(third.code, RPC_OK);
        cr_assert_eq(third.length, 0);
}

/* In simulated time: the caller's own deadline is far away, however busy the machine is. */
Test(callers, one_is_told_before_its_deadline)
{
        loop_simulate(pair.loop, loop_now(pair.loop), 0);
        struct client_call *call = start("/test/Wait", 50 * USEC_PER_SEC);

        while (nobody == 0)
                cr_assert_geq(loop_turn(pair.loop, USEC_INFINITY), 0);
        _cleanup_answer_ struct answer a = client_finish(call);
        cr_assert_eq(a.code, RPC_DEADLINE_EXCEEDED);
        cr_assert_str_eq(a.text, "not yet", "our own answer");
        cr_assert_eq(nobody, 1);
        cr_assert_null(line.list);
}

Test(callers, one_that_gave_up_is_forgotten)
{
        struct client_call *a = start("/test/WaitForEver", 30 * USEC_PER_SEC);
        struct client_call *b = start("/test/Wait", 30 * USEC_PER_SEC);

        client_cancel(a);
        _cleanup_answer_ struct answer gone = client_finish(a);
        cr_assert_neq(gone.code, RPC_OK);
        cr_assert_eq(nobody, 0, "the other one waits");
        client_cancel(b);
        _cleanup_answer_ struct answer other = client_finish(b);
        while (nobody == 0)
                cr_assert_geq(loop_turn(pair.loop, USEC_PER_SEC), 0);
        cr_assert_null(line.list);
}
