/* A vault's host seen from below: a connection by hand, to tell where it ends.
 *
 * libcurl says that something failed; this says at which step, and who answered there. Blocking,
 * with a time limit for each step: for `akvfs doctor`, which has nothing else to do. Nothing is
 * sent but handshakes; no secret is at hand here.
 */
#pragma once

#include "base/err.h"

#define DOCTOR_TEXT_MAX 256
#define DOCTOR_STEP_MS 5000

struct doctor_target {
        const char *host; /* without brackets */
        uint16_t port;
        const char *proxy;  /* URL, or NULL: then host is connected to itself */
        const char *ca_pem; /* replaces the system's authorities, or NULL */
        unsigned step_ms;   /* 0: DOCTOR_STEP_MS */
};

/* "https://host[:port]/..." to its parts; host without brackets. -EINVAL. Caller frees. */
int doctor_split_url(const char *url, char **ret_host, uint16_t *ret_port);

/* "localhost" and what is below it: of no DNS server's business (RFC 6761 section 6.3). */
bool doctor_is_localhost(const char *host);

/* The addresses of a host as text, by the system's resolver, and whether each is private. Names
 * below localhost are this machine, as libcurl has them since 7.78, whatever the resolver knows. */
#define DOCTOR_ADDRESSES_MAX 16
struct doctor_addresses {
        char text[DOCTOR_ADDRESSES_MAX][64];
        bool private[DOCTOR_ADDRESSES_MAX];
        size_t n;
};
int doctor_resolve(const char *host, struct doctor_addresses *ret, struct err *e);

/* A connected socket to the host, or through the proxy (CONNECT). ret_peer: the address that
 * answered. cause ERR_DNS (of the proxy too), ERR_CONNECT, ERR_TIMEOUT. Returns a descriptor. */
int doctor_connect(const struct doctor_target *t, char ret_peer[static 64], struct err *e);

struct doctor_tls {
        char subject[DOCTOR_TEXT_MAX], issuer[DOCTOR_TEXT_MAX];
        char version[16];
        int64_t not_before, not_after; /* seconds */
};
/* The handshake on that socket. What is known of the certificate is in *ret also when it is not
 * accepted (cause ERR_TLS); subject is "" when none came. */
int doctor_handshake(const struct doctor_target *t, int fd, struct doctor_tls *ret, struct err *e);
