/* Certificate and key of one version, through `..data`, while they rotate.
 *
 *     stress-pair [--tries N] [--interval-us N] [--readers N] DIR
 *
 * The worker hands both files to the mount as one set each interval. Readers resolve `..data` once,
 * open both files in the folder, and compare their versions. Prints one JSON line: tries; mixed
 * (two versions: never); missed (the generation was gone before the folder was reached: two
 * rotations during one walk); failed (anything else: never); generations. Exit status 1 when
 * anything was mixed or failed, or `..data` did not move.
 */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "tests/integration/stress/common.h"

#define SIZE ((size_t)4096)

/* --- worker --- */

struct worker {
        struct stress s;
        usec_t interval;
        uint32_t version;
        uint64_t generation;
};

static void make_pair(struct worker *w, struct view_file *pair[2])
{
        pair[0] = stress_file("tls.crt", w->version, SIZE);
        pair[1] = stress_file("tls.key", w->version, SIZE);
        w->version++;
}

static void tick(struct stress *s)
{
        struct worker *w = (struct worker *)s;
        struct view_file *pair[2];

        make_pair(w, pair);
        fs_mount_update(s->mounts[0], pair, 2);
        view_file_unref(pair[0]);
        view_file_unref(pair[1]);
        (void)loop_timer_in(s->timer, w->interval);
}

static void mounted(struct stress *s)
{
        struct worker *w = (struct worker *)s;

        dprintf(REPORT_FD, "ready\n");
        (void)loop_timer_in(s->timer, w->interval);
}

static void ending(struct stress *s)
{
        struct worker *w = (struct worker *)s;
        struct fs_mount_stats stats;

        fs_mount_get_stats(s->mounts[0], &stats);
        w->generation = stats.generation;
}

static void gone(struct stress *s)
{
        struct worker *w = (struct worker *)s;

        dprintf(REPORT_FD, "%llu\n", (unsigned long long)w->generation);
}

static int worker_main(char **argv)
{
        struct worker w = {.s = {.tick = tick, .mounted = mounted, .ending = ending, .gone = gone},
                .interval = strtoul(argv[3], NULL, 10),
                .version = 1};
        struct view_file *pair[2];

        if (stress_begin(&w.s) < 0)
                return 1;
        make_pair(&w, pair);
        return stress_mount(&w.s, argv[2], pair, 2) < 0 ? 1 : stress_run(&w.s);
}

/* --- readers --- */

static char data_path[4200];
static _Atomic uint64_t tries_left, tries, mixed, missed, failed;

/* The version that all of the file has. */
static bool version_in(int folder, const char *name, uint32_t *ret)
{
        uint32_t buf[SIZE / sizeof(uint32_t)];

        int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        ssize_t n = read(fd, buf, sizeof buf);
        close(fd);
        if (n != (ssize_t)sizeof buf)
                return false;
        for (size_t i = 1; i < ELEMENTSOF(buf); i++)
                if (buf[i] != buf[0])
                        return false;
        *ret = buf[0];
        return true;
}

/* False when the generation was gone before the folder was reached. */
static bool try_once(void)
{
        uint32_t certificate, key;

        int folder = open(data_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0) {
                if (errno == ENOENT) {
                        missed++;
                        return false;
                }
                failed++;
                return true;
        }
        if (!version_in(folder, "tls.crt", &certificate) || !version_in(folder, "tls.key", &key)) {
                if (failed++ < 10)
                        fprintf(stderr, "in the folder: %s\n", strerror(errno));
        } else if (certificate != key)
                mixed++;
        tries++;
        close(folder);
        return true;
}

static void *read_loop(void *userdata)
{
        uint64_t left = tries_left;

        while (left > 0)
                if (atomic_compare_exchange_weak(&tries_left, &left, left - 1)) {
                        if (!try_once())
                                tries_left++;
                        left = tries_left;
                }
        return NULL;
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                {"tries", required_argument, NULL, 't'},
                {"interval-us", required_argument, NULL, 'i'},
                {"readers", required_argument, NULL, 'r'},
                {0},
        };
        const char *interval = "1000";
        unsigned n_readers = 4;
        int o;

        if (argc == 4 && streq(argv[1], "worker"))
                return worker_main(argv);
        tries_left = 100000;
        while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (o == 't')
                        tries_left = strtoul(optarg, NULL, 10);
                else if (o == 'i')
                        interval = optarg;
                else if (o == 'r')
                        n_readers = (unsigned)strtoul(optarg, NULL, 10);
                else
                        return 2;
        }
        if (optind + 1 != argc || n_readers > 64)
                return 2;
        snprintf(data_path, sizeof data_path, "%s/..data", argv[optind]);

        const char *const worker_argv[] = {"stress-pair", "worker", argv[optind], interval, NULL};
        FILE *report;
        pid_t keeper = stress_keeper(worker_argv, true, NULL, 0, &report);
        if (keeper < 0 || !stress_told(report, "ready"))
                return 1;
        pthread_t readers[64];
        for (unsigned i = 0; i < n_readers; i++)
                pthread_create(&readers[i], NULL, read_loop, NULL);
        for (unsigned i = 0; i < n_readers; i++)
                pthread_join(readers[i], NULL);

        const char *last;
        int status = stress_end(keeper, report, &last);
        unsigned long long generations = last ? strtoull(last, NULL, 10) : 0;
        printf("{\"tries\":%llu,\"generations\":%llu,\"mixed\":%llu,\"missed\":%llu,"
               "\"failed\":%llu}\n",
                (unsigned long long)tries, generations, (unsigned long long)mixed,
                (unsigned long long)missed, (unsigned long long)failed);
        return status != 0 || generations < 2 || mixed || failed || tries == 0;
}
