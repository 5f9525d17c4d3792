/* What the commands that talk to running workers have in common. */
#pragma once

#include "cli/control_client.h"

/* Asks every worker of this user in this mount namespace the same, and hands each answer over
 * (`answer` is borrowed). fn returns > 0 to stop. Problems (hung workers, other versions, lost
 * connections) are printed and counted. 0 when all were asked, fn's result when it stopped, or a
 * negative errno with e set. No control directory: nobody is asked. */
typedef int (*client_answer_fn)(
        void *userdata, const struct control_hello *hello, const cJSON *answer);
int client_ask_all(const char *command, const cJSON *message, int timeout_ms, client_answer_fn fn,
        void *userdata, size_t *ret_problems, struct err *e);

/* Prints every entry of "errors" of a "failed" answer. Returns how many. */
size_t client_print_errors(const char *command, const cJSON *answer);

/* The words of such a command: at most one DIR, and --json where ret_json is given. Negative: go
 * on, with *ret_dir NULL where there was none. Else it is over, with that exit status: the help was
 * asked for, or a word is wrong. */
int client_words(const char *command, const char *help, int argc, char **argv, const char **ret_dir,
        bool *ret_json);
