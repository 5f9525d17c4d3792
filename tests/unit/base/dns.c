#include "base/dns.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

#define HOST "v.vault.azure.net"
#define QNAME "\1v\5vault\5azure\3net\0"
#define QUESTION QNAME "\0\1\0\1"
/* id 0x1234, QR RD RA, one question */
#define HEAD(flags, answers) "\x12\x34\x81" flags "\0\1\0" answers "\0\0\0\0"

static int parse(const char *packet, size_t len, struct dns_answer *a)
{
        return dns_parse(packet, len, 0x1234, HOST, a);
}
#define PARSE(packet, a) parse(packet, sizeof(packet) - 1, a)

#define A1 "\xC0\x0C\0\1\0\1\0\0\0\x3C\0\4\12\1\2\3"

Test(dns, names_and_addresses_in_order)
{
        struct dns_answer a;

        cr_assert_eq(PARSE(HEAD("\x80", "\2") QUESTION
                             "\xC0\x0C\0\5\0\1\0\0\0\x3C\0\x0E\1v\13privatelink\0"
                             "\xC0\x0C\0\1\0\1\0\0\0\x3C\0\4\12\1\2\3",
                             &a),
                -EBADMSG, "a length that does not fit");
        cr_assert_eq(PARSE(HEAD("\x80", "\2") QUESTION
                             "\xC0\x0C\0\5\0\1\0\0\0\x3C\0\x0F\1v\13privatelink\0"
                             "\xC0\x2F\0\1\0\1\0\0\0\x3C\0\4\12\1\2\3",
                             &a),
                0);
        cr_assert_eq(a.n_aliases, 1);
        cr_expect_str_eq(a.aliases[0], "v.privatelink");
        cr_assert_eq(a.n_addresses, 1);
        cr_expect_eq(ntohl(a.addresses[0].s_addr), 0x0A010203);
        cr_expect_eq(a.rcode, 0);
        cr_expect_not(a.truncated);
}

Test(dns, what_went_wrong_is_told)
{
        struct dns_answer a;

        cr_assert_eq(PARSE(HEAD("\x83", "\0") QUESTION, &a), 0);
        cr_expect_eq(a.rcode, 3);
        cr_expect_eq(a.n_addresses, 0);
        cr_assert_eq(PARSE("\x12\x34\x83\x80\0\1\0\1\0\0\0\0" QUESTION, &a), -EBADMSG);
}

Test(dns, what_is_no_answer_to_us_is_refused)
{
        struct dns_answer a;

        cr_expect_eq(PARSE("", &a), -EBADMSG);
        cr_expect_eq(PARSE("\x12\x34", &a), -EBADMSG);
        cr_expect_eq(PARSE("\x12\x35\x81\x80\0\1\0\0\0\0\0\0" QUESTION, &a), -EBADMSG, "id");
        cr_expect_eq(
                PARSE("\x12\x34\x01\x80\0\1\0\0\0\0\0\0" QUESTION, &a), -EBADMSG, "a question");
        cr_expect_eq(PARSE("\x12\x34\x81\x80\0\0\0\0\0\0\0\0", &a), -EBADMSG, "of nothing");
        cr_expect_eq(PARSE(HEAD("\x80", "\0") "\1w\5vault\5azure\3net\0\0\1\0\1", &a), -EBADMSG,
                "of another name");
        cr_expect_eq(PARSE(HEAD("\x80", "\1") QUESTION A1, &a), 0);
        cr_expect_eq(PARSE(HEAD("\x80", "\1") QUESTION "\xC0\x0C\0\1\0\1\0\0\0\x3C\0\3\12\1\2", &a),
                -EBADMSG, "an address of three bytes");
        cr_expect_eq(
                PARSE(HEAD("\x80", "\1") QUESTION "\xC0\x0C\0\5\0\1\0\0\0\x3C\0\2\xC0\x2F", &a),
                -EBADMSG, "a name that points to itself");
}

Test(dns, more_than_can_be_told_is_left_out)
{
        unsigned char packet[DNS_ANSWER_MAX];
        static const char record[] = "\xC0\x0C\0\1\0\1\0\0\0\x3C\0\4\12\1\2\3";
        size_t len = sizeof(HEAD("\x80", "\0") QUESTION) - 1;
        struct dns_answer a;

        memcpy(packet, HEAD("\x80", "\0") QUESTION, len);
        packet[7] = 25;
        for (int i = 0; i < 25; i++, len += sizeof record - 1)
                memcpy(packet + len, record, sizeof record - 1);
        cr_assert_leq(len, sizeof packet);
        cr_assert_eq(dns_parse(packet, len, 0x1234, HOST, &a), 0);
        cr_expect_eq(a.n_addresses, DNS_ADDRESSES_MAX);
}

