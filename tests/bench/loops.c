/* Times of warm operations on several files, side by side.
 *
 *     loops OPERATION ROUNDS COUNT PATH...
 *
 * OPERATION is open (open, read, close), stat or readdir. Each of ROUNDS rounds does COUNT
 * operations on one path after the other, so that whatever else the machine does meets all of them
 * alike. Prints, for each path, the median, the least and the greatest nanoseconds of one
 * operation.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef void (*operation_fn)(const char *path);

static void fail(const char *what, const char *path)
{
        fprintf(stderr, "loops: %s %s: %s\n", what, path, strerror(errno));
        exit(1);
}

static void do_open(const char *path)
{
        static char buffer[1 << 16];
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                fail("open", path);
        if (read(fd, buffer, sizeof buffer) < 0)
                fail("read", path);
        close(fd);
}

static void do_stat(const char *path)
{
        struct stat st;

        if (stat(path, &st) < 0)
                fail("stat", path);
}

static void do_readdir(const char *path)
{
        DIR *dir = opendir(path);

        if (!dir)
                fail("opendir", path);
        while (readdir(dir))
                ;
        closedir(dir);
}

static int64_t now_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                operation_fn fn;
        } operations[] = {{"open", do_open}, {"stat", do_stat}, {"readdir", do_readdir}};
        operation_fn fn = NULL;
        unsigned long rounds = 0, count = 0;

        for (size_t i = 0; argc > 1 && i < sizeof operations / sizeof operations[0]; i++)
                if (strcmp(argv[1], operations[i].name) == 0)
                        fn = operations[i].fn;
        if (argc >= 5) {
                rounds = strtoul(argv[2], NULL, 10);
                count = strtoul(argv[3], NULL, 10);
        }
        if (!fn || rounds == 0 || rounds > 100000 || count == 0) {
                fprintf(stderr, "usage: loops open|stat|readdir ROUNDS COUNT PATH...\n");
                return 2;
        }

        size_t paths = (size_t)argc - 4;
        double *took = calloc(paths * rounds, sizeof *took);
        if (!took) {
                fprintf(stderr, "loops: out of memory\n");
                return 1;
        }
        for (size_t i = 0; i < paths; i++)
                for (int warm = 0; warm < 3; warm++)
                        fn(argv[4 + i]);
        for (unsigned long round = 0; round < rounds; round++)
                for (size_t i = 0; i < paths; i++) {
                        int64_t began = now_ns();
                        for (unsigned long n = 0; n < count; n++)
                                fn(argv[4 + i]);
                        took[i * rounds + round] = (double)(now_ns() - began) / (double)count;
                }
        for (size_t i = 0; i < paths; i++) {
                double *mine = took + i * rounds;

                qsort(mine, rounds, sizeof *mine, compare);
                printf("%.1f %.1f %.1f\n", mine[rounds / 2], mine[0], mine[rounds - 1]);
        }
        free(took);
        return 0;
}
