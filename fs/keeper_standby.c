#include "fs/keeper_standby.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"

#define PAUSE_FIRST_MS 1000
#define PAUSE_MAX_MS 60000

void keeper_standby_init(struct keeper_standby *s, const struct keeper_options *o)
{
        *s = (struct keeper_standby){.options = o, .fd = -EBADF};
}

static void pause_after_death(struct keeper_standby *s)
{
        int64_t pause = (int64_t)PAUSE_FIRST_MS << MIN(s->deaths, 10U);

        s->deaths++;
        s->start_at = monotonic_ms() + MIN(pause, (int64_t)PAUSE_MAX_MS);
}

void keeper_standby_start(struct keeper_standby *s, int program)
{
        if (keeper_standby_timeout(s) != 0)
                return;
        int r = keeper_worker_fork(s->options, program, &s->pid, &s->fd);
        if (r < 0) {
                log_warning("no worker can be held ready: %s", strerror(-r));
                pause_after_death(s);
        }
}

int keeper_standby_timeout(const struct keeper_standby *s)
{
        if (s->pid > 0)
                return -1;
        return (int)MAX(s->start_at - monotonic_ms(), (int64_t)0);
}

bool keeper_standby_promote(struct keeper_standby *s, struct keeper_worker *w)
{
        struct pollfd p = {.fd = s->fd};

        if (s->pid <= 0)
                return false;
        /* Its end is closed: it is dead, and only not reaped yet. */
        if (poll(&p, 1, 0) < 0 || (p.revents & (POLLHUP | POLLERR)))
                return false;
        keeper_worker_began(w, s->pid, TAKE_FD(s->fd));
        s->pid = 0;
        s->deaths = 0;
        return true;
}

void keeper_standby_died(struct keeper_standby *s)
{
        keeper_standby_forget(s);
        pause_after_death(s);
        log_warning("the worker that was held ready died; the next one is started in %d ms",
                keeper_standby_timeout(s));
}

void keeper_standby_end(struct keeper_standby *s)
{
        if (s->pid > 0) {
                (void)kill(s->pid, SIGKILL);
                while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        }
        keeper_standby_forget(s);
}

void keeper_standby_forget(struct keeper_standby *s)
{
        s->pid = 0;
        s->fd = safe_close(s->fd);
}