Test(dns, servers_of_resolv_conf)
{
        struct dns_server s[DNS_SERVERS_MAX];
        char text[DNS_SERVER_LEN];

        size_t n =
                dns_servers("# nameserver 9.9.9.9\nsearch example\nnameserver 10.0.0.10\n"
                            "nameserver\t fd00::1\noptions ndots:5\nnameserver fe80::1%eth0\n"
                            "nameserver name.example\nnameservers 1.1.1.1\nnameserver 127.0.0.53",
                        s, DNS_SERVERS_MAX);
        cr_assert_eq(n, 4);
        cr_expect_str_eq(dns_server_format(&s[0], text), "10.0.0.10");
        cr_expect_str_eq(dns_server_format(&s[1], text), "fd00::1");
        cr_expect_str_eq(dns_server_format(&s[3], text), "127.0.0.53");
        cr_expect_eq(dns_servers("nameserver 1.1.1.1\nnameserver 2.2.2.2\n", s, 1), 1);
}

Test(dns, servers_by_hand)
{
        static const struct {
                const char *text, *want;
        } cases[] = {
                {"127.0.0.1", "127.0.0.1"},
                {"127.0.0.1:5353", "127.0.0.1:5353"},
                {"::1", "::1"},
                {"[::1]:5353", "[::1]:5353"},
                {"[::1]", "::1"},
                {"", NULL},
                {"name.example", NULL},
                {"127.0.0.1:0", NULL},
                {"127.0.0.1:65536", NULL},
                {"[::1]x", NULL},
                {"[::1", NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct dns_server s;
                char text[DNS_SERVER_LEN];
                int r = dns_server_parse(cases[i].text, &s);

                cr_expect_eq(r, cases[i].want ? 0 : -EINVAL, "%s", cases[i].text);
                if (r == 0)
                        cr_expect_str_eq(dns_server_format(&s, text), cases[i].want);
        }
}

Test(dns, private_addresses)
{
        static const struct {
                const char *text;
                bool want;
        } cases[] = {
                {"10.1.2.3", true},
                {"172.16.0.1", true},
                {"172.31.255.255", true},
                {"172.32.0.1", false},
                {"192.168.1.1", true},
                {"100.64.0.1", true},
                {"100.128.0.1", false},
                {"127.0.0.1", true},
                {"169.254.169.254", true},
                {"20.61.190.5", false},
                {"::1", true},
                {"fd00::1", true},
                {"fe80::1", true},
                {"2603:1030::1", false},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct dns_server s;
                cr_assert_eq(dns_server_parse(cases[i].text, &s), 0);
                cr_expect_eq(dns_is_private((const struct sockaddr *)&s.address), cases[i].want,
                        "%s", cases[i].text);
        }
}

/* --- a server --- */

static struct dns_server listening(int *ret_fd)
{
        struct dns_server s;
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t len = sizeof a;

        *ret_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(bind(*ret_fd, (struct sockaddr *)&a, sizeof a), 0);
        cr_assert_eq(getsockname(*ret_fd, (struct sockaddr *)&a, &len), 0);
        s = (struct dns_server){.len = sizeof a};
        memcpy(&s.address, &a, sizeof a);
        return s;
}

/* First somebody's guess with another id, then the answer. */
static void *answer(void *userdata)
{
        int fd = *(int *)userdata;
        unsigned char packet[DNS_ANSWER_MAX];
        struct sockaddr_storage from;
        socklen_t len = sizeof from;

        ssize_t n = recvfrom(fd, packet, 256, 0, (struct sockaddr *)&from, &len);
        if (n < 0)
                return NULL;
        packet[2] |= 0x80;
        packet[7] = 1;
        memcpy(packet + n, A1, sizeof A1 - 1);
        packet[0] ^= 1;
        (void)sendto(fd, packet, (size_t)n + sizeof A1 - 1, 0, (struct sockaddr *)&from, len);
        packet[0] ^= 1;
        (void)sendto(fd, packet, (size_t)n + sizeof A1 - 1, 0, (struct sockaddr *)&from, len);
        return NULL;
}

Test(dns, asks_a_server, .timeout = 30)
{
        int fd;
        struct dns_server s = listening(&fd);
        struct dns_answer a;
        pthread_t thread;

        cr_assert_eq(pthread_create(&thread, NULL, answer, &fd), 0);
        cr_assert_eq(dns_ask(&s, HOST, 20000, &a), 0);
        pthread_join(thread, NULL);
        cr_expect_eq(a.n_addresses, 1);
        close(fd);
}

Test(dns, a_server_that_is_silent_or_not_there, .timeout = 30)
{
        int fd;
        struct dns_server s = listening(&fd);
        struct dns_answer a;

        cr_expect_eq(dns_ask(&s, HOST, 50, &a), -ETIMEDOUT);
        close(fd);
        cr_expect_eq(dns_ask(&s, HOST, 20000, &a), -ECONNREFUSED);
        cr_expect_eq(dns_ask(&s, "", 50, &a), -EINVAL);
        cr_expect_eq(dns_ask(&s, "a..b", 50, &a), -EINVAL);
}
