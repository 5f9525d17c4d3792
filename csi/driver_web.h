/* The driver's pages on csi/web:
 *
 *     /healthz   200 "ok" while the process can do its work, else 503: what liveness probes ask. It
 *                tells the process's own health and never the vault's.
 *     /metrics   csi/driver_metrics, for Prometheus; not where there are none
 */
#pragma once

#include "csi/driver_metrics.h"
#include "csi/web.h"

struct driver_web_config {
        struct loop *loop;
        int listen_fd;                        /* web_listen()'s, taken over, also on failure */
        const struct driver_metrics *metrics; /* NULL: /healthz alone */
        bool (*is_ready)(void *userdata);
        /* Before /metrics is made: for what is set rather than counted. NULL: nothing is. */
        void (*collect)(void *userdata);
        void *userdata;
};

struct driver_web;

/* What the configuration points to is borrowed for as long as it lives. */
int driver_web_new(const struct driver_web_config *cfg, struct driver_web **ret, struct err *e);
void driver_web_free(struct driver_web *w);
DEFINE_CLEANUP(struct driver_web *, driver_web_free)
