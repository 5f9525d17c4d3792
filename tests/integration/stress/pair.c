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
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/log.h"
#include "tests/integration/stress/common.h"

#define SIZE ((size_t)4096)

/* --- worker --- */

struct worker {
        struct loop *loop;
        struct fs *fs;
        struct fs_mount *mount;
        struct loop_timer *timer;
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

static void on_timer(void *userdata)
{
        struct worker *w = userdata;
        struct view_file *pair[2];

        make_pair(w, pair);
        fs_mount_update(w->mount, pair, 2);
        view_file_unref(pair[0]);
        view_file_unref(pair[1]);
        (void)loop_timer_in(w->timer, w->interval);
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
        (void)loop_timer_in(w->timer, w->interval);
}

static void on_gone(void *userdata, const struct err *error)
{
        struct worker *w = userdata;

        dprintf(REPORT_FD, "%llu\n", (unsigned long long)w->generation);
        loop_exit(w->loop, error ? 1 : 0);
}

static void on_signal(void *userdata, int fd, uint32_t revents)
{
        struct worker *w = userdata;
        struct fs_mount_stats stats;

        fs_mount_get_stats(w->mount, &stats);
        w->generation = stats.generation;
        loop_timer_off(w->timer);
        fs_mount_end(w->mount);
}

static int worker_main(char **argv)
{
        static const struct fs_mount_events events = {.mounted = on_mounted, .gone = on_gone};
        struct worker w = {.interval = strtoul(argv[3], NULL, 10), .version = 1};
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
        struct view_file *pair[2];
        make_pair(&w, pair);
        int r = fs_mount_new(w.fs, &cfg, pair, 2, &events, &w, &w.mount, NULL);
        view_file_unref(pair[0]);
        view_file_unref(pair[1]);
        r = r < 0 ? 1 : loop_run(w.loop);
        loop_io_free(io);
        loop_timer_free(w.timer);
        fs_stop(w.fs);
        loop_free(w.loop);
        return r;
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

static void try_once(void)
{
        uint32_t certificate, key;

        int folder = open(data_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0) {
                if (errno == ENOENT)
                        missed++;
                else
                        failed++;
                return;
        }
        if (!version_in(folder, "tls.crt", &certificate) || !version_in(folder, "tls.key", &key)) {
                if (failed++ < 10)
                        fprintf(stderr, "in the folder: %s\n", strerror(errno));
        } else if (certificate != key)
                mixed++;
        tries++;
        close(folder);
}

static void *read_loop(void *userdata)
{
        uint64_t left = tries_left;

        while (left > 0)
                if (atomic_compare_exchange_weak(&tries_left, &left, left - 1)) {
                        try_once();
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
        int report;
        pid_t keeper = stress_keeper(worker_argv, true, &report);
        if (keeper < 0)
                return 1;
        FILE *f = fdopen(report, "re");
        char line[64];
        if (!f || !fgets(line, sizeof line, f) || !streq(line, "ready\n")) {
                fprintf(stderr, "the mount did not come up\n");
                return 1;
        }
        pthread_t readers[64];
        for (unsigned i = 0; i < n_readers; i++)
                pthread_create(&readers[i], NULL, read_loop, NULL);
        for (unsigned i = 0; i < n_readers; i++)
                pthread_join(readers[i], NULL);

        kill(keeper, SIGTERM);
        unsigned long long generations = 0;
        if (!fgets(line, sizeof line, f) || sscanf(line, "%llu", &generations) != 1)
                fprintf(stderr, "the worker gave no count\n");
        fclose(f);
        int status = 0;
        waitpid(keeper, &status, 0);
        printf("{\"tries\":%llu,\"generations\":%llu,\"mixed\":%llu,\"missed\":%llu,"
               "\"failed\":%llu}\n",
                (unsigned long long)tries, generations, (unsigned long long)mixed,
                (unsigned long long)missed, (unsigned long long)failed);
        return status != 0 || generations < 2 || mixed || failed || tries == 0;
}
