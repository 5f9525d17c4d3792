#include "base/sec.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/log.h"
#include "support/sanitizer.h"

TestSuite(sec, .timeout = 60);

Test(sec, holds_a_copy)
{
        char data[] = "one\0two";
        struct sec *s = NULL;
        size_t before = sec_total();

        cr_assert_eq(sec_new(data, 7, &s), 0);
        memset(data, 'x', sizeof data);
        cr_assert_eq(sec_len(s), 7);
        cr_assert_arr_eq(sec_bytes(s), "one\0two", 7);
        cr_assert_eq(sec_total(), before + 7);
        cr_assert_null(sec_unref(s));
        cr_assert_eq(sec_total(), before);
        cr_assert_null(sec_unref(NULL));
        cr_assert_null(sec_ref(NULL));
}

Test(sec, sizes)
{
        static const size_t sizes[] = {0, 1, 40, 41, 1000, 25 << 10, (128 << 10) - 64, 128 << 10,
                (128 << 10) + 1, 1 << 20, SEC_MAX};

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                struct sec *s = NULL;
                cr_assert_eq(sec_alloc(sizes[i], &s), 0);
                unsigned char *p = sec_buf(s);
                for (size_t k = 0; k < sizes[i]; k += 997)
                        cr_assert_eq(p[k], 0);
                memset(p, 0xaa, sizes[i]);
                cr_assert_eq(sec_len(s), sizes[i]);
                sec_unref(s);
        }
        struct sec *s = NULL;
        cr_assert_eq(sec_alloc(SEC_MAX + 1, &s), -EFBIG);
        cr_assert_eq(sec_new("", SEC_MAX + 1, &s), -EFBIG);
        cr_assert_null(s);
}

/* Locked memory is dear: what lies between two values of one size is little more than them. */
Test(sec, a_block_is_hardly_larger_than_its_value)
{
        for (size_t len = 40; len <= 32 << 10; len += len / 7) {
                struct sec *s[3];
                size_t least = SIZE_MAX;

                for (size_t i = 0; i < ELEMENTSOF(s); i++)
                        cr_assert_eq(sec_alloc(len, &s[i]), 0);
                for (size_t i = 1; i < ELEMENTSOF(s); i++) /* a new chunk may begin between two */
                        least = MIN(least, (size_t)labs((char *)s[i] - (char *)s[i - 1]));
                cr_assert_geq(least, len);
                cr_assert_leq(least, (len + 32) * 5 / 4, "%zu bytes take %zu", len, least);
                for (size_t i = 0; i < ELEMENTSOF(s); i++)
                        sec_unref(s[i]);
        }
}

Test(sec, references_are_shared)
{
        struct sec *s = NULL;

        cr_assert_eq(sec_new("x", 1, &s), 0);
        cr_assert_eq(sec_ref(s), s);
        sec_unref(s);
        cr_assert_arr_eq(sec_bytes(s), "x", 1);
        sec_unref(s);
}

/* Freed blocks are zero but for the list's own pointer, and used again. */
Test(sec, freed_bytes_are_wiped)
{
        struct sec *s = NULL, *again = NULL;

        cr_assert_eq(sec_alloc(200, &s), 0);
        volatile unsigned char *p = sec_buf(s);
        memset(sec_buf(s), 0x5a, 200);
        sec_unref(s);
        for (size_t i = 0; i < 200; i++)
                cr_assert_neq(p[i], 0x5a);
        cr_assert_eq(sec_alloc(190, &again), 0);
        cr_assert_eq(again, s);
        for (size_t i = 0; i < 190; i++)
                cr_assert_eq(p[i], 0);
        sec_unref(again);
}

Test(sec, truncate_wipes_what_falls_off)
{
        struct sec *s = NULL;
        size_t before = sec_total();

        cr_assert_eq(sec_new("0123456789", 10, &s), 0);
        const unsigned char *p = sec_bytes(s);
        sec_truncate(s, 4);
        cr_assert_eq(sec_len(s), 4);
        cr_assert_arr_eq(p, "0123", 4);
        for (int i = 4; i < 10; i++)
                cr_assert_eq(p[i], 0);
        cr_assert_eq(sec_total(), before + 4);
        sec_unref(s);
        cr_assert_eq(sec_total(), before);
}

