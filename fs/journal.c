#include "fs/journal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "base/sec.h"

#define MAGIC 0x6c6a6b61u /* "akjl" */
#define ALIGN 8

struct area {
        uint32_t magic, version;
        _Atomic uint64_t committed; /* bytes of whole records behind this header */
        uint64_t reserved[6];
};

struct head {
        uint32_t type, len;
        uint64_t mount;
};

struct journal {
        int fd;
        size_t size; /* of the mapping */
        struct area *area;
        pthread_mutex_t lock; /* appending; readers only look at what is committed */
        size_t set_aside;
        size_t touched; /* bytes from the beginning on whose pages are there */
};

static size_t padded(size_t n)
{
        return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static size_t whole_pages(size_t n)
{
        return (n + SEC_PAGE - 1) & ~(SEC_PAGE - 1);
}

/* `end` is the first byte behind what is to be written; under the lock. */
static int touch(struct journal *j, size_t end)
{
        if (end <= j->touched)
                return 0;
        int r = sec_touch((char *)j->area + j->touched, end - j->touched);
        if (r == 0)
                j->touched = whole_pages(end);
        return r;
}

/* memfd_secret is locked by nature; whether this is one its file system tells. */
static bool is_secret(int fd)
{
        struct statfs fs;

        return fstatfs(fd, &fs) == 0 && fs.f_type == SECRETMEM_MAGIC;
}

static int map_area(int fd, size_t size, struct journal **ret)
{
        struct journal *j = calloc(1, sizeof *j);
        if (!j)
                return -ENOMEM;

        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
                int r = -errno;
                free(j);
                return r;
        }
        (void)madvise(p, size, MADV_DONTDUMP);
        (void)madvise(p, size, MADV_DONTFORK);
        /* Pages come as they are filled: an area is made larger than what it begins with. */
        if (!is_secret(fd) && mlock2(p, size, MLOCK_ONFAULT) < 0)
                sec_degrade(SEC_KIND_UNLOCKED, strerror(errno));
        pthread_mutex_init(&j->lock, NULL);
        j->fd = fd;
        j->size = size;
        j->area = p;
        *ret = j;
        return 0;
}

static int new_area(bool secret, size_t size, struct journal **ret)
{
        int fd = secret ? (int)syscall(SYS_memfd_secret, O_CLOEXEC)
                        : memfd_create("akvfs-journal", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        struct journal *j = NULL;
        int r = ftruncate(fd, (off_t)size) < 0 ? -errno : map_area(fd, size, &j);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        r = touch(j, sizeof(struct area));
        if (r < 0) {
                journal_free(j);
                return r;
        }
        j->area->magic = MAGIC;
        j->area->version = JOURNAL_VERSION;
        *ret = j;
        return 0;
}

int journal_new(size_t size, bool plain, struct journal **ret)
{
        size = whole_pages(MAX(size, JOURNAL_SIZE_MIN));
        if (size > JOURNAL_SIZE_MAX)
                return -EFBIG;

        /* Where values cannot be in it, neither can the area. */
        bool secret = !plain && sec_kind() == SEC_KIND_SECRET;
        if (secret && new_area(true, size, ret) == 0)
                return 0;
        return new_area(false, size, ret);
}

int journal_open(int fd, struct journal **ret)
{
        struct stat st;
        struct journal *j = NULL;
        int r = -EBADMSG;

        if (fstat(fd, &st) == 0 && st.st_size >= (off_t)JOURNAL_SIZE_MIN &&
                st.st_size <= (off_t)JOURNAL_SIZE_MAX)
                r = map_area(fd, (size_t)st.st_size, &j);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        if (j->area->magic != MAGIC || j->area->version != JOURNAL_VERSION ||
                j->area->committed > j->size - sizeof(struct area)) {
                journal_free(j);
                return -EBADMSG;
        }
        /* What is committed is there, to the end of its last page. */
        j->touched = whole_pages(sizeof(struct area) + journal_used(j));
        *ret = j;
        return 0;
}

void journal_free(struct journal *j)
{
        if (!j)
                return;
        munmap(j->area, j->size);
        safe_close(j->fd);
        pthread_mutex_destroy(&j->lock);
        free(j);
}

int journal_fd(const struct journal *j)
{
        return j->fd;
}

size_t journal_size(const struct journal *j)
{
        return j->size - sizeof(struct area);
}

size_t journal_used(const struct journal *j)
{
        return j->area->committed;
}

int journal_make_room(struct journal *j, size_t len, size_t set_aside)
{
        int r = -ENOSPC;

        pthread_mutex_lock(&j->lock);
        size_t used = journal_used(j);
        if (journal_size(j) - used >= len + set_aside)
                r = touch(j, sizeof(struct area) + used + len + set_aside);
        if (r == 0)
                j->set_aside = set_aside;
        pthread_mutex_unlock(&j->lock);
        return r;
}

int journal_append(struct journal *j, uint32_t type, uint64_t mount, const struct iovec *parts,
        size_t n_parts, bool reserved)
{
        size_t len = 0;
        int r = 0;

        for (size_t i = 0; i < n_parts; i++)
                len += parts[i].iov_len;
        if (len > UINT32_MAX)
                return -EFBIG;
        size_t need = sizeof(struct head) + padded(len);

        pthread_mutex_lock(&j->lock);
        size_t at = journal_used(j);
        if (journal_size(j) - at < need + (reserved ? 0 : j->set_aside))
                r = -ENOSPC;
        else
                r = touch(j, sizeof(struct area) + at + need);
        if (r == 0) {
                char *p = (char *)(j->area + 1) + at;
                struct head head = {.type = type, .len = (uint32_t)len, .mount = mount};
                memcpy(p, &head, sizeof head);
                p += sizeof head;
                for (size_t i = 0; i < n_parts; i++) {
                        if (parts[i].iov_len > 0)
                                memcpy(p, parts[i].iov_base, parts[i].iov_len);
                        p += parts[i].iov_len;
                }
                atomic_store_explicit(&j->area->committed, at + need, memory_order_release);
        }
        pthread_mutex_unlock(&j->lock);
        return r;
}

bool journal_next(const struct journal *j, size_t *offset, struct journal_record *ret)
{
        size_t end = MIN(
                atomic_load_explicit(&j->area->committed, memory_order_acquire), journal_size(j));
        struct head head;

        if (*offset > end || end - *offset < sizeof head)
                return false;
        const char *p = (const char *)(j->area + 1) + *offset;
        memcpy(&head, p, sizeof head);
        if (end - *offset - sizeof head < padded(head.len))
                return false;
        *ret = (struct journal_record){
                .type = head.type, .mount = head.mount, .data = p + sizeof head, .len = head.len};
        *offset += sizeof head + padded(head.len);
        return true;
}
