#include "fs/journal.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sec.h"
#include "tests/unit/fs/area.h"

TestSuite(journal, .timeout = 120);

static void put(struct journal *j, uint32_t type, const char *text)
{
        struct iovec part = {(void *)(uintptr_t)text, strlen(text)};

        cr_assert_eq(journal_append(j, type, 7, &part, 1, false), 0);
}

Test(journal, gives_back_what_was_appended_in_order)
{
        struct journal *j, *same;
        struct journal_record r;
        size_t offset = 0;

        cr_assert_eq(journal_new(1, false, &j), 0);
        cr_assert_eq(
                journal_size(j), JOURNAL_SIZE_MIN - AREA_HEADER, "never smaller than the least");
        cr_assert_not(journal_next(j, &offset, &r), "empty");
        put(j, 1, "one");
        char two[] = "two";
        struct iovec parts[] = {{two, 2}, {NULL, 0}, {two + 2, 1}};
        cr_assert_eq(journal_append(j, 2, UINT64_MAX, parts, ELEMENTSOF(parts), false), 0);
        cr_assert_eq(journal_append(j, 3, 9, NULL, 0, false), 0);

        /* A successor maps the same pages. */
        cr_assert_eq(journal_open(fcntl(journal_fd(j), F_DUPFD_CLOEXEC, 3), &same), 0);
        cr_assert(journal_next(same, &offset, &r));
        cr_assert_eq(r.type, 1);
        cr_assert_eq(r.mount, 7);
        cr_assert_eq(r.len, 3);
        cr_assert_arr_eq(r.data, "one", 3);
        cr_assert_eq((uintptr_t)r.data % 8, 0, "aligned for whoever reads structs");
        cr_assert(journal_next(same, &offset, &r));
        cr_assert_eq(r.mount, UINT64_MAX);
        cr_assert_eq(r.len, 3);
        cr_assert_arr_eq(r.data, "two", 3);
        cr_assert(journal_next(same, &offset, &r));
        cr_assert_eq(r.type, 3);
        cr_assert_eq(r.len, 0);
        cr_assert_not(journal_next(same, &offset, &r));
        cr_assert_eq(offset, journal_used(same));
        put(j, 4, "later");
        cr_assert(journal_next(same, &offset, &r), "the other mapping grows with it");
        cr_assert_eq(r.type, 4);
        journal_free(j);
        offset = 0;
        cr_assert(journal_next(same, &offset, &r), "and outlives it");
        journal_free(same);
        journal_free(NULL);
}

Test(journal, what_is_set_aside_is_for_reserved_records)
{
        struct journal *j;
        char big[4096] = "x";
        struct iovec part = {big, sizeof big};
        unsigned n = 0;

        cr_assert_eq(journal_new(0, false, &j), 0);
        cr_assert_eq(journal_make_room(j, 0, 10000), 0);
        while (journal_append(j, 1, 1, &part, 1, false) == 0)
                n++;
        cr_assert_gt(n, 50);
        cr_assert_geq(journal_size(j) - journal_used(j), 10000);
        size_t used = journal_used(j);
        cr_assert_eq(journal_append(j, 1, 1, &part, 1, false), -ENOSPC);
        cr_assert_eq(journal_used(j), used, "nothing was begun");
        cr_assert_eq(journal_append(j, 1, 1, &part, 1, true), 0);
        cr_assert_eq(journal_append(j, 1, 1, &part, 1, true), 0);
        while (journal_append(j, 1, 1, NULL, 0, true) == 0)
                ;
        cr_assert_lt(journal_size(j) - journal_used(j), 16, "to the last byte");
        struct journal_record r;
        size_t offset = 0;
        while (journal_next(j, &offset, &r))
                ;
        cr_assert_eq(offset, journal_used(j));
        journal_free(j);
}

/* Pages that cannot be had, as they are beyond the end of a file that was cut: an error, where a
 * write would be SIGBUS. */
