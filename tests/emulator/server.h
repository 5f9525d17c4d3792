/* The three listeners: HTTPS (vaults and Entra), plain HTTP for IMDS, plain HTTP for the admin
 * interface. A thread for each connection, so that a slow answer holds up nobody else. */
#pragma once

#include "base/err.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/tls.h"

struct server;

struct listen_config {
        enum listener_kind kind;
        const char *address; /* numeric; NULL: 127.0.0.1 and, where there is one, ::1 */
        unsigned short port; /* 0: any free one */
};

/* Listens and serves until server_stop. cert is needed for LISTEN_HTTPS; its strings are borrowed
 * until then. */
int server_start(struct emulator *emu, const struct listen_config *cfg,
        const struct tls_identity *cert, struct server **ret, struct err *e);
unsigned short server_port(const struct server *s);
/* Tells everybody who waits to stop (emu->stop_fd), closes all connections, joins all threads. */
void server_stop(struct server *s);
