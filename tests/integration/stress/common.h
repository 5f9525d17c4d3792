/* What the stress programs share: files whose bytes tell their version, a keeper with this very
 * program as its worker. */
#pragma once

#include "cache/view.h"
#include "fs/fs.h"
#include "fs/keeper.h"

#define REPORT_FD 4 /* a pipe from the worker to the program */

/* A file of `size` bytes (a multiple of four), each 32-bit word of which is `version`. Aborts when
 * memory is short. */
struct view_file *stress_file(const char *path, uint32_t version, size_t size);

/* Forks a keeper whose worker runs this program with these words. *ret_report reads what the worker
 * writes to REPORT_FD. A keeper that is to make way for another one has that one's words (they lead
 * to stress_next_keeper()) and a door; else NULL and 0. */
pid_t stress_keeper(
        const char *const *worker_argv, const char *const *keeper_argv, int door, int *ret_report);
/* Runs the next keeper, which everything is handed over to; its exit status. */
int stress_next_keeper(const char *const *worker_argv, const char *const *keeper_argv);