Test(journal, a_page_that_is_not_to_be_had_is_an_error)
{
        char big[4096] = "x";
        struct iovec part = {big, sizeof big};
        struct journal_record r;
        struct journal *j;
        size_t offset = 0, n = 0;
        int e;

        cr_assert_eq(journal_new(0, true, &j), 0);
        cr_assert_eq(ftruncate(journal_fd(j), 65536), 0);
        cr_assert_eq(journal_make_room(j, 60000, 1000), 0);
        cr_assert_eq(journal_make_room(j, 65536, 1000), -ENOMEM);
        cr_assert_eq(journal_make_room(j, JOURNAL_SIZE_MIN, 1000), -ENOSPC);
        while ((e = journal_append(j, 1, 1, &part, 1, false)) == 0)
                n++;
        cr_assert_eq(e, -ENOMEM);
        cr_assert_eq(n, 15);
        cr_assert_eq(journal_append(j, 1, 1, &part, 1, true), -ENOMEM, "nor for a reserved one");
        cr_assert_eq(journal_append(j, 2, 1, &part, 0, false), 0, "a small one fits");
        while (journal_next(j, &offset, &r))
                n--;
        cr_assert_eq(n, (size_t)-1);
        journal_free(j);
}

Test(journal, sizes_that_cannot_be)
{
        struct journal *j = NULL;
        struct iovec huge = {NULL, (size_t)UINT32_MAX + 1};

        cr_assert_eq(journal_new(JOURNAL_SIZE_MAX + 1, false, &j), -EFBIG);
        cr_assert_null(j);
        cr_assert_eq(journal_new(300000, false, &j), 0);
        cr_assert_geq(journal_size(j) + AREA_HEADER, 300000);
        cr_assert_eq(journal_append(j, 1, 1, &huge, 1, false), -EFBIG);
        journal_free(j);
}

/* fd is taken over whatever happens. */
static void refused(int fd)
{
        struct journal *j = NULL;

        cr_assert_eq(journal_open(fd, &j), -EBADMSG);
        cr_assert_null(j);
        cr_assert_lt(fcntl(fd, F_GETFD), 0, "closed");
}

Test(journal, what_is_none_of_ours_is_refused)
{
        struct area_head good = AREA_GOOD, bad;

        refused(area_of(&good, JOURNAL_SIZE_MIN - 1));
        refused(area_of(&good, JOURNAL_SIZE_MAX + 4096));
        bad = good;
        bad.magic++;
        refused(area_of(&bad, JOURNAL_SIZE_MIN));
        bad = good;
        bad.version++;
        refused(area_of(&bad, JOURNAL_SIZE_MIN));
        bad = good;
        bad.committed = JOURNAL_SIZE_MIN - AREA_HEADER + 1;
        refused(area_of(&bad, JOURNAL_SIZE_MIN));
        bad.committed = UINT64_MAX;
        refused(area_of(&bad, JOURNAL_SIZE_MIN));
        int fd = area_of(&good, 0);
        refused(fd);
        struct journal *j = NULL;
        cr_assert_eq(journal_open(-EBADF, &j), -EBADMSG);

        cr_assert_eq(journal_open(area_of(&good, JOURNAL_SIZE_MIN), &j), 0);
        journal_free(j);
}

/* A worker may be killed between any two bytes: what is committed is what there is. */
Test(journal, cut_anywhere_it_ends_with_its_last_whole_record)
{
        struct journal *j;
        size_t ends[64], n = 0;

        cr_assert_eq(journal_new(0, false, &j), 0);
        for (; n < 40; n++) {
                char text[64];
                memset(text, 'a' + (int)n % 26, sizeof text);
                text[n] = '\0';
                put(j, (uint32_t)n, text);
                ends[n] = journal_used(j);
        }
        for (size_t cut = 0; cut <= ends[n - 1]; cut++) {
                struct journal_record r;
                size_t offset = 0, whole = 0, read = 0;
                struct journal *copy = area_cut(j, cut);

                while (whole < n && ends[whole] <= cut)
                        whole++;
                while (journal_next(copy, &offset, &r)) {
                        cr_assert_eq(r.type, read);
                        cr_assert_eq(r.len, read);
                        read++;
                }
                cr_assert_eq(read, whole, "cut at %zu", cut);
                journal_free(copy);
        }
        journal_free(j);
}