Test(sec, equality)
{
        struct sec *a, *b, *c, *d;

        cr_assert_eq(sec_new("abc", 3, &a), 0);
        cr_assert_eq(sec_new("abc", 3, &b), 0);
        cr_assert_eq(sec_new("abd", 3, &c), 0);
        cr_assert_eq(sec_new("ab", 2, &d), 0);
        cr_assert(sec_equal(a, b));
        cr_assert_not(sec_equal(a, c));
        cr_assert_not(sec_equal(a, d));
        sec_unref(a);
        sec_unref(b);
        sec_unref(c);
        sec_unref(d);
}

Test(sec, thousands_share_pages)
{
        enum { N = 5000 };
        static struct sec *s[N];
        char lo[24];

        for (int i = 0; i < N; i++) {
                snprintf(lo, sizeof lo, "value %d", i);
                cr_assert_eq(sec_new(lo, strlen(lo), &s[i]), 0);
        }
        for (int i = 0; i < N; i++) {
                snprintf(lo, sizeof lo, "value %d", i);
                cr_assert_eq(sec_len(s[i]), strlen(lo));
                cr_assert_arr_eq(sec_bytes(s[i]), lo, strlen(lo));
                sec_unref(s[i]);
        }
}

static void *share(void *userdata)
{
        struct sec *s = userdata;

        for (int i = 0; i < 2000; i++) {
                struct sec *mine, *ref = sec_ref(s);
                cr_assert_eq(sec_new("mine", 4, &mine), 0);
                cr_assert(!sec_equal(ref, mine));
                sec_unref(mine);
                sec_unref(ref);
        }
        return NULL;
}

Test(sec, threads)
{
        pthread_t t[4];
        struct sec *s;
        size_t before = sec_total();

        cr_assert_eq(sec_new("shared", 6, &s), 0);
        for (int i = 0; i < 4; i++)
                cr_assert_eq(pthread_create(&t[i], NULL, share, s), 0);
        for (int i = 0; i < 4; i++)
                pthread_join(t[i], NULL);
        sec_unref(s);
        cr_assert_eq(sec_total(), before);
}

/* A forked child has zeroes where the values were, or nothing at all. */
Test(sec, children_get_no_copy)
{
        struct sec *s;
        int status;

        cr_assert_eq(sec_new("secret", 6, &s), 0);
        pid_t pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                signal(SIGSEGV, SIG_DFL); /* the sanitizers' and the framework's handlers */
                _exit(memcmp(sec_bytes(s), "\0\0\0\0\0", 6) == 0 ? 0 : 1);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status))
                cr_assert_eq(WTERMSIG(status), SIGSEGV);
        else
                cr_assert_eq(WEXITSTATUS(status), 0);
        sec_unref(s);
}

/* The line of a mapping in /proc/self/smaps, and its flags behind it. */
static void mapping_of(const void *p, char *out, size_t size)
{
        char line[512];
        bool inside = false;
        size_t n = 0;
        FILE *f = fopen("/proc/self/smaps", "re");

        cr_assert_not_null(f);
        out[0] = '\0';
        while (fgets(line, sizeof line, f)) {
                unsigned long a, b;
                bool head = sscanf(line, "%lx-%lx ", &a, &b) == 2;
                if (head)
                        inside = (unsigned long)p >= a && (unsigned long)p < b;
                if (inside && (head || startswith(line, "VmFlags:")))
                        n += (size_t)snprintf(out + n, size - n, "%s", line);
        }
        fclose(f);
        cr_assert_gt(n, 0);
}

static void assert_protected(const struct sec *s)
{
        char m[1024];

        mapping_of(sec_bytes(s), m, sizeof m);
        if (strstr(m, "secretmem")) { /* neither swapped nor dumped by its nature */
                cr_assert_not_null(strstr(m, " dc"), "%s", m);
                return;
        }
        cr_assert_not_null(strstr(m, " dd"), "%s", m);
        cr_assert_not_null(strstr(m, " wf"), "%s", m);
        if (sec_all_locked() && !TEST_SANITIZER) /* whose mlock() does nothing */
                cr_assert_not_null(strstr(m, " lo"), "%s", m);
}

