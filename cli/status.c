/* `akvfs status [DIR] [--json]` */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/mountpoint.h"

static const char help[] =
        "akvfs status [DIR] [--json]\n"
        "\n"
        "Shows what this user has mounted: objects, versions, how long ago each was last fetched,\n"
        "and the last error where the last try failed.\n"
        "\n"
        "  --json  for scripts: {\"mounts\":[{\"mountpoint\",\"class\",\"keeper_pid\",\"worker_pid\",\n"
        "          \"generation\",\"next_poll\",\"fuse_requests\",\"objects\":[{\"file\",\"object\",\n"
        "          \"version\",\"updated\",\"age_seconds\",\"expires\",\"error\"}]}]} and more; times are\n"
        "          RFC 3339 in UTC, or null. Members are added, never changed.\n"
        "\n"
        "Exit status: 0 shown, 1 a worker does not answer or nothing is mounted on DIR, 2 wrong use.\n"
        "\n"
        "Examples:\n"
        "  akvfs status\n"
        "  akvfs status /mnt/secrets --json | jq '.mounts[].objects[] | select(.error)'\n";

static int on_answer(void *userdata, const struct control_hello *hello, const cJSON *answer)
{
        cJSON *all = userdata;
        cJSON *mounts = cJSON_GetObjectItemCaseSensitive(answer, "mounts");

        while (cJSON_IsArray(mounts) && cJSON_GetArraySize(mounts) > 0)
                cJSON_AddItemToArray(all, cJSON_DetachItemFromArray(mounts, 0));
        return 0;
}

static const char *text_of(const cJSON *j, const char *name, const char *otherwise)
{
        const char *s = json_string(j, name);

        return isempty(s) ? otherwise : s;
}

static long long number_of(const cJSON *j, const char *name)
{
        int64_t v;

        return json_int64(j, name, &v) < 0 ? 0 : (long long)v;
}

static void put_age(const cJSON *object)
{
        int64_t s;
        char buf[32];

        if (json_int64(object, "age_seconds", &s) < 0)
                snprintf(buf, sizeof buf, "-");
        else if (s < 120)
                snprintf(buf, sizeof buf, "%llds", (long long)s);
        else if (s < 7200)
                snprintf(buf, sizeof buf, "%lldm", (long long)s / 60);
        else if (s < 172800)
                snprintf(buf, sizeof buf, "%lldh", (long long)s / 3600);
        else
                snprintf(buf, sizeof buf, "%lldd", (long long)s / 86400);
        cli_put_text(stdout, buf, 6);
}

static int widest(const cJSON *objects, const char *name, int at_least)
{
        const cJSON *o;
        size_t width = (size_t)at_least;

        cJSON_ArrayForEach (o, objects)
                width = MAX(width, strlen(text_of(o, name, "-")));
        return (int)MIN(width, 48);
}

