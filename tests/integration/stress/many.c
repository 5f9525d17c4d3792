/* Many mounts in one worker: what they cost, at rest and in motion.
 *
 *     stress-many [--mounts N] [--objects N] [--size BYTES] DIR
 *
 * A real keeper and worker show N mounts of a few files each, below DIR in a mount namespace of
 * their own, so that nothing can stay behind. One file of each is rotated, all are read, a second
 * is spent doing nothing, everything is unmounted. Prints one JSON line of times, memory,
 * descriptors, threads, and of what the idle second cost. Exit status 1 when a file was wrong, a
 * mount stayed, threads or descriptors grew with the mounts beyond one descriptor each in the
 * worker, or there was no idle second.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mountinfo.h"
#include "tests/integration/stress/common.h"

#define DESCRIPTORS_BESIDE 64 /* of the worker, whatever the number of mounts */

/* --- worker --- */

struct worker {
        struct stress s;
        const char *dir;
        unsigned n, objects;
        size_t size;
};

static void mounted(struct stress *s)
{
        dprintf(REPORT_FD, "mounted %u\n", s->n);
}

static void tick(struct stress *s)
{
        struct fs_mount_stats stats;

        for (unsigned i = 0; i < s->n; i++) {
                fs_mount_get_stats(s->mounts[i], &stats);
                if (stats.generation < 2 || fs_mount_busy(s->mounts[i])) {
                        (void)loop_timer_in(s->timer, USEC_PER_MSEC);
                        return;
                }
        }
        dprintf(REPORT_FD, "rotated\n");
}

static void hangup(struct stress *s)
{
        struct worker *w = (struct worker *)s;

        for (unsigned i = 0; i < s->n; i++) {
                struct view_file *f = stress_file("f0", 1000000 + i, w->size);
                fs_mount_update(s->mounts[i], &f, 1);
                view_file_unref(f);
        }
        (void)loop_timer_in(s->timer, USEC_PER_MSEC);
}

static int mount_one(struct worker *w, unsigned i)
{
        struct view_file *files[64];
        char point[4200], name[16];

        (void)snprintf(point, sizeof point, "%s/m%u", w->dir, i);
        if (mkdir(point, 0755) < 0)
                return -errno;
        for (unsigned k = 0; k < w->objects; k++) {
                (void)snprintf(name, sizeof name, "f%u", k);
                files[k] = stress_file(name, i, w->size);
        }
        return stress_mount(&w->s, point, files, w->objects);
}

static int worker_main(char **argv)
{
        struct worker w = {.s = {.tick = tick, .mounted = mounted, .hangup = hangup},
                .dir = argv[2],
                .n = (unsigned)strtoul(argv[3], NULL, 10),
                .objects = (unsigned)strtoul(argv[4], NULL, 10),
                .size = strtoul(argv[5], NULL, 10)};

        log_set_level(LOG_WARNING);
        if (stress_begin(&w.s) < 0)
                return 1;
        dprintf(REPORT_FD, "started %d\n", (int)getpid());
        for (unsigned i = 0; i < w.n; i++)
                if (mount_one(&w, i) < 0)
                        return 1;
        return stress_run(&w.s);
}

/* --- what a process costs --- */

struct cost {
        long rss_kib, threads, descriptors, switches, ticks;
};

static long status_field(const char *path, const char *key)
{
        char line[256];
        long value = 0;

        FILE *f = fopen(path, "re");
        if (!f)
                return 0;
        while (fgets(line, sizeof line, f)) {
                const char *rest = startswith(line, key);
                if (rest)
                        value = strtol(rest, NULL, 10);
        }
        (void)fclose(f);
        return value;
}

static long count_names(const char *path)
{
        long n = 0;
        DIR *d = opendir(path);

        if (!d)
                return 0;
        for (const struct dirent *e = readdir(d); e; e = readdir(d))
                n += e->d_name[0] != '.';
        closedir(d);
        return n;
}

static struct cost cost_of(pid_t pid)
{
        struct cost c = {0};
        char path[64], text[1024];
        unsigned long user = 0, system = 0;

