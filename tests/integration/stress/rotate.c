/* Readers against rotation at the cache's border: no read is ever torn.
 *
 *     stress-rotate [--seconds N | --opens N] [--interval-us N] [--size BYTES] [--readers N] DIR
 *
 * Runs a real keeper and worker. The worker shows one file whose bytes all equal its version's
 * number and hands a new version to the mount each interval; readers open, read in 4 KiB pieces,
 * and check that all pieces are of one version and that versions never go back, for so many seconds
 * or until they have read the file so many times in all. Prints one JSON
 * line; exit status 1 when a read was torn, short, failed or went back in time, or when a rotation
 * did not go through a rename.
 */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "tests/integration/stress/common.h"

#define PIECE 4096 /* what readers ask for at once */

/* --- worker --- */

struct worker {
        struct stress s;
        usec_t interval, next;
        size_t size;
        uint32_t version;
        uint64_t rotations;
};

static void tick(struct stress *s)
{
        struct worker *w = (struct worker *)s;
        struct view_file *f = stress_file("secret", w->version++, w->size);

        fs_mount_update(s->mounts[0], &f, 1);
        view_file_unref(f);
        /* Absolute times: what a busy machine delays is caught up with. */
        w->next += w->interval;
        (void)loop_timer_at(s->timer, w->next);
}

static void mounted(struct stress *s)
{
        struct worker *w = (struct worker *)s;

        dprintf(REPORT_FD, "ready\n");
        w->next = loop_now(s->loop) + w->interval;
        (void)loop_timer_at(s->timer, w->next);
}

static void ending(struct stress *s)
{
        struct worker *w = (struct worker *)s;
        struct fs_mount_stats stats;

        /* A generation is counted when its `..data` is in place. */
        fs_mount_get_stats(s->mounts[0], &stats);
        w->rotations = stats.generation - 1;
}

static void gone(struct stress *s)
{
        struct worker *w = (struct worker *)s;

        dprintf(REPORT_FD, "%llu %u\n", (unsigned long long)w->rotations, w->version);
}

static int worker_main(char **argv)
{
        struct worker w = {.s = {.tick = tick, .mounted = mounted, .ending = ending, .gone = gone},
                .interval = strtoul(argv[3], NULL, 10),
                .size = strtoul(argv[4], NULL, 10),
                .version = 1};

        if (stress_begin(&w.s) < 0)
                return 1;
        struct view_file *first = stress_file("secret", w.version++, w.size);
        return stress_mount(&w.s, argv[2], &first, 1) < 0 ? 1 : stress_run(&w.s);
}

/* --- readers --- */

static const char *file_path;
static size_t file_size;
static _Atomic bool stop;
static _Atomic int64_t opens_left = INT64_MAX;

struct reader {
        pthread_t thread;
        uint64_t opens, pieces, torn, failed, backwards;
        uint32_t last;
};

static void read_once(struct reader *r, uint32_t *buf)
{
        uint32_t version = 0;
        size_t at = 0;

        int fd = open(file_path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
                r->failed++;
                return;
        }
        r->opens++;
        for (;;) {
                ssize_t n = read(fd, buf, PIECE);
                if (n < 0) {
                        r->failed++;
                        break;
                }
                if (n == 0)
                        break;
                r->pieces++;
                if (at == 0)
                        version = buf[0];
                for (size_t i = 0; i < (size_t)n / sizeof *buf; i++)
                        if (buf[i] != version) {
                                r->torn++;
                                break;
                        }
                at += (size_t)n;
        }
        if (at != file_size)
                r->torn++;
        if (version < r->last)
                r->backwards++;
        r->last = version;
        close(fd);
}

static void *read_loop(void *userdata)
{
        uint32_t buf[PIECE / sizeof(uint32_t)];

        while (!stop && opens_left-- > 0)
                read_once(userdata, buf);
        return NULL;
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                {"seconds", required_argument, NULL, 's'},
                {"opens", required_argument, NULL, 'o'},
                {"interval-us", required_argument, NULL, 'i'},
                {"size", required_argument, NULL, 'z'},
                {"readers", required_argument, NULL, 'r'},
                {0},
        };
        const char *interval = "700", *size = "65536";
        unsigned seconds = 5, n_readers = 4;
        int o;

        if (argc == 5 && streq(argv[1], "worker"))
                return worker_main(argv);
        while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (o == 's')
                        seconds = (unsigned)strtoul(optarg, NULL, 10);
                else if (o == 'o')
                        opens_left = strtoll(optarg, NULL, 10);
                else if (o == 'i')
                        interval = optarg;
                else if (o == 'z')
                        size = optarg;
                else if (o == 'r')
                        n_readers = (unsigned)strtoul(optarg, NULL, 10);
                else
                        return 2;
        }
        if (optind + 1 != argc || n_readers > 64)
                return 2;

        static char path[4200];
        snprintf(path, sizeof path, "%s/secret", argv[optind]);
        file_path = path;
        file_size = strtoul(size, NULL, 10);

        const char *const worker_argv[] = {
                "stress-rotate", "worker", argv[optind], interval, size, NULL};
        FILE *report;
        pid_t keeper = stress_keeper(worker_argv, true, NULL, 0, &report);
        if (keeper < 0 || !stress_told(report, "ready"))
                return 1;
        struct reader readers[64] = {0};
        for (unsigned i = 0; i < n_readers; i++)
                pthread_create(&readers[i].thread, NULL, read_loop, &readers[i]);
        uint64_t began = stress_now();
        bool timed = opens_left > INT32_MAX; /* no number was given */
        bool lived = !timed || stress_silent(report, 1000 * seconds);
        stop = timed;
        struct reader sum = {0};
        for (unsigned i = 0; i < n_readers; i++) {
                pthread_join(readers[i].thread, NULL);
                sum.opens += readers[i].opens;
                sum.pieces += readers[i].pieces;
                sum.torn += readers[i].torn;
                sum.failed += readers[i].failed;
                sum.backwards += readers[i].backwards;
        }

        double seconds_taken = stress_ms_since(began) / 1e3;
        unsigned long long rotations = 0;
        unsigned versions = 0;
        const char *last;
        int status = stress_end(keeper, report, &last);
        if (last)
                (void)sscanf(last, "%llu %u", &rotations, &versions);
        printf("{\"seconds\":%.1f,\"rotations\":%llu,\"versions\":%u,\"opens\":%llu,\"reads\":%llu,"
               "\"torn\":%llu,\"failed\":%llu,\"backwards\":%llu}\n",
                seconds_taken, rotations, versions, (unsigned long long)sum.opens,
                (unsigned long long)sum.pieces, (unsigned long long)sum.torn,
                (unsigned long long)sum.failed, (unsigned long long)sum.backwards);
        return !lived || status != 0 || rotations == 0 || sum.opens == 0 || sum.torn ||
               sum.failed || sum.backwards;
}
