/* The service manager is played by the test; tests/integration/test_service.py has a real one's
 * part. */
#include "fs/keeper_store.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fs/keeper_private.h"

static struct keeper k;
static int manager;
static char address[64], said[512];

static void init(void)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};

        int n = snprintf(address, sizeof address, "@akvfs-unit-store-%d", (int)getpid());
        memcpy(sa.sun_path, address, (size_t)n);
        sa.sun_path[0] = '\0';
        manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        cr_assert_eq(bind(manager, (const struct sockaddr *)&sa,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
                0);
        keeper_store_init(&k.store, address);
        k.area_fd = memfd_create("journal", MFD_CLOEXEC);
}

static void fini(void)
{
        keeper_store_release(&k.store);
        safe_close(k.area_fd);
        safe_close(manager);
}

TestSuite(keeper_store, .init = init, .fini = fini, .timeout = 60);

/* What the manager is told next; "" for nothing. The descriptor that comes along is closed by the
 * kernel. */
static const char *hear(void)
{
        ssize_t n = recv(manager, said, sizeof said - 1, 0);

        said[n > 0 ? n : 0] = '\0';
        return said;
}

/* At once, whatever it waits for. */
static void sync_now(void)
{
        k.store.retry_at = 0;
        keeper_store_sync(&k);
}

static void expect(const char *verb, const char *name)
{
        char line[KEEPER_NAME_SIZE + 64];

        (void)snprintf(line, sizeof line, "%s=1\nFDNAME=%s", verb, name);
        cr_assert_str_eq(hear(), line);
}

static void change_journal(char old[KEEPER_NAME_SIZE])
{
        memcpy(old, k.store.area, sizeof k.store.area);
        keeper_store_changed(&k.store, true);
        sync_now();
}

static void expect_recorded(const char *area)
{
        struct keeper_msg m;

        cr_assert_eq(pread(k.store.record, &m, sizeof m, 0), (ssize_t)sizeof m);
        cr_assert_eq(m.op, KEEPER_HELLO);
        cr_assert_str_eq(m.name, area);
}

Test(keeper_store, a_new_journal_is_there_before_the_old_one_goes)
{
        char old[KEEPER_NAME_SIZE];

        change_journal(old);
        expect("FDSTORE", k.store.area);
        expect("FDSTORE", KEEPER_STORE_RECORD);
        cr_assert_str_empty(hear());
        expect_recorded(k.store.area);
        change_journal(old);
        cr_assert_str_neq(old, k.store.area);
        expect("FDSTORE", k.store.area);
        expect("FDSTOREREMOVE", old);
        cr_assert_str_empty(hear());
        expect_recorded(k.store.area);
        cr_assert_eq(keeper_store_timeout(&k), -1);
}

/* Else a restart would find a record of a journal that is nowhere. */
Test(keeper_store, a_journal_that_the_record_names_stays)
{
        char old[KEEPER_NAME_SIZE], between[KEEPER_NAME_SIZE];
        struct rlimit limit, none;

        change_journal(old);
        expect("FDSTORE", k.store.area);
        expect("FDSTORE", KEEPER_STORE_RECORD);
        (void)signal(SIGXFSZ, SIG_IGN);
        cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
        none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
        change_journal(old);
        expect("FDSTORE", k.store.area);
        cr_assert_str_empty(hear());
        expect_recorded(old);
        change_journal(between);
        cr_assert_str_empty(hear());
        cr_assert_gt(keeper_store_timeout(&k), 0, "and is tried again");

        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        sync_now();
        expect("FDSTOREREMOVE", old);
        expect("FDSTORE", k.store.area);
        expect("FDSTOREREMOVE", between);
        cr_assert_str_empty(hear());
        expect_recorded(k.store.area);
}

/* As many messages as one sender can have on their way. */
static int send_all(void)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        int sent = 0;

        memcpy(sa.sun_path + 1, address + 1, strlen(address) - 1);
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        cr_assert_eq(connect(fd, (const struct sockaddr *)&sa,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address))),
                0);
        while (send(fd, "x", 1, 0) == 1)
                sent++;
        return sent;
}

/* It has what was rotated out. */
Test(keeper_store, an_old_journal_that_cannot_be_taken_back_is_not_forgotten)
{
        char old[KEEPER_NAME_SIZE];
        bool queued = false;

        change_journal(old);
        expect("FDSTORE", k.store.area);
        expect("FDSTORE", KEEPER_STORE_RECORD);
        /* The manager's queue has room for the new journal alone. A sender may have less room than
         * it, so there are as many as it takes. */
        while (send_all() > 0)
                queued = true;
        cr_assert(queued);
        cr_assert_str_eq(hear(), "x");
        change_journal(old);
        cr_assert_str_eq(k.store.replaced, old);
        cr_assert_gt(keeper_store_timeout(&k), 0);
        while (streq(hear(), "x"))
                ;
        cr_assert_not_null(strstr(said, k.store.area));
        sync_now();
        expect("FDSTOREREMOVE", old);
        cr_assert_str_empty(hear());
        cr_assert_eq(keeper_store_timeout(&k), -1);
}
