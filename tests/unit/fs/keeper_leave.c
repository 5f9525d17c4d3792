/* How long a keeper waits for a worker that it has told to end: see tests/unit/fs/keeper_parts.h.
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <sys/mount.h>

#include "tests/unit/fs/keeper_parts.h"
#include "tests/unit/fs/support.h"

#define WORKER "akvfs-unit-leaver"
#define PATIENCE_MS 2000

/* Told to end, by itself: signals come when they have been blocked. */
static void be_told_to_end(void)
{
        struct timespec limit = {.tv_sec = 20};
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        CHECK(kill(getppid(), SIGTERM) == 0);
        CHECK(sigtimedwait(&set, NULL, &limit) == SIGTERM);
}

/* Takes something away again and again, in steps that are small beside the keeper's patience. */
static void take_away_for(int ms)
{
        int64_t end = monotonic_ms() + ms;

        while (monotonic_ms() < end) {
                say(KEEPER_UNMOUNT, 99, 0, "");
                CHECK(hear(KEEPER_UNMOUNTED, 99, NULL).result == 0);
                (void)poll(NULL, 0, 5);
        }
}

/* With one mount the whole of patience is half as much again. */
static void part_ends_slowly(const char *path)
{
        do_mount(1, path);
        be_told_to_end();
        take_away_for(PATIENCE_MS * 11 / 10);
        say(KEEPER_UNMOUNT, 1, KEEPER_DETACH, "");
        CHECK(hear(KEEPER_UNMOUNTED, 1, NULL).result == 0);
        _exit(REACHED);
}

static void part_ends_never(const char *path)
{
        do_mount(1, path);
        be_told_to_end();
        take_away_for(60000);
}

static void part_does_nothing(const char *path)
{
        do_mount(1, path);
        be_told_to_end();
        for (;;)
                pause();
}

static const struct part parts[] = {
        {"ends-slowly", part_ends_slowly},
        {"ends-never", part_ends_never},
        {"does-nothing", part_does_nothing},
};

__attribute__((constructor)) static void worker_main(int argc, char *argv[])
{
        play_part(WORKER, parts, ELEMENTSOF(parts), argc, argv);
}

/* What a keeper makes of that part, and whether nothing is left of its mount. */
static int run(const char *part)
{
        char at[] = "/tmp/akvfs-unit-XXXXXX";
        struct keeper_options options = {.leave_ms = PATIENCE_MS};

        cr_assert_not_null(mkdtemp(at));
        int status = finish_keeper(start_keeper(options, WORKER, part, at, false));
        cr_assert_not(is_mounted(at));
        cr_assert_eq(rmdir(at), 0);
        return status;
}

TestSuite(keeper_leave, .timeout = 120);

Test(keeper_leave, a_worker_that_takes_its_mounts_away_is_waited_for)
{
        if (private_namespace())
                cr_assert_eq(run("ends-slowly"), REACHED);
}

Test(keeper_leave, one_that_never_comes_to_an_end_is_killed)
{
        if (private_namespace())
                cr_assert_eq(run("ends-never"), 1);
}

Test(keeper_leave, one_that_does_nothing_is_killed)
{
        if (private_namespace())
                cr_assert_eq(run("does-nothing"), 1);
}
