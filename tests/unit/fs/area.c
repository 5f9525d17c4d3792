#include "tests/unit/fs/area.h"

#include <criterion/criterion.h>
#include <sys/mman.h>

int area_of(const struct area_head *head, size_t size)
{
        int fd = memfd_create("test-area", MFD_CLOEXEC);

        cr_assert_geq(fd, 0);
        cr_assert_eq(pwrite(fd, head, sizeof *head, 0), (ssize_t)sizeof *head);
        cr_assert_eq(ftruncate(fd, (off_t)size), 0);
        return fd;
}

static char *map(const struct journal *j, size_t *ret_len)
{
        *ret_len = journal_size(j) + AREA_HEADER;
        char *p = mmap(NULL, *ret_len, PROT_READ | PROT_WRITE, MAP_SHARED, journal_fd(j), 0);
        cr_assert_neq(p, MAP_FAILED);
        return p;
}

struct journal *area_cut(const struct journal *j, size_t committed)
{
        struct area_head head = AREA_GOOD;
        struct journal *copy;
        size_t len;
        char *p = map(j, &len);

        head.committed = committed;
        int fd = area_of(&head, len);
        /* Not by write(2): these may be pages that the kernel cannot read. */
        char *q = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        cr_assert_neq(q, MAP_FAILED);
        memcpy(q + AREA_HEADER, p + AREA_HEADER, journal_used(j));
        munmap(q, len);
        munmap(p, len);
        cr_assert_eq(journal_open(fd, &copy), 0);
        return copy;
}

void area_poke(struct journal *j, size_t offset, uint32_t value)
{
        size_t len;
        char *p = map(j, &len);

        memcpy(p + AREA_HEADER + offset, &value, sizeof value);
        munmap(p, len);
}
