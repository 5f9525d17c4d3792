/* `akvfs refresh [DIR]` */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/mountpoint.h"

static const char help[] =
        "akvfs refresh [DIR]\n"
        "\n"
        "Polls the objects of one mount, or of all of this user's, now, and waits for the answers.\n"
        "When it returns, the next open(2) of a changed file gives the new bytes. A file whose\n"
        "object could not be fetched keeps its last good bytes. Objects pinned to a version are not\n"
        "fetched again. SIGHUP to the worker does the same without waiting.\n"
        "\n"
        "Exit status: 0 every object was fetched, 1 not, 2 wrong use.\n"
        "\n"
        "Examples:\n"
        "  akvfs refresh\n"
        "  akvfs refresh /mnt/secrets\n";

struct outcome {
        size_t mounts, failed;
};

static int on_answer(void *userdata, const struct control_hello *hello, const cJSON *answer)
{
        struct outcome *o = userdata;
        const cJSON *item;

        if (streq(control_type(answer), "failed"))
                o->failed += client_print_errors("refresh", answer);
        cJSON_ArrayForEach (item, json_get(answer, "mounts")) {
                const char *where = json_string(item, "mountpoint");
                const cJSON *error = json_get(item, "error");

                if (!where)
                        continue;
                o->mounts++;
                if (!error) {
                        printf("%s: up to date\n", where);
                        continue;
                }
                _cleanup_err_ struct err e = {0};
                control_error_parse(error, &e);
                err_wrap(&e, e.code, "%s", where);
                cli_print_error("refresh", &e);
                o->failed++;
        }
        return 0;
}

static int refresh(const char *dir)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_free_ char *path = NULL;
        _cleanup_json_ cJSON *message = control_message("refresh");
        struct outcome o = {0};
        size_t problems = 0;
        int r = 0;

        if (dir)
                r = mountpoint_resolve(dir, &path, &e);
        if (r == 0 && (!message || (path && !cJSON_AddStringToObject(message, "mountpoint", path))))
                r = err_set(&e, -ENOMEM, "out of memory");
        if (r == 0)
                r = client_ask_all(
                        "refresh", message, CONTROL_NO_TIMEOUT, on_answer, &o, &problems, &e);
        if (r == 0 && o.mounts == 0 && problems == 0) {
                r = path ? err_set_cause(&e, ERR_LOCAL, -ENOENT,
                                   "nothing is mounted on %s by akvfs", path)
                         : err_set_cause(&e, ERR_LOCAL, -ENOENT, "nothing is mounted");
                err_hint(&e, "akvfs status shows what is");
        }
        if (r < 0)
                return cli_fail("refresh", &e);
        r = cli_finish_output("refresh");
        return o.failed > 0 || problems > 0 ? CLI_FAILED : r;
}

int cli_refresh(int argc, char **argv)
{
        const char *dir;
        int r = client_words("refresh", help, argc, argv, &dir, NULL);

        return r < 0 ? refresh(dir) : r;
}
