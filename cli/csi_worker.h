/* The worker's part of `akvfs csi`: what the driver is made of. The process itself is
 * cli/worker.c's. */
#pragma once

#include "csi/driver.h"

struct csi_worker;

/* argv: the words of `akvfs csi`. Reads what the file system has for it (the CA file's descriptor
 * WORKER_CA_FD, the cluster's authority, libgrpc): before the process is closed off. */
int csi_worker_new(int argc, char **argv, struct csi_worker **ret, struct err *e);
void csi_worker_free(struct csi_worker *w);
DEFINE_CLEANUP(struct csi_worker *, csi_worker_free)

/* Folders that stay readable, for landlock_enter(): the service account's token is read for each
 * request to the API server. NULL-terminated, the worker's. */
const char *const *csi_worker_folders(const struct csi_worker *w);

/* Begins to serve. `idle` is told in a later turn of the loop that no volume is left. The parts are
 * borrowed until csi_worker_free(), for which all volumes have to be gone. */
int csi_worker_start(struct csi_worker *w, const struct class_mount_parts *parts,
        struct http_client *http, void (*idle)(void *userdata), void *userdata, struct err *e);
void csi_worker_make_way(struct csi_worker *w);
bool csi_worker_is_quiet(const struct csi_worker *w);
struct volumes *csi_worker_volumes(const struct csi_worker *w); /* NULL before */
