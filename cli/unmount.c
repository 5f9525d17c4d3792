/* `akvfs unmount DIR` */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/deadmount.h"
#include "cli/mountpoint.h"

static const char help[] =
        "akvfs unmount DIR\n"
        "\n"
        "Takes a mounted class away and waits until it is gone. Readers that still have files open\n"
        "do not stop it: as with umount --lazy the folder is free at once, and what they hold goes\n"
        "when they close it. If nobody serves the mount any more, it is removed all the same.\n"
        "\n"
        "Exit status: 0 it is gone, 1 it is not, 2 wrong use.\n"
        "\n"
        "Example:\n"
        "  akvfs unmount /mnt/secrets\n";

enum { UNKNOWN, DONE, FAILED };

static int on_answer(void *userdata, const struct control_hello *hello, const cJSON *answer)
{
        int *outcome = userdata;

        if (streq(control_type(answer), "done")) {
                *outcome = DONE;
                return 1;
        }
        if (streq(control_type(answer), "failed")) {
                client_print_errors("unmount", answer);
                *outcome = FAILED;
                return 1;
        }
        return 0;
}

/* Nobody answers for it: a mount whose processes are dead, or of another user. */
static int remove_dead(const char *path, struct err *e)
{
        _cleanup_free_ char *class = NULL;

        int r = mountpoint_class(path, &class);
        if (r < 0)
                return err_set(e, r, "could not read /proc/self/mountinfo: %s", strerror(-r));
        if (r == 0) {
                err_set_cause(e, ERR_LOCAL, -EINVAL, "nothing is mounted on %s by akvfs", path);
                err_hint(e, "akvfs status shows what is");
                return -EINVAL;
        }
        cli_warn("unmount", "no worker answers for %s: removing the mount itself", path);
        return deadmount_remove(path, e);
}

static int unmount(const char *dir)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_free_ char *path = NULL;
        size_t problems = 0;
        int outcome = UNKNOWN;

        int r = mountpoint_resolve(dir, &path, &e);
        if (r < 0)
                return cli_fail("unmount", &e);
        _cleanup_json_ cJSON *message = control_message("unmount");
        if (!cJSON_AddStringToObject(message, "mountpoint", path))
                return cli_fail("unmount", (err_set(&e, -ENOMEM, "out of memory"), &e));
        r = client_ask_all(
                "unmount", message, CONTROL_NO_TIMEOUT, on_answer, &outcome, &problems, &e);
        if (r < 0)
                return cli_fail("unmount", &e);
        if (outcome != UNKNOWN)
                return outcome == DONE ? CLI_DONE : CLI_FAILED;
        r = remove_dead(path, &e);
        return r < 0 ? cli_fail("unmount", &e) : CLI_DONE;
}

int cli_unmount(int argc, char **argv)
{
        _cleanup_err_ struct err e = {0};
        const char *dir;
        int r = client_words("unmount", help, argc, argv, &dir, NULL);

        if (r >= 0)
                return r;
        if (dir)
                return unmount(dir);
        err_set_cause(&e, ERR_USAGE, -EINVAL, "which DIR?");
        return cli_usage("unmount", &e);
}
