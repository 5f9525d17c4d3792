/* `akvfs upgrade [DIR]`: asks keepers to make way for this program (fs/keeper_handover.h). */
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/mountpoint.h"
#include "cli/words.h"
#include "fs/keeper_proto.h"

/* The keeper's own patience is less. */
#define ANSWER_TIMEOUT_MS 90000

static const char help[] =
        "akvfs upgrade [DIR] [--binary FILE] [--worker]\n"
        "\n"
        "Puts a new program in place for one mount and those that share its processes, or for all of\n"
        "this user's. The running processes hand everything over to processes of the new program:\n"
        "mounts, open files and watches stay, and no read fails. Other users' mounts are theirs to\n"
        "upgrade.\n"
        "\n"
        "If the new program does not start, cannot understand what is mounted, or belongs to\n"
        "somebody who may not replace it, the old one goes on, and this command says why.\n"
        "\n"
        "  --binary FILE   the new program; default: the one that runs this command. It belongs to\n"
        "                  root or to you, and nobody else can write to it\n"
        "  --worker        the worker alone; the keeper, which mounts, stays what it is\n"
        "\n"
        "Exit status: 0 the new program serves, 1 the old one does, 2 wrong use.\n"
        "\n"
        "Examples:\n"
        "  akvfs upgrade\n"
        "  akvfs upgrade /mnt/secrets --binary /opt/akvfs/bin/akvfs\n";

struct upgrade {
        const char *dir; /* as typed; NULL for all */
        const char *binary;
        bool worker_alone;
        char *path; /* dir, resolved */
        char **sockets;
        size_t n;
};

/* --- whose --- */

/* 1 when it serves that folder. */
static int serves(struct control_client *c, const char *path, struct err *e)
{
        _cleanup_json_ cJSON *message = control_message("status"), *answer = NULL;

        if (!message || !cJSON_AddStringToObject(message, "mountpoint", path))
                return err_set(e, -ENOMEM, "out of memory");
        int r = control_client_ask(c, message, CONTROL_HELLO_TIMEOUT_MS, -1, &answer, e);
        return r < 0 ? r : cJSON_GetArraySize(json_get(answer, "mounts")) > 0;
}

/* Only their names are kept: a worker does not make way while somebody is connected to it. */
static int on_worker(void *userdata, struct control_client **client)
{
        struct upgrade *u = userdata;
        _cleanup_err_ struct err e = {0};

        int r = u->path ? serves(*client, u->path, &e) : 1;
        if (r < 0)
                cli_print_error("upgrade", &e);
        if (r <= 0)
                return 0;
        char **bigger = reallocarray(u->sockets, u->n + 1, sizeof *bigger);
        char *name = strdup(control_client_name(*client));
        if (bigger)
                u->sockets = bigger;
        if (!bigger || !name) {
                free(name);
                return -ENOMEM;
        }
        u->sockets[u->n++] = name;
        return 0;
}

static void on_problem(void *userdata, const struct err *problem)
{
        cli_print_error("upgrade", problem);
}

/* --- the program --- */

static int open_program(const char *binary, struct err *e)
{
        const char *path = binary ? binary : "/proc/self/exe";
        const char *name = binary ? binary : "the program of this command";
        struct stat st;

        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return err_set_cause(
                        e, ERR_LOCAL, -errno, "could not open %s: %s", name, strerror(errno));
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return err_set_cause(e, ERR_LOCAL, -EINVAL, "%s is no program", name);
        return TAKE_FD(fd);
}

/* --- asking --- */

static int refused(const struct keeper_msg *m, struct err *e)
{
        err_set_cause(e, ERR_LOCAL, m->result, "%s", m->detail);
        switch (m->result) {
        case -EPERM:
                err_hint(e, "chown it to root and take away write permission of group and others");
                break;
        case -EBUSY:
                err_hint(e, "try again in a moment");
                break;
        case -EPROTONOSUPPORT:
                break;
        default:
                err_hint(e, "the old program goes on; its log has more: akvfs status, field log");
        }
        return m->result;
}

static int ask(const struct rundir *d, const char *socket, const struct upgrade *u, int program,
        struct err *e)
{
        _cleanup_close_ int fd = -EBADF, passed = -EBADF;
        struct keeper_msg m;

