#include "cli/client.h"

#include "cli/cli.h"
#include "cli/words.h"

struct ask {
        const char *command;
        const cJSON *message;
        int timeout_ms;
        client_answer_fn fn;
        void *userdata;
        size_t problems;
};

static void on_problem(void *userdata, const struct err *problem)
{
        struct ask *a = userdata;

        a->problems++;
        cli_print_error(a->command, problem);
}

static int ask_one(void *userdata, struct control_client **client)
{
        struct ask *a = userdata;
        _cleanup_err_ struct err e = {0};
        _cleanup_json_ cJSON *answer = NULL;

        int r = control_client_ask(*client, a->message, a->timeout_ms, -1, &answer, &e);
        if (r == -ENODATA || r == -ECONNRESET || r == -EPIPE)
                return 0; /* it ended between our hello and its answer: nothing is mounted there */
        if (r < 0) {
                on_problem(a, &e);
                return 0;
        }
        return a->fn(a->userdata, control_client_hello(*client), answer);
}

int client_ask_all(const char *command, const cJSON *message, int timeout_ms, client_answer_fn fn,
        void *userdata, size_t *ret_problems, struct err *e)
{
        _cleanup_rundir_ struct rundir d = {.fd = -EBADF};
        struct ask a = {
                .command = command,
                .message = message,
                .timeout_ms = timeout_ms,
                .fn = fn,
                .userdata = userdata,
        };

        *ret_problems = 0;
        if (!message)
                return err_set(e, -ENOMEM, "out of memory");
        int r = rundir_open(false, &d, e);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        r = control_each(&d, false, ask_one, on_problem, &a, e);
        *ret_problems = a.problems;
        return r;
}

size_t client_print_errors(const char *command, const cJSON *answer)
{
        const cJSON *list = json_get(answer, "errors"), *item;
        int size = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
        size_t n = 0;

        struct err *errors = calloc((size_t)size + 1, sizeof *errors);
        if (!errors)
                return 0;
        cJSON_ArrayForEach (item, list)
                control_error_parse(item, &errors[n++]);
        cli_print_errors(command, errors, n);
        for (size_t i = 0; i < n; i++)
                err_done(&errors[i]);
        free(errors);
        return n;
}

int client_words(const char *command, const char *help, int argc, char **argv, const char **ret_dir,
        bool *ret_json)
{
        static const struct word table[] = {{"help", 'h', false, 'h'}, {"json", 0, false, 'j'}};
        _cleanup_err_ struct err e = {0};
        const char *value = NULL;
        struct words words;
        int id = 0, r;

        *ret_dir = NULL;
        words_init(&words, argc, argv);
        while ((r = words_next(&words, table, ret_json ? 2 : 1, &id, &value, &e)) > 0) {
                if (id == 'h') {
                        fputs(help, stdout);
                        return cli_finish_output(command);
                }
                if (id == 'j')
                        *ret_json = true;
                else if (*ret_dir) {
                        err_set_cause(&e, ERR_USAGE, -EINVAL, "one DIR at a time: %s", value);
                        return cli_usage(command, &e);
                } else
                        *ret_dir = value;
        }
        return r < 0 ? cli_usage(command, &e) : -1;
}
