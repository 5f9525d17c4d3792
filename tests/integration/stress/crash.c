/* Readers while the worker, the keeper or both in turn are killed again and again, or replaced by
 * plan: nothing fails, nothing is wrong, and rotation goes on with renames that watchers see.
 *
 *     stress-crash [--kills N] [--threads N] [--victim worker|keeper|both|upgrade|upgrade-worker]
 *         [--no-resend] [--no-standby] DIR
 *
 * A real keeper and worker show FILES files and rotate one of them every few milliseconds; one more
 * comes and goes, as a file and as a folder, by rename, exchange and removal. Threads look names up
 * (there and not there), stat, list and read; one thread drops the kernel's caches, so that
 * requests keep coming. The worker is killed with SIGKILL at random moments and its successor takes
 * over, or worker and keeper are replaced. Prints one JSON line: for each time the longest that
 * anybody waited for anything until the next one (wait_ms) and what passed until a worker served
 * again (takeover_ms), as the middle one, the 99th of a hundred and the worst. Exit status 1 when
 * an operation failed (with --no-resend and a kill: ECONNABORTED is allowed), bytes were wrong, or
 * a version went back.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "fs/keeper_proto.h"
#include "tests/integration/stress/common.h"

#define FILES 24
#define SIZE ((size_t)16 << 10)
#define INTERVAL (3 * USEC_PER_MSEC)

static void name_of(unsigned i, char out[32])
{
        snprintf(out, 32, "%sf%02u", i % 3 == 0 ? "d/" : "", i);
}

/* --- worker --- */

struct worker {
        struct stress s;
        pid_t keeper; /* last reported */
        unsigned steps;
};

/* Grows over all workers: tenths of a millisecond since some fixed moment of this boot. */
static uint32_t version_now(void)
{
        return (uint32_t)(stress_now() / 100);
}

static void report_keeper(struct worker *w)
{
        struct fs_mount_stats stats;

        fs_mount_get_stats(w->s.mounts[0], &stats);
        if (stats.keeper_pid == w->keeper)
                return;
        w->keeper = stats.keeper_pid;
        dprintf(REPORT_FD, "k %d\n", (int)w->keeper);
}

/* What comes and goes. */
#define GUEST ".guest"
#define GUEST_BELOW GUEST "/below"

static void step(struct worker *w)
{
        static const struct {
                const char *path;
                bool gone;
        } steps[] = {{GUEST_BELOW, false}, {GUEST, false}, {GUEST_BELOW, false},
                {GUEST_BELOW, true}, {GUEST, false}, {GUEST, true}};
        const char *path = steps[w->steps % ELEMENTSOF(steps)].path;

        if (steps[w->steps++ % ELEMENTSOF(steps)].gone) {
                fs_mount_remove(w->s.mounts[0], &path, 1);
                return;
        }
        struct view_file *f = stress_file(path, version_now(), SIZE);
        fs_mount_update(w->s.mounts[0], &f, 1);
        view_file_unref(f);
}

static void tick(struct stress *s)
{
        char name[32];
        uint32_t random;

        report_keeper((struct worker *)s);
        if (random_bytes(&random, sizeof random) < 0)
                abort();
        name_of(random % FILES, name);
        struct view_file *f = stress_file(name, version_now(), SIZE);
        fs_mount_update(s->mounts[0], &f, 1);
        view_file_unref(f);
        step((struct worker *)s);
        (void)loop_timer_in(s->timer, INTERVAL);
}

static void mounted(struct stress *s)
{
        dprintf(REPORT_FD, "w %d\n", (int)getpid());
        (void)loop_timer_in(s->timer, INTERVAL);
}

static void on_leave(void *userdata)
{
        fs_leave(((struct worker *)userdata)->s.fs);
        _exit(0);
}

