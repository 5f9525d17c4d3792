#include "memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"

#define PIECE ((size_t)1 << 20)

void test_unmask(const unsigned char *masked, size_t len, char *out)
{
        for (size_t i = 0; i < len; i++)
                out[i] = (char)(masked[i] ^ TEST_MASK);
        out[len] = '\0';
}

void test_masked_random(unsigned char *masked, size_t len)
{
        if (random_bytes(masked, len) < 0)
                abort();
        for (size_t i = 0; i < len; i++)
                masked[i] = (unsigned char)((masked[i] % 26 + 'a') ^ TEST_MASK);
}

static size_t count_in(const unsigned char *p, size_t n, const unsigned char *masked, size_t len)
{
        size_t found = 0;

        for (size_t i = 0; i + len <= n; i++) {
                size_t k = 0;
                while (k < len && (p[i + k] ^ TEST_MASK) == masked[k])
                        k++;
                found += k == len;
        }
        return found;
}

size_t test_memory_count(const unsigned char *masked, size_t len)
{
        /* The copy that is searched is a mapping of its own and not searched itself. */
        unsigned char *copy =
                mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
        FILE *maps = fopen("/proc/self/maps", "re");
        char line[512], mode[5];
        size_t found = 0;

        if (copy == MAP_FAILED || mem < 0 || !maps)
                abort();
        while (fgets(line, sizeof line, maps)) {
                unsigned long a, b;
                if (sscanf(line, "%lx-%lx %4s", &a, &b, mode) != 3 || mode[1] != 'w')
                        continue;
                for (unsigned long at = a; at < b;) {
                        size_t n = MIN((size_t)(b - at), PIECE);
                        if (at <= (unsigned long)copy && (unsigned long)copy < at + n) {
                                /* merged with its neighbours: pass around it */
                                n = (size_t)((unsigned long)copy - at);
                                if (n == 0) {
                                        at += PIECE;
                                        continue;
                                }
                        }
                        ssize_t got = pread(mem, copy, n, (off_t)at);
                        if (got <= 0)
                                break; /* a hole that cannot be read holds nothing */
                        found += count_in(copy, (size_t)got, masked, len);
                        explicit_bzero(copy, (size_t)got);
                        if (at + (size_t)got >= b)
                                break;
                        at += (size_t)got > len ? (size_t)got - len + 1 : (size_t)got;
                }
        }
        fclose(maps);
        close(mem);
        munmap(copy, PIECE);
        return found;
}
