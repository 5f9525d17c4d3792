#include "base/sec.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "base/log.h"

/* Values are carved from chunks, so that ten thousand of forty bytes do not take ten thousand
 * pages of RLIMIT_MEMLOCK. A free block goes to the list of its size class; a chunk is never given
 * back, which keeps locking cheap and is bounded by the most that was ever held. Values above half
 * a chunk get a mapping of their own. */
#define CHUNK ((size_t)256 << 10)
#define CLASSES 45 /* 64 bytes .. 128 KiB; see class_size() */

struct sec {
        _Atomic unsigned refs;
        size_t len;
        size_t size; /* of the block, header included; a mapping's own length when large */
        unsigned char bytes[];
};

struct free_block {
        struct free_block *next;
};

/* One arena a process: locked memory is a process-wide resource. */
static struct {
        pthread_mutex_t lock;
        struct free_block *free[CLASSES];
        char *chunk;
        size_t chunk_used;
        _Atomic size_t total;
        _Atomic int kind;
} arena = {.lock = PTHREAD_MUTEX_INITIALIZER};

void sec_degrade(enum sec_kind to, const char *why)
{
        int was = atomic_load(&arena.kind);

        while (was < (int)to && !atomic_compare_exchange_weak(&arena.kind, &was, (int)to))
                ;
        if (was >= (int)to)
                return;
        if (to == SEC_KIND_LOCKED)
                log_info(
                        "secrets are held in locked memory, for memfd_secret is not to be had (%s)",
                        why);
        else
                log_warning(
                        "secret memory could not be locked (%s): raise the limit on locked memory "
                        "(ulimit -l, LimitMEMLOCK=) or give CAP_IPC_LOCK; values may reach swap",
                        why);
}

int sec_touch(char *p, size_t n)
{
        for (size_t i = 0; i < n; i += SEC_PAGE) {
                if (getrandom(p + i, 1, 0) != 1)
                        return -ENOMEM;
                p[i] = 0;
        }
        return 0;
}

/* A mapping of memfd_secret cannot be private, and is locked by nature. */
static void *map_secret(size_t n)
{
        int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
        void *p = MAP_FAILED;

        if (fd >= 0 && ftruncate(fd, (off_t)n) == 0)
                p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED && sec_touch(p, n) < 0) {
                (void)munmap(p, n);
                p = MAP_FAILED;
                errno = ENOMEM;
        }
        if (p == MAP_FAILED) {
                sec_degrade(SEC_KIND_LOCKED, strerror(errno));
                safe_close(fd);
                return NULL;
        }
        safe_close(fd);
        (void)madvise(p, n, MADV_DONTFORK);
        return p;
}

static void *map_locked(size_t n)
{
        void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return NULL;
        (void)madvise(p, n, MADV_DONTDUMP);
        (void)madvise(p, n, MADV_WIPEONFORK);
        if (mlock(p, n) < 0)
                sec_degrade(SEC_KIND_UNLOCKED, strerror(errno));
        return p;
}

static void *map_chunk(size_t n)
{
        void *p = NULL;

        if (atomic_load(&arena.kind) == SEC_KIND_SECRET)
                p = map_secret(n);
        return p ? p : map_locked(n);
}

void *sec_bounce_new(size_t len)
{
        return map_locked(len);
}

void sec_bounce_free(void *p, size_t len)
{
        if (!p)
                return;
        explicit_bzero(p, len);
        munmap(p, len);
}

/* 64, 80, 96, 112, 128, 160, 192 ...: four steps to each doubling, so that at most a fifth of a
 * block is wasted. Doubling alone takes 2 KiB of locked memory for a value of 1 KiB and its header.
 */
static size_t class_size(unsigned c)
{
        return (size_t)(4 + c % 4) << (4 + c / 4);
}

static unsigned class_of(size_t n)
{
        unsigned c = 0;

        while (class_size(c) < n)
                c++;
        return c;
}

static struct sec *block_get(size_t need)
{
        struct sec *s = NULL;
        unsigned c = class_of(need);
        size_t size = class_size(c);

        pthread_mutex_lock(&arena.lock);
        if (arena.free[c]) {
                s = (struct sec *)arena.free[c];
                arena.free[c] = arena.free[c]->next;
        } else {
                if (!arena.chunk || arena.chunk_used + size > CHUNK) {
                        arena.chunk = map_chunk(CHUNK);
                        arena.chunk_used = 0;
                }
                if (arena.chunk) {
                        s = (struct sec *)(void *)(arena.chunk + arena.chunk_used);
                        arena.chunk_used += size;
                }
        }
        pthread_mutex_unlock(&arena.lock);
        if (s) {
                memset(s, 0, size);
                s->size = size;
        }
        return s;
}

int sec_alloc(size_t len, struct sec **ret)
{
        if (len > SEC_MAX)
                return -EFBIG;

        size_t need = sizeof(struct sec) + len;
        struct sec *s;
        if (need <= CHUNK / 2)
                s = block_get(need);
        else {
                size_t size = (need + 4095) & ~(size_t)4095;
                s = map_chunk(size);
                if (s)
                        s->size = size;
        }
        if (!s)
                return -ENOMEM;
        s->refs = 1;
        s->len = len;
        arena.total += len;
        *ret = s;
        return 0;
}

int sec_new(const void *data, size_t len, struct sec **ret)
{
        int r = sec_alloc(len, ret);

        if (r == 0 && len > 0)
                memcpy((*ret)->bytes, data, len);
        return r;
}

void *sec_buf(struct sec *s)
{
        return s->bytes;
}

void sec_truncate(struct sec *s, size_t len)
{
        explicit_bzero(s->bytes + len, s->len - len);
        arena.total -= s->len - len;
        s->len = len;
}

const void *sec_bytes(const struct sec *s)
{
        return s->bytes;
}

size_t sec_len(const struct sec *s)
{
        return s->len;
}

bool sec_equal(const struct sec *a, const struct sec *b)
{
        return a->len == b->len && CRYPTO_memcmp(a->bytes, b->bytes, a->len) == 0;
}

struct sec *sec_ref(struct sec *s)
{
        if (s)
                s->refs++;
        return s;
}

struct sec *sec_unref(struct sec *s)
{
        if (!s || --s->refs > 0)
                return NULL;

        size_t size = s->size;
        arena.total -= s->len;
        explicit_bzero(s, size);
        if (size > CHUNK / 2) {
                munmap(s, size);
                return NULL;
        }

        unsigned c = class_of(size);
        struct free_block *f = (struct free_block *)s;
        pthread_mutex_lock(&arena.lock);
        f->next = arena.free[c];
        arena.free[c] = f;
        pthread_mutex_unlock(&arena.lock);
        return NULL;
}

size_t sec_total(void)
{
        return arena.total;
}

enum sec_kind sec_kind(void)
{
        return (enum sec_kind)atomic_load(&arena.kind);
}

const char *sec_kind_name(enum sec_kind k)
{
        static const char *const names[] = {"memfd_secret", "locked", "unlocked"};

        return names[k];
}

bool sec_all_locked(void)
{
        return sec_kind() != SEC_KIND_UNLOCKED;
}
