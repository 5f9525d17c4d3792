/* `akvfs worker`: everything but mounting itself. Started by the keeper with its socket as
 * KEEPER_WORKER_FD and the listening control socket as WORKER_LISTEN_FD. Ends itself when its last
 * mount is gone; SIGTERM and SIGINT unmount everything first, SIGHUP polls now. */
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "auth/helper.h"
#include "base/log.h"
#include "base/sec.h"
#include "base/wipe.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/csi_worker.h"
#include "cli/daemon.h"
#include "cli/hygiene.h"
#include "cli/landlock.h"
#include "cli/log_target.h"
#include "cli/sandbox.h"
#include "fs/keeper.h"

/* Nobody came: the command that started us has died. */
#define LONELY_TIMEOUT (60 * USEC_PER_SEC)

/* Who waits for an answer while another worker waits for us. Less than the keeper's patience. */
#define MAKE_WAY_TIMEOUT (10 * USEC_PER_SEC)
/* Without a call of kubelet's, before the connections are cut. */
#define QUIET_ENOUGH (40 * USEC_PER_MSEC)

struct worker {
        struct loop *loop;
        struct http_client *http;
        struct auth_helper *helper;
        struct auths *auths;
        struct vaults *vaults;
        struct cache *cache;
        struct fs *fs;
        struct commands *commands;
        struct csi_worker *csi; /* NULL: only commands are served */
        struct loop_io *signals;
        struct loop_timer *leave, *patience;
        const char *socket;
        bool ending, making_way;
        usec_t quiet_since; /* csi, while making way; 0: it is not quiet */
        bool bidden;        /* csi: told to end once what is mounted is gone */
};

/* Nothing is taken down, so nothing can be freed in order either: all that is left is in memory
 * that the kernel clears with the process, as after any other end of a worker. */
static _Noreturn void make_way(struct worker *w)
{
        fs_leave(w->fs);
        log_info("another worker takes over");
        _exit(0);
}

static void on_patience(void *userdata)
{
        log_warning("a command is still waiting, and will have to be given again");
        make_way(userdata);
}

static void on_successor(void *userdata)
{
        struct worker *w = userdata;

        w->making_way = true;
        loop_timer_in(w->patience, MAKE_WAY_TIMEOUT);
        if (w->csi)
                csi_worker_make_way(w->csi);
        commands_make_way(w->commands);
}

/* Kubelet's calls come on connections that stay: one that has just been answered may bring the
 * next.
 */
static bool is_quiet(struct worker *w)
{
        usec_t now = loop_now(w->loop);

        if (!commands_are_quiet(w->commands))
                return false;
        if (!w->csi)
                return true;
        if (!csi_worker_is_quiet(w->csi))
                w->quiet_since = 0;
        else if (!w->quiet_since)
                w->quiet_since = now;
        if (w->quiet_since && now - w->quiet_since >= QUIET_ENOUGH)
                return true;
        loop_timer_in(w->leave, QUIET_ENOUGH / 4);
        return false;
}

static void on_leave(void *userdata)
{
        struct worker *w = userdata;

        if (w->making_way && !w->ending) {
                if (is_quiet(w))
                        make_way(w);
                return;
        }
        if (w->csi ? !w->bidden || volumes_count(csi_worker_volumes(w->csi)) > 0
                   : !commands_are_idle(w->commands))
                return;
        /* The name goes first: who comes too late finds nothing rather than a closed door. */
        (void)unlink(w->socket);
        loop_exit(w->loop, 0);
}

static void on_idle(void *userdata)
{
        struct worker *w = userdata;

        loop_timer_in(w->leave, 0);
}

/* Pods go on with what they have: kubelet unpublishes it, or the next driver does. The second time
 * means it. */
static void end_csi(struct worker *w, unsigned signal)
{
        struct volumes *volumes = csi_worker_volumes(w->csi);

        if (signal == SIGTERM && !w->bidden) {
                log_info("signal %u: no new volumes; %zu are served until they are unpublished",
                        signal, volumes_count(volumes));
                volumes_drain(volumes);
        } else {
                log_info("signal %u: taking %zu volumes away", signal, volumes_count(volumes));
                volumes_end(volumes);
        }
        w->bidden = true;
        loop_timer_in(w->leave, 0);
}

static void on_signal(void *userdata, int fd, uint32_t revents)
{
        struct worker *w = userdata;
        struct signalfd_siginfo info;

        while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
                if (info.ssi_signo == SIGHUP) {
                        log_info("SIGHUP: polling now");
                        commands_refresh_all(w->commands);
                        continue;
                }
                if (w->csi) {
                        end_csi(w, info.ssi_signo);
                        continue;
                }
                /* twice from a terminal: once by the kernel, once by the keeper */
                if (!w->ending)
                        log_info("signal %u: unmounting everything", info.ssi_signo);
                w->ending = true;
                loop_timer_off(w->patience);
                (void)unlink(w->socket);
                commands_end(w->commands);
        }
}

/* Before any thread is started: all of them inherit the mask. */
static int block_signals(void)
{
        static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

        return signals_fd(signals, ELEMENTSOF(signals));
}

/* Known, and said in the log, before the first secret comes. Where CAP_IPC_LOCK is missing, all
 * that the limit allows is taken. */
static int check_memory(void)
{
        _cleanup_sec_ struct sec *probe = NULL;
        struct rlimit limit;

        if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_MEMLOCK, &limit);
        }
        return sec_new("", 1, &probe);
}

static int confine(const struct worker *w, struct err *e)
{
        if (CLI_SANITIZED) {
                log_info("a sanitized build: files and system calls are not closed off");
                return 0;
        }
        int r = landlock_enter(w->socket, w->csi ? csi_worker_folders(w->csi) : NULL, e);
        if (r == 0)
                log_info("this kernel has no Landlock: files are guarded by their modes alone");
        return r < 0 ? r : sandbox_enter(w->csi != NULL, e);
}

