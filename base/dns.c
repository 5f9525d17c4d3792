#include "base/dns.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <poll.h>
#include <resolv.h>
#include <stdio.h>
#include <strings.h>

static void set_port(struct dns_server *s, uint16_t port)
{
        if (s->address.ss_family == AF_INET)
                ((struct sockaddr_in *)&s->address)->sin_port = htons(port);
        else
                ((struct sockaddr_in6 *)&s->address)->sin6_port = htons(port);
}

static int parse_address(const char *text, struct dns_server *ret)
{
        struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->address;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->address;

        *ret = (struct dns_server){0};
        if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
                v4->sin_family = AF_INET;
                ret->len = sizeof *v4;
        } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
                v6->sin6_family = AF_INET6;
                ret->len = sizeof *v6;
        } else
                return -EINVAL;
        set_port(ret, NS_DEFAULTPORT);
        return 0;
}

int dns_server_parse(const char *text, struct dns_server *ret)
{
        char host[DNS_SERVER_LEN];
        const char *port = NULL;
        uint64_t number = 0;
        size_t n = strlen(text);

        if (n >= sizeof host)
                return -EINVAL;
        strcpy(host, text);
        if (*text == '[') {
                char *end = strchr(host, ']');
                if (!end || (end[1] && end[1] != ':'))
                        return -EINVAL;
                *end = '\0';
                port = end[1] ? end + 2 : NULL;
                memmove(host, host + 1, strlen(host));
        } else if (strchr(host, ':') && strchr(host, ':') == strrchr(host, ':')) {
                char *colon = strchr(host, ':');
                *colon = '\0';
                port = colon + 1;
        }
        int r = parse_address(host, ret);
        if (r == 0 && port) {
                r = parse_u64(port, UINT16_MAX, &number) < 0 || number == 0 ? -EINVAL : 0;
                if (r == 0)
                        set_port(ret, (uint16_t)number);
        }
        return r;
}

size_t dns_servers(const char *resolv_conf, struct dns_server *ret, size_t max)
{
        size_t n = 0;

        for (const char *line = resolv_conf; *line && n < max;) {
                size_t len = strcspn(line, "\n");
                const char *p = startswith(line, "nameserver");

                if (p && (*p == ' ' || *p == '\t')) {
                        char word[DNS_SERVER_LEN];
                        p += strspn(p, " \t");
                        size_t k = strcspn(p, " \t\r\n%"); /* a zone behind '%' is passed over */
                        if (k < sizeof word) {
                                memcpy(word, p, k);
                                word[k] = '\0';
                                n += parse_address(word, &ret[n]) == 0;
                        }
                }
                line += len;
                line += *line == '\n';
        }
        return n;
}

const char *dns_server_format(const struct dns_server *s, char buf[static DNS_SERVER_LEN])
{
        bool v6 = s->address.ss_family == AF_INET6;
        const struct sockaddr_in *a = (const struct sockaddr_in *)&s->address;
        const struct sockaddr_in6 *b = (const struct sockaddr_in6 *)&s->address;
        unsigned port = ntohs(v6 ? b->sin6_port : a->sin_port);
        char host[INET6_ADDRSTRLEN] = "";

        (void)inet_ntop(s->address.ss_family,
                v6 ? (const void *)&b->sin6_addr : (const void *)&a->sin_addr, host, sizeof host);
        if (port == NS_DEFAULTPORT)
                snprintf(buf, DNS_SERVER_LEN, "%s", host);
        else
                snprintf(buf, DNS_SERVER_LEN, v6 ? "[%s]:%u" : "%s:%u", host, port);
        return buf;
}

/* --- answers --- */

static int name_at(ns_msg *m, const unsigned char *at, char ret[static DNS_NAME_MAX])
{
        char name[NS_MAXDNAME];

        if (ns_name_uncompress(ns_msg_base(*m), ns_msg_end(*m), at, name, sizeof name) < 0 ||
                strlen(name) >= DNS_NAME_MAX)
                return -EBADMSG;
        strcpy(ret, name);
        return 0;
}

static bool same_name(const char *a, const char *b)
{
        size_t n = strlen(a), m = strlen(b);

        n -= n > 0 && a[n - 1] == '.';
        m -= m > 0 && b[m - 1] == '.';
        return n == m && strncasecmp(a, b, n) == 0;
}

