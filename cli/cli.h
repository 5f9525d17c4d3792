/* The command line: what every sub-command shares.
 *
 * A command gets its own words (argv[0] is its name), prints for people on standard error and what
 * was asked for on standard output, and returns the exit status. Errors are shown as
 *
 *     akvfs mount: what failed
 *       the next step
 */
#pragma once

#include <stdio.h>

#include "base/err.h"

enum cli_status {
        CLI_DONE = 0,
        CLI_FAILED = 1,
        CLI_USAGE = 2,
};

int cli_csi(int argc, char **argv);
int cli_csi_keeper(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_get(int argc, char **argv);
int cli_mount(int argc, char **argv);
int cli_refresh(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_unmount(int argc, char **argv);
int cli_upgrade(int argc, char **argv);

/* mount(8)'s helper: mount.akvfs CLASS DIR [-sfnv] [-o OPTIONS] */
int cli_mount_helper(int argc, char **argv);

/* What `akvfs mount` starts: not for people. */
int cli_keeper(int argc, char **argv);
int cli_worker(int argc, char **argv);

/* The error and, indented, its hint. `command` is "mount", "get", ... */
void cli_print_error(const char *command, const struct err *e);
/* Several at once. What is not about one object (no token, no connection, a certificate) is said
 * once, with the names of the other objects it kept from being fetched. */
void cli_print_errors(const char *command, const struct err *errors, size_t n);
void cli_warn(const char *command, const char *fmt, ...) _printf_(2, 3);

/* A wrong word: prints it and where help is found. Returns CLI_USAGE. */
int cli_usage(const char *command, const struct err *e);
/* CLI_USAGE when the error is of the user's words (ERR_USAGE), else CLI_FAILED; printed. */
int cli_fail(const char *command, const struct err *e);

/* Flushes standard output: CLI_DONE, or CLI_FAILED with a message (a full disk, a closed pipe). */
int cli_finish_output(const char *command);

/* Text from a service or a file name, safe for a terminal: control characters become '?'. Writes
 * `width` columns at least (0: none), padded with spaces. */
void cli_put_text(FILE *f, const char *s, int width);