static int worker_main(char **argv)
{
        struct worker w = {.s = {.warm = getuid() == 0, .tick = tick, .mounted = mounted}};

        if (stress_begin(&w.s) < 0)
                return 1;
        fs_on_leave(w.s.fs, on_leave, &w);
        if (stress_adopt(&w.s)) {
                mounted(&w.s);
                return stress_run(&w.s);
        }
        struct view_file *files[FILES];
        for (unsigned i = 0; i < FILES; i++) {
                char name[32];
                name_of(i, name);
                files[i] = stress_file(name, version_now(), SIZE);
        }
        return stress_mount(&w.s, argv[2], files, FILES) < 0 ? 1 : stress_run(&w.s);
}

/* --- readers --- */

static const char *dir;
static _Atomic bool stop;
static _Atomic uint32_t last_seen[FILES];
static _Atomic uint64_t operations, failed, aborted, wrong;
static _Atomic uint64_t longest_us; /* since the last kill */

static void failure(const char *what, const char *name)
{
        if (errno == ECONNABORTED)
                aborted++;
        else if (failed++ < 10)
                fprintf(stderr, "%s %s: %s\n", what, name, strerror(errno));
}

static void read_file(unsigned i)
{
        uint32_t buf[1024], version = 0, before = last_seen[i];
        char path[4200], name[32];
        size_t at = 0;
        ssize_t n;

        name_of(i, name);
        snprintf(path, sizeof path, "%s/%s", dir, name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
                failure("open", name);
                return;
        }
        while ((n = read(fd, buf, sizeof buf)) > 0) {
                if (at == 0)
                        version = buf[0];
                for (size_t k = 0; k < (size_t)n / sizeof *buf; k++)
                        if (buf[k] != version) {
                                wrong++;
                                break;
                        }
                at += (size_t)n;
        }
        if (n < 0)
                failure("read", name);
        else if (at != SIZE || version < before) {
                fprintf(stderr, "%s: %zu bytes of version %u after %u\n", name, at, version,
                        before);
                wrong++;
        }
        close(fd);
        if (n == 0)
                while (before < version &&
                        !atomic_compare_exchange_weak(&last_seen[i], &before, version))
                        ;
}

static void list(const char *sub, size_t expected)
{
        char path[4200];
        size_t n = 0;

        snprintf(path, sizeof path, "%s/%s", dir, sub);
        DIR *d = opendir(path);
        if (!d) {
                failure("opendir", sub);
                return;
        }
        const struct dirent *e;
        while ((errno = 0, e = readdir(d)))
                n += e->d_name[0] != '.';
        if (errno)
                failure("readdir", sub);
        else if (n != expected) {
                fprintf(stderr, "%s lists %zu names\n", path, n);
                wrong++;
        }
        closedir(d);
}

/* There or not, file or folder. */
static void look_at_guest(void)
{
        static const char *const names[] = {GUEST, GUEST_BELOW};
        char path[4200];
        struct stat st;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                snprintf(path, sizeof path, "%s/%s", dir, names[i]);
                if (stat(path, &st) < 0 && errno != ENOENT && errno != ENOTDIR)
                        failure("look-up", names[i]);
        }
        snprintf(path, sizeof path, "%s/" GUEST, dir);
        DIR *d = opendir(path);
        if (!d && errno != ENOENT && errno != ENOTDIR)
                failure("opendir", GUEST);
        if (d)
                closedir(d);
}

static void *read_loop(void *userdata)
{
        unsigned seed = (unsigned)(uintptr_t)userdata;
        char path[4200], name[32];
        struct stat st;

        while (!stop) {
                uint64_t begun = stress_now();
                unsigned r = (unsigned)rand_r(&seed), i = r / 8 % FILES;

                switch (r % 8) {
                case 0:
                        list("", FILES - FILES / 3 + 1);
                        break;
                case 1:
                        list("d", FILES / 3);
                        break;
                case 2:
                        snprintf(path, sizeof path, "%s/none-%u", dir, r);
                        if (stat(path, &st) == 0)
                                wrong++;
                        else if (errno != ENOENT)
                                failure("look-up", path);
                        look_at_guest();
                        break;
                case 3:
                        name_of(i, name);
                        snprintf(path, sizeof path, "%s/%s", dir, name);
                        if (stat(path, &st) < 0)
                                failure("stat", name);
                        else if (st.st_size != (off_t)SIZE)
                                wrong++;
                        break;
                default:
                        read_file(i);
                }
                uint64_t us = stress_now() - begun, longest = longest_us;
                while (longest < us && !atomic_compare_exchange_weak(&longest_us, &longest, us))
                        ;
                operations++;
        }
        return NULL;
}