        int r = rundir_knock(d, socket, &fd);
        if (r < 0)
                return err_set_cause(e, ERR_LOCAL, r, "the keeper of %s/%s cannot be reached: %s",
                        d->path, socket, strerror(-r));
        keeper_msg_init(&m, KEEPER_UPGRADE, 0);
        m.flags = u->worker_alone ? (uint32_t)KEEPER_WORKER_ALONE : 0;
        r = keeper_send(fd, &m, program);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        while (r == 0) {
                int n = poll(&p, 1, ANSWER_TIMEOUT_MS);
                if (n == 0)
                        r = -ETIMEDOUT;
                else if (n > 0)
                        break;
                else if (errno != EINTR)
                        r = -errno;
        }
        if (r == 0)
                r = keeper_recv(fd, &m, &passed);
        if (r == -EPROTONOSUPPORT)
                return err_set_cause(e, ERR_LOCAL, r,
                        "the running keeper speaks version %u of its protocol, this program "
                        "version %u: unmount, and mount with the new program",
                        m.version, KEEPER_VERSION);
        if (r == 1 && m.op == KEEPER_UPGRADED) {
                m.detail[sizeof m.detail - 1] = '\0';
                return m.result < 0 ? refused(&m, e) : 0;
        }
        r = r == 0 ? -ECONNRESET : r == 1 ? -EPROTO : r;
        err_set_cause(e, ERR_LOCAL, r, "how the upgrade went is not known: %s", strerror(-r));
        err_hint(e, "akvfs status shows who serves");
        return r;
}

/* Who serves now, for people. */
static void report(const struct rundir *d, const char *socket)
{
        _cleanup_(control_client_freep) struct control_client *c = NULL;
        _cleanup_err_ struct err e = {0};

        if (control_client_new(d, socket, &c, &e) < 0)
                return; /* its last mount went meanwhile */
        const struct control_hello *h = control_client_hello(c);
        printf("akvfs %s serves: keeper %d, worker %d\n", h->version, (int)h->keeper_pid,
                (int)h->worker_pid);
}

static int find_keepers(struct upgrade *u, struct rundir *d, struct err *e)
{
        int r = rundir_open(false, d, e);

        if (r == 0)
                r = control_each(d, false, on_worker, on_problem, u, e);
        if (r == -ENOMEM)
                return err_set(e, r, "out of memory");
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == 0 && u->n > 0)
                return 0;
        err_set_cause(e, ERR_LOCAL, -ENOENT, "nothing is mounted%s%s%s", u->path ? " on " : "",
                u->path ? u->path : "", u->path ? " by akvfs" : "");
        err_hint(e, "akvfs status shows what is");
        return -ENOENT;
}

static int upgrade(struct upgrade *u)
{
        _cleanup_rundir_ struct rundir d = {.fd = -EBADF};
        _cleanup_err_ struct err e = {0};
        bool failed = false;

        _cleanup_close_ int program = open_program(u->binary, &e);
        int r = program < 0 ? program : 0;
        if (r == 0 && u->dir)
                r = mountpoint_resolve(u->dir, &u->path, &e);
        if (r == 0)
                r = find_keepers(u, &d, &e);
        if (r < 0)
                return cli_fail("upgrade", &e);
        for (size_t i = 0; i < u->n; i++) {
                _cleanup_err_ struct err one = {0};

                if (ask(&d, u->sockets[i], u, program, &one) < 0) {
                        cli_print_error("upgrade", &one);
                        failed = true;
                } else
                        report(&d, u->sockets[i]);
        }
        r = cli_finish_output("upgrade");
        return failed ? CLI_FAILED : r;
}

int cli_upgrade(int argc, char **argv)
{
        static const struct word table[] = {
                {"help", 'h', false, 'h'},
                {"binary", 0, true, 'b'},
                {"worker", 0, false, 'w'},
        };
        _cleanup_err_ struct err e = {0};
        struct upgrade u = {0};
        const char *value = NULL;
        struct words words;
        int id = 0, r;

        words_init(&words, argc, argv);
        while ((r = words_next(&words, table, ELEMENTSOF(table), &id, &value, &e)) > 0) {
                if (id == 'h') {
                        fputs(help, stdout);
                        return cli_finish_output("upgrade");
                }
                if (id == 'b')
                        u.binary = value;
                else if (id == 'w')
                        u.worker_alone = true;
                else if (u.dir) {
                        err_set_cause(&e, ERR_USAGE, -EINVAL, "one DIR at a time: %s", value);
                        return cli_usage("upgrade", &e);
                } else
                        u.dir = value;
        }
        if (r < 0)
                return cli_usage("upgrade", &e);
        int status = upgrade(&u);
        for (size_t i = 0; i < u.n; i++)
                free(u.sockets[i]);
        free(u.sockets);
        free(u.path);
        return status;
}
