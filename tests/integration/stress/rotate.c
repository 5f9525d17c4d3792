/* Readers against rotation at the cache's border: no read is ever torn.
 *
 *     stress-rotate [--seconds N] [--interval-us N] [--size BYTES] [--readers N] DIR
 *
 * Runs a real keeper and worker. The worker shows one file whose bytes all equal its version's
 * number and hands a new version to the mount each interval; readers open, read in 4 KiB pieces,
 * and check that all pieces are of one version and that versions never go back. Prints one JSON
 * line; exit status 1 when a read was torn, short, failed or went back in time, or when a rotation
 * did not go through a rename.
 */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "tests/integration/stress/common.h"

#define PIECE 4096 /* what readers ask for at once */

/* --- worker --- */

struct worker {
        struct loop *loop;
        struct fs *fs;
        struct fs_mount *mount;
        struct loop_timer *timer;
        usec_t interval, next;
        size_t size;
        uint32_t version;
        uint64_t rotations;
};

static struct view_file *make_version(struct worker *w)
{
        return stress_file("secret", w->version++, w->size);
}

static void on_timer(void *userdata)
{
        struct worker *w = userdata;
        struct view_file *f = make_version(w);

        fs_mount_update(w->mount, &f, 1);
        view_file_unref(f);
        /* Absolute times: what a busy machine delays is caught up with. */
        w->next += w->interval;
        (void)loop_timer_at(w->timer, w->next);
}

static void on_mounted(void *userdata, const struct err *error)
{
        struct worker *w = userdata;

        if (error) {
                log_error("%s", err_text(error));
                loop_exit(w->loop, 1);
                return;
        }
        dprintf(REPORT_FD, "ready\n");
        w->next = loop_now(w->loop) + w->interval;
        (void)loop_timer_at(w->timer, w->next);
}

static void on_gone(void *userdata, const struct err *error)
{
        struct worker *w = userdata;

        dprintf(REPORT_FD, "%llu %u\n", (unsigned long long)w->rotations, w->version);
        loop_exit(w->loop, error ? 1 : 0);
}

static void on_signal(void *userdata, int fd, uint32_t revents)
{
        struct worker *w = userdata;
        struct fs_mount_stats stats;

        /* A generation is counted when its `..data` is in place. */
        fs_mount_get_stats(w->mount, &stats);
        w->rotations = stats.generation - 1;
        loop_timer_off(w->timer);
        fs_mount_end(w->mount);
}

static int worker_main(char **argv)
{
        struct worker w = {.interval = strtoul(argv[3], NULL, 10),
                .size = strtoul(argv[4], NULL, 10),
                .version = 1};
        struct loop_io *io;
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (loop_new(&w.loop) < 0 || fs_start(w.loop, KEEPER_WORKER_FD, &w.fs, NULL) < 0 ||
                loop_io_new(w.loop, fd, EPOLLIN, on_signal, &w, &io) < 0 ||
                loop_timer_new(w.loop, on_timer, &w, &w.timer) < 0)
                return 1;

        struct fs_mount_config cfg = {.mountpoint = argv[2],
                .fsname = "akvfs:stress",
                .uid = getuid(),
                .gid = getgid(),
                .mode = 0644,
                .allow_other = getuid() == 0,
                .privileged = getuid() == 0};
        struct fs_mount_events events = {.mounted = on_mounted, .gone = on_gone};
        struct view_file *first = make_version(&w);
        int r = fs_mount_new(w.fs, &cfg, &first, 1, &events, &w, &w.mount, NULL);
        view_file_unref(first);
        r = r < 0 ? 1 : loop_run(w.loop);
        loop_io_free(io);
        loop_timer_free(w.timer);
        fs_stop(w.fs);
        loop_free(w.loop);
        return r;
}

/* --- readers --- */

static const char *file_path;
static size_t file_size;
static _Atomic bool stop;

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

        while (!stop)
                read_once(userdata, buf);
        return NULL;
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                {"seconds", required_argument, NULL, 's'},
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
        int report;
        pid_t keeper = stress_keeper(worker_argv, true, &report);
        if (keeper < 0)
                return 1;

        FILE *f = fdopen(report, "re");
        char line[128];
        if (!f || !fgets(line, sizeof line, f) || !streq(line, "ready\n")) {
                fprintf(stderr, "the mount did not come up\n");
                return 1;
        }
        struct reader readers[64] = {0};
        for (unsigned i = 0; i < n_readers; i++)
                pthread_create(&readers[i].thread, NULL, read_loop, &readers[i]);
        struct timespec ts = {.tv_sec = seconds};
        while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
                ;
        stop = true;
        struct reader sum = {0};
        for (unsigned i = 0; i < n_readers; i++) {
                pthread_join(readers[i].thread, NULL);
                sum.opens += readers[i].opens;
                sum.pieces += readers[i].pieces;
                sum.torn += readers[i].torn;
                sum.failed += readers[i].failed;
                sum.backwards += readers[i].backwards;
        }

        kill(keeper, SIGTERM);
        unsigned long long rotations = 0;
        unsigned versions = 0;
        if (!fgets(line, sizeof line, f) || sscanf(line, "%llu %u", &rotations, &versions) != 2)
                fprintf(stderr, "the worker gave no counts\n");
        fclose(f);
        int status = 0;
        waitpid(keeper, &status, 0);
        printf("{\"seconds\":%u,\"rotations\":%llu,\"versions\":%u,\"opens\":%llu,\"reads\":%llu,"
               "\"torn\":%llu,\"failed\":%llu,\"backwards\":%llu}\n",
                seconds, rotations, versions, (unsigned long long)sum.opens,
                (unsigned long long)sum.pieces, (unsigned long long)sum.torn,
                (unsigned long long)sum.failed, (unsigned long long)sum.backwards);
        return status != 0 || rotations == 0 || sum.opens == 0 || sum.torn || sum.failed ||
               sum.backwards;
}