/* Dentries and pages go, so that look-ups and reads reach the worker. */
static void *drop_loop(void *userdata)
{
        while (!stop) {
                int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
                if (fd >= 0) {
                        (void)write_all(fd, "3", 1);
                        close(fd);
                }
                struct timespec pause = {.tv_nsec = 20000000};
                nanosleep(&pause, NULL);
        }
        return NULL;
}

/* --- killing --- */

struct prey {
        FILE *report;
        pid_t worker, keeper;
};

/* Until a worker, or a keeper, other than `not` has reported: a new worker tells of the keeper it
 * finds, which may be the old one. False at the end of all workers. */
static bool wait_for(struct prey *p, char kind, pid_t not )
{
        char line[64];

        while (fgets(line, sizeof line, p->report)) {
                pid_t pid = (pid_t)strtol(line + 1, NULL, 10);
                if (line[0] == 'w')
                        p->worker = pid;
                else
                        p->keeper = pid;
                if (line[0] == kind && pid != not )
                        return true;
        }
        return false;
}

/* --- replacing --- */

/* Nobody else finds it: an abstract name of the kernel's choice. */
static int make_door(struct sockaddr_un *ret, socklen_t *ret_len)
{
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        const struct sockaddr_un any = {.sun_family = AF_UNIX};

        *ret_len = sizeof *ret;
        if (bind(fd, (const struct sockaddr *)&any, sizeof any.sun_family) < 0 ||
                listen(fd, 4) < 0 || getsockname(fd, (struct sockaddr *)ret, ret_len) < 0)
                return -1;
        return fd;
}

/* As `akvfs upgrade` does, with this very program as the new one. */
static bool upgrade(const struct sockaddr_un *door, socklen_t len, bool worker_alone)
{
        struct keeper_msg m;
        int passed = -EBADF;

        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        keeper_msg_init(&m, KEEPER_UPGRADE, 0);
        m.flags = worker_alone ? KEEPER_WORKER_ALONE : 0;
        bool done = connect(fd, (const struct sockaddr *)door, len) == 0 &&
                    keeper_send(fd, &m, program) == 0 && keeper_recv(fd, &m, &passed) == 1 &&
                    m.op == KEEPER_UPGRADED && m.result == 0;
        if (!done)
                fprintf(stderr, "no upgrade: %s: %s\n", strerror(errno), m.detail);
        close(program);
        close(fd);
        return done;
}

/* A watcher sees a rename within 10 s. */
static bool rotates(void)
{
        int fd = inotify_init1(IN_CLOEXEC);
        struct pollfd p = {.fd = fd, .events = POLLIN};

        bool seen = inotify_add_watch(fd, dir, IN_MOVED_TO) >= 0 && poll(&p, 1, 10000) == 1;
        close(fd);
        return seen;
}

