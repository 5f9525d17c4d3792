#include "tests/unit/fs/keeper_parts.h"

#include <criterion/criterion.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/mountinfo.h"

void play_part(const char *worker, const struct part *parts, size_t n, int argc, char *const argv[])
{
        if (argc != 3 || !streq(argv[0], worker))
                return;
        (void)alarm(60);
        for (size_t i = 0; i < n; i++)
                if (streq(argv[1], parts[i].name))
                        parts[i].play(argv[2]);
        _exit(127);
}

void say(enum keeper_op op, uint64_t id, uint32_t flags, const char *path)
{
        struct keeper_msg m;

        keeper_msg_init(&m, op, id);
        m.flags = flags;
        CHECK(keeper_msg_set(m.path, sizeof m.path, path) == 0);
        CHECK(keeper_msg_set(m.name, sizeof m.name, "akvfs:unit") == 0);
        CHECK(keeper_send(KEEPER_WORKER_FD, &m, -EBADF) == 0);
}

struct keeper_msg hear(enum keeper_op op, uint64_t id, int *ret_fd)
{
        struct keeper_msg m;
        int fd = -EBADF;

        /* What a keeper hands over at the start of a worker is listed behind the answers. */
        do {
                safe_close(fd);
                fd = -EBADF;
                CHECK(keeper_recv(KEEPER_WORKER_FD, &m, &fd) == 1);
        } while (m.op > KEEPER_GONE);
        CHECK(m.op == (uint32_t)op);
        CHECK(m.mount == id);
        if (ret_fd)
                *ret_fd = fd;
        else
                CHECK(fd < 0);
        return m;
}

int do_mount(uint64_t id, const char *path)
{
        int fd;

        say(KEEPER_MOUNT, id, KEEPER_PRIVILEGED, path);
        CHECK(hear(KEEPER_MOUNTED, id, &fd).result == 0);
        CHECK(fd >= 0);
        return fd;
}

static int is_there(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source)
{
        return streq(path, userdata);
}

bool is_mounted(const char *path)
{
        return mountinfo_walk(is_there, (void *)(uintptr_t)path) != 0;
}

pid_t start_keeper(struct keeper_options options, const char *worker, const char *part,
        const char *path, bool close_stdio)
{
        const char *const argv[] = {worker, part, path, NULL};
        pid_t pid = fork();

        cr_assert_geq(pid, 0);
        if (pid == 0) {
                /* A test that is ended takes its keeper along, and that its mounts. */
                (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
                for (int fd = 0; close_stdio && fd < 3; fd++)
                        (void)close(fd);
                options.worker_argv = argv;
                options.unconfined = true;
                _exit(keeper_run(&options));
        }
        return pid;
}

int finish_keeper(pid_t pid)
{
        int status;

        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}