static void print_mount(const cJSON *m)
{
        const cJSON *objects = json_get(m, "objects"), *o;
        int file = widest(objects, "file", 4), object = widest(objects, "object", 6);

        cli_put_text(stdout, text_of(m, "mountpoint", "?"), 0);
        printf("  class ");
        cli_put_text(stdout, text_of(m, "class", "-"), 0);
        printf("  (%s)\n  vault ", text_of(m, "state", "?"));
        cli_put_text(stdout, text_of(m, "vault", "?"), 0);
        printf("\n  as    ");
        cli_put_text(stdout, text_of(m, "identity", "?"), 0);
        printf("\n  generation %lld, next poll %s, %lld FUSE requests (%lld refused), keeper %lld, "
               "worker %lld (start %lld)\n",
                number_of(m, "generation"), text_of(m, "next_poll", "never"),
                number_of(m, "fuse_requests"), number_of(m, "refused_requests"),
                number_of(m, "keeper_pid"), number_of(m, "worker_pid"),
                number_of(m, "worker_starts"));
        const cJSON *refetch = json_get(m, "refetch");
        if (cJSON_IsObject(refetch))
                printf("  after a change of worker everything is fetched again: %s\n",
                        json_string(refetch, "next_try") ? "waiting for the next try"
                                                         : "under way");
        if (json_string(refetch, "error")) {
                printf("    last try failed: ");
                cli_put_text(stdout, json_string(refetch, "error"), 0);
                printf("\n");
        }
        if (!json_bool(json_get(m, "secret_memory"), "locked", true))
                printf("  secret memory is not locked: values may reach swap (raise ulimit -l)\n");
        else if (!streq(text_of(json_get(m, "secret_memory"), "kind", "memfd_secret"),
                         "memfd_secret"))
                printf("  secrets are in locked memory, for this kernel gives no memfd_secret\n");
        printf("  %-*s  %-*s  %-32s  %-20s  %-6s%s\n", file, "FILE", object, "OBJECT", "VERSION",
                "UPDATED", "AGE", "EXPIRES");
        cJSON_ArrayForEach (o, objects) {
                const char *error = json_string(o, "error");
                const char *state = text_of(o, "state", "ok");
                bool shown = json_bool(o, "shown", true);

                printf("  ");
                cli_put_text(stdout, text_of(o, "file", "-"), file);
                printf("  ");
                cli_put_text(stdout, text_of(o, "object", "-"), object);
                printf("  ");
                cli_put_text(stdout, text_of(o, "version", "-"), 32);
                printf("  ");
                cli_put_text(stdout, text_of(o, "updated", "-"), 20);
                printf("  ");
                put_age(o);
                cli_put_text(stdout, text_of(o, "expires", "-"), 0);
                printf("\n");
                if (!shown)
                        printf("    not shown: %s\n", state);
                else if (!streq(state, "ok") && !streq(state, "failing"))
                        printf("    %s: its last good bytes are kept\n", state);
                if (error) {
                        printf("    last try failed: ");
                        cli_put_text(stdout, error, 0);
                        printf("\n");
                }
        }
        cJSON_ArrayForEach (o, json_get(m, "selectors")) {
                const char *error = json_string(o, "error");

                printf("  ");
                cli_put_text(stdout, text_of(o, "selector", "?"), 0);
                printf(" of ");
                cli_put_text(stdout, text_of(o, "vault", "?"), 0);
                printf(": %lld\n", number_of(o, "objects"));
                if (error) {
                        printf("    ");
                        cli_put_text(stdout, error, 0);
                        printf("\n");
                }
        }
}

static int print_json(const cJSON *j, struct err *e)
{
        char *text = cJSON_Print(j);

        if (!text)
                return err_set(e, -ENOMEM, "out of memory");
        puts(text);
        cJSON_free(text);
        return 0;
}

static int status(const char *dir, bool json)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_free_ char *path = NULL;
        _cleanup_json_ cJSON *message = control_message("status"), *all = cJSON_CreateObject();
        cJSON *mounts = cJSON_AddArrayToObject(all, "mounts");
        size_t problems = 0;
        int r = mounts ? 0 : err_set(&e, -ENOMEM, "out of memory");

        if (r == 0 && dir)
                r = mountpoint_resolve(dir, &path, &e);
        if (r == 0 && path && !cJSON_AddStringToObject(message, "mountpoint", path))
                r = err_set(&e, -ENOMEM, "out of memory");
        if (r == 0)
                r = client_ask_all("status", message, CONTROL_HELLO_TIMEOUT_MS, on_answer, mounts,
                        &problems, &e);
        if (r < 0)
                return cli_fail("status", &e);

        bool none = cJSON_GetArraySize(mounts) == 0;
        if (json)
                r = print_json(all, &e);
        else {
                const cJSON *m, *first = mounts->child;
                cJSON_ArrayForEach (m, mounts) {
                        if (m != first)
                                printf("\n");
                        print_mount(m);
                }
                if (none && !dir && problems == 0)
                        printf("nothing is mounted\n");
        }
        if (r == 0 && none && path)
                r = err_set_cause(
                        &e, ERR_LOCAL, -ENOENT, "nothing is mounted on %s by akvfs", path);
        if (r < 0)
                return cli_fail("status", &e);
        r = cli_finish_output("status");
        return problems > 0 ? CLI_FAILED : r;
}

int cli_status(int argc, char **argv)
{
        const char *dir;
        bool json = false;
        int r = client_words("status", help, argc, argv, &dir, &json);

        return r < 0 ? status(dir, json) : r;
}
