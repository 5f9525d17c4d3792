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

/* Forks a keeper whose worker runs this program with these words, with the next one held ready or
 * not. *ret_report reads what the worker writes to REPORT_FD. */
pid_t stress_keeper(const char *const *worker_argv, bool standby, int *ret_report);