Test(sec, pages_stay_out_of_core_dumps_and_swap)
{
        struct sec *s, *large;

        cr_assert_eq(sec_new("secret", 6, &s), 0);
        cr_assert_eq(sec_alloc(200 << 10, &large), 0);
        assert_protected(s);
        assert_protected(large);
        sec_unref(s);
        sec_unref(large);
}

/* Where memory cannot be locked it works all the same and says so, once. In a process of its own,
 * because root gives up its rights for it. */
Test(sec, says_when_memory_cannot_be_locked, .disabled = TEST_SANITIZER)
{
        static char text[4096];
        struct rlimit none = {0, 0};
        int fd = memfd_create("log", MFD_CLOEXEC), status;
        struct sec *s, *large[2];

        pid_t pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                log_set_fd(fd);
                if (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || (geteuid() == 0 && seteuid(65534) < 0))
                        _exit(2);
                if (sec_new("secret", 6, &s) < 0 || sec_alloc(1 << 20, &large[0]) < 0 ||
                        sec_alloc(1 << 20, &large[1]) < 0 || sec_all_locked())
                        _exit(1);
                _exit(0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status));
        cr_assert_eq(WEXITSTATUS(status), 0);
        ssize_t n = pread(fd, text, sizeof text - 1, 0);
        cr_assert_gt(n, 0);
        const char *said = strstr(text, "could not be locked");
        cr_assert_not_null(said);
        cr_assert_null(strstr(said + 1, "could not be locked"), "said more than once: %s", text);
        close(fd);
}

/* What takes pages, as /dev/fuse does, takes those of a bounce buffer; of memfd_secret it cannot.
 */
Test(sec, whose_pages_the_kernel_can_take)
{
        struct sec *s;
        int p[2];
        char got[16] = "";
        enum { LEN = 128 << 10 };

        cr_assert_eq(pipe(p), 0);
        cr_assert_eq(sec_new("secret bytes", 12, &s), 0);
        char *bounce = sec_bounce_new(LEN);
        cr_assert_not_null(bounce);
        for (size_t i = 0; i < LEN; i += 4096)
                cr_assert_eq(bounce[i], 0);
        memcpy(bounce, sec_bytes(s), 12);
        struct iovec from = {bounce, 12};
        cr_assert_eq(vmsplice(p[1], &from, 1, 0), 12);
        cr_assert_eq(read(p[0], got, sizeof got), 12);
        cr_assert_arr_eq(got, "secret bytes", 12);

        from.iov_base = (void *)(uintptr_t)sec_bytes(s);
        ssize_t n = vmsplice(p[1], &from, 1, 0);
        if (sec_kind() == SEC_KIND_SECRET)
                cr_assert(n < 0 && errno == EFAULT, "of memfd_secret");
        else
                cr_assert_eq(n, 12);
        sec_bounce_free(bounce, LEN);
        sec_bounce_free(NULL, LEN);
        sec_unref(s);
        close(p[0]);
        close(p[1]);
}

Test(sec, the_kind_is_what_the_least_protected_value_got)
{
        struct sec *s;

        cr_assert_eq(sec_new("x", 1, &s), 0);
        cr_assert_eq(sec_all_locked(), sec_kind() != SEC_KIND_UNLOCKED);
        cr_assert_str_eq(sec_kind_name(SEC_KIND_SECRET), "memfd_secret");
        cr_assert_str_eq(sec_kind_name(SEC_KIND_LOCKED), "locked");
        cr_assert_str_eq(sec_kind_name(SEC_KIND_UNLOCKED), "unlocked");
        sec_unref(s);
}

/* In a child that is forked there is nothing left to find: its pages are not there, or zero. */
Test(sec, a_forked_child_does_not_have_it, .disabled = TEST_SANITIZER)
{
        struct sec *s;
        int status;

        cr_assert_eq(sec_new("secret", 6, &s), 0);
        pid_t pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                volatile const char *p = sec_bytes(s);
                (void)signal(SIGSEGV, SIG_DFL);
                _exit(p[0] == 's');
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFSIGNALED(status) ? WTERMSIG(status) == SIGSEGV : WEXITSTATUS(status) == 0);
        sec_unref(s);
}