static int start(struct worker *w, int signal_fd, const struct daemon_words *words, struct err *e)
{
        struct control_hello hello = {
                .protocol = CONTROL_PROTOCOL,
                .version = (char *)(uintptr_t)AKVFS_VERSION,
                .uid = words->privileged ? 0 : geteuid(),
                .worker_pid = getpid(),
                .keeper_pid = getppid(),
                .log = (char *)(uintptr_t)words->log,
        };

        int r = control_place_here(&hello.place);
        if (r == 0)
                r = loop_new(&w->loop);
        if (r == 0)
                r = loop_timer_new(w->loop, on_leave, w, &w->leave);
        if (r == 0)
                r = loop_timer_new(w->loop, on_patience, w, &w->patience);
        if (r == 0)
                r = loop_io_new(w->loop, signal_fd, EPOLLIN, on_signal, w, &w->signals);
        if (r == 0)
                r = http_client_new(w->loop, &w->http);
        if (r == 0)
                r = auths_new(w->loop, w->http, &w->auths);
        if (r == 0 && !w->csi)
                r = auth_helper_new(w->loop, WORKER_HELPER_FD, &w->helper);
        if (r == 0 && w->helper)
                auths_set_helper(w->auths, w->helper);
        if (r == 0)
                r = vaults_new(w->loop, w->http, &w->vaults);
        if (r == 0)
                r = cache_new(w->loop, &w->cache);
        if (r < 0)
                return err_set(e, r, "could not start: %s", strerror(-r));
        r = fs_start(w->loop, KEEPER_WORKER_FD, &w->fs, e);
        if (r < 0)
                return r;
        (void)prctl(PR_SET_NAME, "akvfs-worker");

        const struct class_mount_parts parts = {.loop = w->loop,
                .auths = w->auths,
                .vaults = w->vaults,
                .cache = w->cache,
                .fs = w->fs,
                .privileged = words->privileged};
        r = w->csi ? csi_worker_start(w->csi, &parts, w->http, on_idle, w, e) : 0;
        if (r < 0)
                return r;
        const struct commands_config config = {
                .parts = parts,
                .hello = hello,
                .own = words->foreground,
                .volumes = w->csi ? csi_worker_volumes(w->csi) : NULL,
                .idle = on_idle,
                .userdata = w,
        };
        r = commands_new(WORKER_LISTEN_FD, &config, &w->commands);
        if (r < 0)
                return err_set(e, r, "could not listen: %s", strerror(-r));
        fs_on_leave(w->fs, on_successor, w);
        loop_timer_in(w->leave, LONELY_TIMEOUT);
        return 0;
}

static void stop(struct worker *w)
{
        commands_free(w->commands);
        csi_worker_free(w->csi);
        if (w->fs)
                fs_stop(w->fs);
        cache_free(w->cache);
        vaults_free(w->vaults);
        auths_free(w->auths);
        auth_helper_free(w->helper);
        http_client_free(w->http);
        loop_io_free(w->signals);
        loop_timer_free(w->leave);
        loop_timer_free(w->patience);
        loop_free(w->loop);
}

int cli_worker(int argc, char **argv)
{
        _cleanup_err_ struct err e = {0};
        struct daemon_words words;
        struct worker w = {0};

        /* Until the keeper speaks: fs/keeper_standby.h. */
        (void)prctl(PR_SET_NAME, "akvfs-standby");
        int r = daemon_words_parse(argc, argv, &words, &e);
        if (r < 0)
                return cli_fail("worker", &e);
        log_set_level((enum log_level)words.log_level);
        log_set_json(words.log_json);
        bool log_file = log_target_is_file(words.log);
        r = hygiene_close_from(words.csi  ? WORKER_CA_FD + 1
                               : log_file ? WORKER_LOG_FD + 1
                                          : WORKER_HELPER_FD + 1);
        if (r == 0)
                r = hygiene_protect();
        if (r == 0)
                r = wipe_install();
        _cleanup_close_ int signal_fd = r < 0 ? r : block_signals();
        if (r == 0 && signal_fd < 0)
                r = signal_fd;
        if (r < 0)
                return cli_fail(
                        "worker", (err_set(&e, r, "could not start: %s", strerror(-r)), &e));
        if (log_file)
                log_set_fd(WORKER_LOG_FD);
        else
                r = log_target_open(words.log, NULL, &e);
        if (r < 0)
                return cli_fail("worker", &e);

        w.socket = words.socket;
        r = check_memory();
        if (r < 0)
                err_set(&e, r, "could not start: %s", strerror(-r));
        else if (words.csi)
                r = csi_worker_new(words.argc, words.argv, &w.csi, &e);
        if (r == 0)
                r = confine(&w, &e);
        if (r == 0)
                r = start(&w, signal_fd, &words, &e);
        if (r == 0) {
                log_at(words.foreground ? LOG_DEBUG : LOG_INFO,
                        "akvfs %s: worker of uid %u is ready; secrets are in %s memory",
                        AKVFS_VERSION, (unsigned)geteuid(), sec_kind_name(sec_kind()));
                r = loop_run(w.loop);
                if (r < 0)
                        err_set(&e, r, "the event loop failed: %s", strerror(-r));
        }
        /* Never wanted: the socket's name may be the next keeper's by now. */
        if (r == -ECANCELED && !w.fs) {
                log_debug("%s", err_text(&e));
                stop(&w);
                return CLI_DONE;
        }
        if (r < 0)
                log_error("%s", err_text(&e));
        (void)unlink(words.socket);
        stop(&w);
        return r < 0 ? CLI_FAILED : CLI_DONE;
}