static int by_size(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static void print_times(const char *name, uint64_t *us, size_t n)
{
        size_t middle = n / 2, nearly = n * 99 / 100;

        qsort(us, n, sizeof *us, by_size);
        printf(",\"%s_p50_ms\":%.1f,\"%s_p99_ms\":%.1f,\"%s_max_ms\":%.1f", name,
                (double)us[middle] / 1000, name, (double)us[nearly] / 1000, name,
                n ? (double)us[n - 1] / 1000 : 0);
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                {"kills", required_argument, NULL, 'k'},
                {"threads", required_argument, NULL, 't'},
                {"victim", required_argument, NULL, 'v'},
                {"no-resend", no_argument, NULL, 'n'},
                {"no-standby", no_argument, NULL, 's'},
                {0},
        };
        unsigned kills = 20, n_threads = 8;
        bool resend = true, standby = true, rotation = false;
        const char *victim = "worker";
        int o;

        if (argc == 3 && streq(argv[1], "worker"))
                return worker_main(argv);
        if (argc == 3 && streq(argv[1], "keeper")) {
                const char *const words[] = {"stress-crash", "worker", argv[2], NULL};
                return stress_next_keeper(words, (const char *const *)argv);
        }
        while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (o == 'k')
                        kills = (unsigned)strtoul(optarg, NULL, 10);
                else if (o == 't')
                        n_threads = (unsigned)strtoul(optarg, NULL, 10);
                else if (o == 'v')
                        victim = optarg;
                else if (o == 'n')
                        resend = false;
                else if (o == 's')
                        standby = false;
                else
                        return 2;
        }
        if (optind + 1 != argc || n_threads > 64 || kills > 100000)
                return 2;
        dir = argv[optind];
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
        if (!resend)
                setenv("AKVFS_NO_RESEND", "1", 1);

        const char *const worker_argv[] = {"stress-crash", "worker", dir, NULL};
        const char *const keeper_argv[] = {"stress-crash", "keeper", dir, NULL};
        struct sockaddr_un door;
        socklen_t door_len;
        int door_fd = make_door(&door, &door_len);
        struct prey prey = {0};
        prey.keeper = stress_keeper(worker_argv, standby, keeper_argv, door_fd, &prey.report);
        if (prey.keeper < 0)
                return 1;
        pthread_t threads[64], dropper;
        unsigned killed = 0;
        unsigned seed = (unsigned)getpid();
        uint64_t *waits = calloc(kills + 1, sizeof *waits);
        uint64_t *takeovers = calloc(kills + 1, sizeof *takeovers);

        if (!waits || !takeovers || !wait_for(&prey, 'w', 0))
                return 1;
        for (unsigned i = 0; i < n_threads; i++)
                pthread_create(&threads[i], NULL, read_loop, (void *)(uintptr_t)(i + 1));
        pthread_create(&dropper, NULL, drop_loop, NULL);
        for (; killed < kills; killed++) {
                bool worker = streq(victim, "worker") || (streq(victim, "both") && killed % 2);
                /* A random moment of its life, from its first request on. */
                struct timespec life = {.tv_nsec = rand_r(&seed) % 200000000L};
                nanosleep(&life, NULL);
                pid_t old_worker = prey.worker, old_keeper = prey.keeper;
                if (killed > 0)
                        waits[killed - 1] = atomic_exchange(&longest_us, 0);
                uint64_t begun = stress_now();
                if (startswith(victim, "upgrade")) {
                        bool alone = streq(victim, "upgrade-worker");
                        if (!upgrade(&door, door_len, alone) || !wait_for(&prey, 'w', old_worker) ||
                                (!alone && !wait_for(&prey, 'k', old_keeper)))
                                break;
                } else {
                        pid_t victim_pid = worker ? old_worker : old_keeper;
                        kill(victim_pid, SIGKILL);
                        if (!wait_for(&prey, worker ? 'w' : 'k', victim_pid))
                                break;
                }
                takeovers[killed] = stress_now() - begun;
        }
        rotation = killed == kills && rotates();
        stop = true;
        for (unsigned i = 0; i < n_threads; i++)
                pthread_join(threads[i], NULL);
        pthread_join(dropper, NULL);
        int status = stress_end(prey.keeper, prey.report, NULL);
        if (killed > 0)
                waits[killed - 1] = longest_us;
        printf("{\"kills\":%u,\"operations\":%llu,\"failed\":%llu,\"aborted\":%llu,\"wrong\":%llu,"
               "\"rotates\":%s",
                killed, (unsigned long long)operations, (unsigned long long)failed,
                (unsigned long long)aborted, (unsigned long long)wrong,
                rotation ? "true" : "false");
        print_times("wait", waits, killed);
        print_times("takeover", takeovers, killed);
        printf(",\"longest_ms\":%.1f}\n", killed > 0 ? (double)waits[killed - 1] / 1000 : 0);
        free(waits);
        free(takeovers);
        return killed < kills || failed || wrong ||
               ((resend || startswith(victim, "upgrade")) && aborted) || operations == 0 ||
               !rotation || status != 0;
}