        (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        c.rss_kib = status_field(path, "VmRSS:");
        c.threads = status_field(path, "Threads:");
        (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
        c.descriptors = count_names(path);

        (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
        DIR *d = opendir(path);
        for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
                if (e->d_name[0] == '.')
                        continue;
                (void)snprintf(
                        path, sizeof path, "/proc/%d/task/%.16s/status", (int)pid, e->d_name);
                c.switches += status_field(path, "voluntary_ctxt_switches:");
        }
        if (d)
                closedir(d);

        (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *f = fopen(path, "re");
        const char *rest = f && fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL;
        if (rest)
                (void)sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                        &user, &system);
        if (f)
                (void)fclose(f);
        c.ticks = (long)(user + system);
        return c;
}

/* --- the program --- */

static unsigned wrong_files(const char *dir, unsigned mounts, unsigned objects, size_t size)
{
        unsigned wrong = 0;
        char path[4300];
        uint32_t *buf = malloc(size);

        for (unsigned i = 0; buf && i < mounts; i++)
                for (unsigned k = 0; k < objects; k++) {
                        uint32_t expected = k == 0 ? 1000000 + i : i;
                        (void)snprintf(path, sizeof path, "%s/m%u/f%u", dir, i, k);
                        int fd = open(path, O_RDONLY | O_CLOEXEC);
                        ssize_t n = fd < 0 ? -1 : read(fd, buf, size);
                        wrong += n != (ssize_t)size || buf[0] != expected ||
                                 buf[size / sizeof *buf - 1] != expected;
                        safe_close(fd);
                }
        free(buf);
        return wrong;
}

/* What a second of doing nothing costs both. The first seconds may have an end of what the
 * rotations and reads set off, and whoever drops the machine's caches meanwhile makes the kernel
 * send FORGET: so the first second without anything counts, of twenty. What a mount cost at rest,
 * be it once a minute, would show in each of them, for there are a thousand. False when a worker
 * ends or says something meanwhile. */
static bool idle_second(
        FILE *report, pid_t worker, pid_t keeper, long *ret_switches, long *ret_ticks)
{
        for (unsigned i = 0; i < 20; i++) {
                struct cost w = cost_of(worker), k = cost_of(keeper);
                if (!stress_silent(report, 1000))
                        return false;
                struct cost w2 = cost_of(worker), k2 = cost_of(keeper);

                *ret_switches = w2.switches - w.switches + k2.switches - k.switches;
                *ret_ticks = w2.ticks - w.ticks + k2.ticks - k.ticks;
                if (*ret_switches == 0 && *ret_ticks == 0)
                        break;
        }
        return true;
}

struct count {
        const char *dir;
        unsigned n;
};

static int count_mount(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source)
{
        struct count *c = userdata;
        const char *rest = startswith(path, c->dir);

        c->n += rest && *rest == '/';
        return 0;
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                {"mounts", required_argument, NULL, 'm'},
                {"objects", required_argument, NULL, 'o'},
                {"size", required_argument, NULL, 'z'},
                {0},
        };
        const char *mounts = "1000", *objects = "10", *size = "1024";
        int o;

        if (argc == 6 && streq(argv[1], "worker"))
                return worker_main(argv);
        while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (o == 'm')
                        mounts = optarg;
                else if (o == 'o')
                        objects = optarg;
                else if (o == 'z')
                        size = optarg;
                else
                        return 2;
        }
        unsigned n = (unsigned)strtoul(mounts, NULL, 10);
        unsigned n_objects = (unsigned)strtoul(objects, NULL, 10);
        size_t bytes = strtoul(size, NULL, 10);
        if (optind + 1 != argc || n_objects > 64 || bytes < 4)
                return 2;
        _cleanup_free_ char *dir = realpath(argv[optind], NULL);
        if (!dir) {
                perror(argv[optind]);
                return 1;
        }
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
                perror("a mount namespace of its own");
                return 1;
        }

        const char *const worker_argv[] = {
                "stress-many", "worker", dir, mounts, objects, size, NULL};
        FILE *report;
        pid_t keeper = stress_keeper(worker_argv, true, NULL, 0, &report);
        if (keeper < 0)
                return 1;
        const char *started = stress_told(report, "started ");
        pid_t worker = started ? (pid_t)strtol(started, NULL, 10) : 0;
        struct cost empty = cost_of(worker), empty_keeper = cost_of(keeper);
        uint64_t began = stress_now();
        bool ok = worker > 0 && stress_told(report, "mounted ");
        double mount_ms = stress_ms_since(began);
        struct cost full = cost_of(worker), full_keeper = cost_of(keeper);

        began = stress_now();
        kill(keeper, SIGHUP);
        ok = ok && stress_told(report, "rotated");
        double rotate_ms = stress_ms_since(began);
        unsigned wrong = ok ? wrong_files(dir, n, n_objects, bytes) : n;
        struct cost read = cost_of(worker);

        long switches = 0, ticks = 0;
        ok = ok && idle_second(report, worker, keeper, &switches, &ticks);
        struct cost after = cost_of(worker), after_keeper = cost_of(keeper);

        began = stress_now();
        int status = stress_end(keeper, report, NULL);
        double unmount_ms = stress_ms_since(began);
        struct count left = {.dir = dir};
        (void)mountinfo_walk(count_mount, &left);
        char path[4300];
        for (unsigned i = 0; i < n; i++) {
                (void)snprintf(path, sizeof path, "%s/m%u", dir, i);
                (void)rmdir(path);
        }

        long held = (long)(n * n_objects * bytes >> 10);
        long beyond = after.rss_kib + after_keeper.rss_kib - held;
        printf("{\"mounts\":%u,\"objects\":%u,\"bytes_held_kib\":%ld,\"mount_ms\":%.0f,"
               "\"rotate_ms\":%.0f,\"unmount_ms\":%.0f,\"rss_kib_empty\":%ld,\"rss_kib\":%ld,"
               "\"keeper_rss_kib_empty\":%ld,\"keeper_rss_kib\":%ld,\"beyond_kib\":%ld,"
               "\"threads_empty\":%ld,\"threads\":%ld,\"descriptors_empty\":%ld,"
               "\"descriptors\":%ld,\"keeper_descriptors\":%ld,\"keeper_cpu_ticks\":%ld,"
               "\"cpu_ticks\":%ld,\"idle_switches\":%ld,\"idle_ticks\":%ld,\"wrong\":%u,"
               "\"left_mounted\":%u}\n",
                n, n_objects, held, mount_ms, rotate_ms, unmount_ms, empty.rss_kib, after.rss_kib,
                empty_keeper.rss_kib, after_keeper.rss_kib, beyond, empty.threads, read.threads,
                empty.descriptors, full.descriptors, full_keeper.descriptors, after_keeper.ticks,
                after.ticks, switches, ticks, wrong, left.n);
        return !ok || wrong || left.n || status != 0 || read.threads != empty.threads ||
               full.descriptors > (long)n + DESCRIPTORS_BESIDE || switches > 0 || ticks > 0;
}