Test(journal, a_length_that_leaves_the_area_ends_it)
{
        static const uint32_t lengths[] = {1, 1000, JOURNAL_SIZE_MIN, UINT32_MAX - 7, UINT32_MAX};

        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                struct journal_record r;
                struct journal *j, *copy;
                size_t offset = 0;

                cr_assert_eq(journal_new(0, false, &j), 0);
                put(j, 1, "");
                put(j, 2, "");
                copy = area_cut(j, journal_used(j));
                area_poke(copy, journal_used(copy) - 12, lengths[i]);
                cr_assert(journal_next(copy, &offset, &r));
                cr_assert_eq(r.type, 1);
                cr_assert_not(journal_next(copy, &offset, &r), "%u", lengths[i]);
                journal_free(copy);
                journal_free(j);
        }
}

static void *append_many(void *userdata)
{
        for (uint32_t i = 0; i < 1000; i++) {
                uint32_t value[2] = {i, ~i};
                struct iovec part = {value, sizeof value};
                cr_assert_eq(
                        journal_append(userdata, i, (uint64_t)pthread_self(), &part, 1, true), 0);
        }
        return NULL;
}

Test(journal, threads_append_whole_records)
{
        struct journal *j;
        pthread_t t[4];
        uint32_t next[4] = {0};
        struct journal_record r;
        size_t offset = 0, total = 0;

        cr_assert_eq(journal_new(0, false, &j), 0);
        for (int i = 0; i < 4; i++)
                cr_assert_eq(pthread_create(&t[i], NULL, append_many, j), 0);
        /* A reader beside them meets whole records only. */
        while (total < 4000) {
                if (!journal_next(j, &offset, &r))
                        continue;
                const uint32_t *value = r.data;
                cr_assert_eq(value[0], ~value[1]);
                for (int i = 0; i < 4; i++)
                        if (r.mount == (uint64_t)t[i])
                                cr_assert_eq(next[i]++, r.type);
                total++;
        }
        for (int i = 0; i < 4; i++) {
                cr_assert_eq(pthread_join(t[i], NULL), 0);
                cr_assert_eq(next[i], 1000);
        }
        journal_free(j);
}

/* Pages of memfd_secret cannot be read on somebody's behalf; where there is none, they are those of
 * a memfd, which can. Either way no file system knows them. */
Test(journal, no_file_leads_to_it)
{
        struct journal *j;
        char link[64] = "", path[64];

        cr_assert_eq(journal_new(0, false, &j), 0);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", journal_fd(j));
        cr_assert_gt(readlink(path, link, sizeof link - 1), 0);
        cr_assert(strstr(link, "secretmem") || strstr(link, "memfd:"), "%s", link);
        cr_assert(fcntl(journal_fd(j), F_GETFD) & FD_CLOEXEC);
        journal_free(j);
}

/* secret_memory=require and status look at what is the worst of all that is held. In a process of
 * its own, since root gives up its rights for it, and LeakSanitizer with them. */
Test(journal, an_area_that_cannot_be_locked_is_told)
{
        const struct rlimit none = {0};
        struct journal *j;
        int status;

        pid_t pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                if (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || (geteuid() == 0 && seteuid(65534) < 0))
                        _exit(2);
                _exit(!sec_all_locked() || journal_new(0, true, &j) < 0 || sec_all_locked());
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status));
        cr_assert_eq(WEXITSTATUS(status), 0);
}