static int add_record(ns_msg *m, const ns_rr *rr, struct dns_answer *a)
{
        if (ns_rr_class(*rr) != ns_c_in)
                return 0;
        if (ns_rr_type(*rr) == ns_t_cname && a->n_aliases < DNS_ALIASES_MAX) {
                int r = name_at(m, ns_rr_rdata(*rr), a->aliases[a->n_aliases]);
                a->n_aliases += r == 0;
                return r;
        }
        if (ns_rr_type(*rr) == ns_t_a && a->n_addresses < DNS_ADDRESSES_MAX) {
                if (ns_rr_rdlen(*rr) != sizeof(struct in_addr))
                        return -EBADMSG;
                memcpy(&a->addresses[a->n_addresses++], ns_rr_rdata(*rr), sizeof(struct in_addr));
        }
        return 0;
}

int dns_parse(const void *packet, size_t len, uint16_t id, const char *host, struct dns_answer *ret)
{
        struct dns_answer a = {0};
        ns_msg m;
        ns_rr rr;

        if (len > DNS_ANSWER_MAX || ns_initparse(packet, (int)len, &m) < 0)
                return -EBADMSG;
        if (ns_msg_id(m) != id || !ns_msg_getflag(m, ns_f_qr) || ns_msg_count(m, ns_s_qd) != 1 ||
                ns_parserr(&m, ns_s_qd, 0, &rr) < 0 || ns_rr_type(rr) != ns_t_a ||
                !same_name(ns_rr_name(rr), host))
                return -EBADMSG;
        a.rcode = ns_msg_getflag(m, ns_f_rcode);
        a.truncated = ns_msg_getflag(m, ns_f_tc);
        for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
                if (ns_parserr(&m, ns_s_an, i, &rr) < 0) {
                        if (a.truncated)
                                break;
                        return -EBADMSG;
                }
                int r = add_record(&m, &rr, &a);
                if (r < 0)
                        return r;
        }
        *ret = a;
        return 0;
}

/* --- asking --- */

static int make_question(const char *host, uint16_t id, unsigned char *out, size_t size)
{
        const HEADER header = {.id = htons(id), .rd = 1, .qdcount = htons(1)};
        unsigned char *p = out + sizeof header;

        int n = ns_name_compress(host, p, size - sizeof header - 4, NULL, NULL);
        if (n <= 1)
                return -EINVAL;
        memcpy(out, &header, sizeof header);
        p += n;
        NS_PUT16(ns_t_a, p);
        NS_PUT16(ns_c_in, p);
        return (int)(p - out);
}

int dns_ask(
        const struct dns_server *s, const char *host, unsigned timeout_ms, struct dns_answer *ret)
{
        unsigned char question[DNS_ANSWER_MAX], answer[DNS_ANSWER_MAX];
        int64_t end = monotonic_ms() + timeout_ms;
        uint16_t id;

        int r = random_bytes(&id, sizeof id);
        int n = r < 0 ? r : make_question(host, id, question, sizeof question);
        if (n < 0)
                return n;
        _cleanup_close_ int fd =
                socket(s->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        /* Connected, so that nobody else's packets come, and refusals do. */
        if (fd < 0 || connect(fd, (const struct sockaddr *)&s->address, s->len) < 0 ||
                send(fd, question, (size_t)n, MSG_NOSIGNAL) < 0)
                return -errno;
        for (;;) {
                struct pollfd p = {.fd = fd, .events = POLLIN};
                int64_t left = end - monotonic_ms();

                if (left <= 0)
                        return -ETIMEDOUT;
                if (poll(&p, 1, (int)left) <= 0)
                        continue;
                ssize_t len = recv(fd, answer, sizeof answer, 0);
                if (len < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                /* What is no answer to us may be a late one, or somebody's guess. */
                if (len >= 2 && memcmp(answer, &(uint16_t){htons(id)}, 2) == 0)
                        return dns_parse(answer, (size_t)len, id, host, ret);
        }
}

bool dns_is_private(const struct sockaddr *address)
{
        if (address->sa_family == AF_INET) {
                struct sockaddr_in v4;

                memcpy(&v4, address, sizeof v4);
                uint32_t a = ntohl(v4.sin_addr.s_addr);

                return a >> 24 == 10 || a >> 24 == 127 || a >> 20 == 0xAC1 || a >> 16 == 0xC0A8 ||
                       a >> 16 == 0xA9FE || a >> 22 == 0x191;
        }
        if (address->sa_family == AF_INET6) {
                struct sockaddr_in6 v6;

                memcpy(&v6, address, sizeof v6);
                return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) ||
                       IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr) ||
                       (v6.sin6_addr.s6_addr[0] & 0xFE) == 0xFC;
        }
        return false;
}
