/* One DNS server asked directly: what it says of a host's addresses, and by which names.
 *
 * For diagnosis, where the system's resolver says too little: it hides who answered and through
 * which CNAMEs. Everything else uses getaddrinfo(3). UDP without EDNS (RFC 1035), so an answer has
 * 512 bytes at most; a longer one says so. Nothing is cached. Any thread.
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/err.h"

#define DNS_NAME_MAX 256
#define DNS_ALIASES_MAX 8
#define DNS_ADDRESSES_MAX 16
#define DNS_SERVERS_MAX 8
#define DNS_ANSWER_MAX ((size_t)512)

struct dns_server {
        struct sockaddr_storage address;
        socklen_t len;
};

struct dns_answer {
        int rcode;      /* 0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED, ... */
        bool truncated; /* there was more */
        char aliases[DNS_ALIASES_MAX][DNS_NAME_MAX]; /* what the name stands for, in order */
        size_t n_aliases;
        struct in_addr addresses[DNS_ADDRESSES_MAX];
        size_t n_addresses;
};

/* The servers of resolv.conf(5) as text, "nameserver" lines with an IPv4 or IPv6 address. */
size_t dns_servers(const char *resolv_conf, struct dns_server *ret, size_t max);
/* "127.0.0.1", "127.0.0.1:5353", "::1", "[::1]:5353". -EINVAL. */
int dns_server_parse(const char *text, struct dns_server *ret);
/* The same as text, without a port 53. */
#define DNS_SERVER_LEN 64
const char *dns_server_format(const struct dns_server *s, char buf[static DNS_SERVER_LEN]);

/* Asks for A records and waits at most timeout_ms. -ETIMEDOUT, -EBADMSG (what came is no answer to
 * this question), -EINVAL (no name that DNS could have), or of the socket. */
int dns_ask(
        const struct dns_server *s, const char *host, unsigned timeout_ms, struct dns_answer *ret);

/* An answer to that question with that id. -EBADMSG. */
int dns_parse(
        const void *packet, size_t len, uint16_t id, const char *host, struct dns_answer *ret);

/* Not reachable from the Internet: RFC 1918, RFC 6598, loopback, link-local and unique local. */
bool dns_is_private(const struct sockaddr *address);
