#include "cli/doctor_host.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "base/wipe.h"
#include "cli/doctor_net.h"
#include "vault/challenge.h"
#include "vault/vault.h"

#define DNS_WAIT_MS 3000
#define SKEW_NOTE 60
#define SKEW_FAIL 300 /* what Entra and TLS put up with */
#define EXPIRY_NOTE ((int64_t)7 * 86400)

/* Where one check stands. */
struct walk {
        const struct doctor_host *h;
        struct doctor_report *r;
        char *host;
        uint16_t port;
        char *proxy, *proxy_name;
};

static void walk_done(struct walk *w)
{
        free(w->host);
        free(w->proxy_name);
        if (w->proxy)
                erase_and_free(w->proxy);
}

/* --- names --- */

static bool is_numeric(const char *host)
{
        struct in6_addr a;

        return inet_pton(AF_INET, host, &a) == 1 || inet_pton(AF_INET6, host, &a) == 1;
}

/* Of no DNS server's business. */
static bool is_local_name(const char *host)
{
        return is_numeric(host) || doctor_is_localhost(host);
}

static void format_answer(const struct dns_answer *a, char *out, size_t size)
{
        size_t n = 0;

        out[0] = '\0';
        for (size_t i = 0; i < a->n_aliases && n < size; i++)
                n += (size_t)snprintf(out + n, size - n, "is %s, ", a->aliases[i]);
        for (size_t i = 0; i < a->n_addresses && n < size; i++) {
                const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = a->addresses[i]};
                char text[INET_ADDRSTRLEN] = "";

                (void)inet_ntop(AF_INET, &a->addresses[i], text, sizeof text);
                n += (size_t)snprintf(out + n, size - n, "%s%s (%s)", i ? ", " : "", text,
                        dns_is_private((const struct sockaddr *)&in) ? "private" : "public");
        }
        if (a->n_addresses == 0 && n < size)
                snprintf(out + n, size - n, "no IPv4 address");
}

static bool is_private_link(const struct dns_answer *a)
{
        for (size_t i = 0; i < a->n_aliases; i++)
                if (strcasestr(a->aliases[i], ".privatelink."))
                        return true;
        return false;
}

static bool has_public_address(const struct dns_answer *a)
{
        for (size_t i = 0; i < a->n_addresses; i++) {
                const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = a->addresses[i]};
                if (!dns_is_private((const struct sockaddr *)&in))
                        return true;
        }
        return false;
}

static void ask_server(const struct walk *w, const struct dns_server *s)
{
        static const char *const rcodes[] = {"no error", "format error", "server failure",
                "no such name (NXDOMAIN)", "unknown operation (NOTIMP)", "refused"};
        char subject[DNS_SERVER_LEN + 16], text[1024], server[DNS_SERVER_LEN];
        struct dns_answer a;

        snprintf(subject, sizeof subject, "resolver %s", dns_server_format(s, server));
        int r = dns_ask(s, w->host, DNS_WAIT_MS, &a);
        if (r < 0) {
                doctor_say(w->r, DOCTOR_DNS, DOCTOR_NOTE, subject,
                        r == -ETIMEDOUT ? "it does not answer: is it the right one, and is port 53 "
                                          "open?"
                                        : NULL,
                        "%s: %s", w->host, strerror(-r));
                return;
        }
        if (a.rcode != 0) {
                doctor_say(w->r, DOCTOR_DNS, DOCTOR_NOTE, subject, NULL, "%s: %s", w->host,
                        (size_t)a.rcode < ELEMENTSOF(rcodes) ? rcodes[a.rcode] : "an error");
                return;
        }
        format_answer(&a, text, sizeof text);
        if (is_private_link(&a) && has_public_address(&a))
                doctor_say(w->r, DOCTOR_DNS, DOCTOR_NOTE, subject,
                        "the vault has a private endpoint, and this resolver does not know it: link "
                        "the private DNS zone privatelink.vaultcore.azure.net to this network",
                        "%s %s, through privatelink", w->host, text);
        else
                doctor_say(w->r, DOCTOR_DNS, DOCTOR_OK, subject, NULL, "%s %s%s%s", w->host, text,
                        is_private_link(&a) ? ", through privatelink" : "",
                        a.truncated ? " (and more)" : "");
}

static bool check_name(const struct walk *w)
{
        _cleanup_err_ struct err e = {0};
        struct doctor_addresses a;
        char text[DOCTOR_ADDRESSES_MAX * 80] = "";
        size_t n = 0;

        int r = doctor_resolve(w->host, &a, &e);
        if (r < 0) {
                err_hint(&e, "check keyvaultName and cloudName, then: getent hosts %s", w->host);
                if (w->proxy)
                        doctor_say(w->r, DOCTOR_DNS, DOCTOR_NOTE, w->h->url,
                                "the proxy looks it up, so this may be as it should", "%s",
                                err_text(&e));
                else
                        doctor_fail(w->r, DOCTOR_DNS, w->h->url, &e);
        } else {
                for (size_t i = 0; i < a.n && n < sizeof text; i++)
                        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s (%s)", i ? ", " : "",
                                a.text[i], a.private[i] ? "private" : "public");
                doctor_say(w->r, DOCTOR_DNS, DOCTOR_OK, w->h->url, NULL, "%s is %s", w->host, text);
        }
        for (size_t i = 0; i < w->h->n_servers && !is_local_name(w->host); i++)
                ask_server(w, &w->h->servers[i]);
        return r == 0 || w->proxy;
}

/* --- TCP and TLS --- */

static void check_certificate(const struct walk *w, const struct doctor_tls *tls)
{
        int64_t left = tls->not_after - (int64_t)time(NULL);

        doctor_say(w->r, DOCTOR_TLS, left < EXPIRY_NOTE ? DOCTOR_NOTE : DOCTOR_OK, w->h->url, NULL,
                "%s, %s, issued by %s, good for %lld days", tls->version,
                *tls->subject ? tls->subject : "(no subject)", tls->issuer,
                (long long)(left / 86400));
}

static void hint_tls(const struct walk *w, const struct doctor_tls *tls, struct err *e)
{
        int64_t now = time(NULL);

        if (*tls->issuer && (now < tls->not_before || now > tls->not_after))
                err_hint(e,
                        "is this machine's clock right (date -u)? the certificate is good from "
                        "%lld to %lld seconds of the epoch, and it is %lld",
                        (long long)tls->not_before, (long long)tls->not_after, (long long)now);
        else if (*tls->issuer)
                err_hint(e,
                        "somebody between here and the vault looks into TLS, or the vault's own "
                        "authority is not known here: give the certificate of \"%s\" with --ca-file",
                        tls->issuer);
        else
                err_hint(e,
                        "something else than a vault answers on %s port %u: a proxy, a "
                        "firewall, or another service",
                        w->host, w->port);
}

static bool check_connection(const struct walk *w)
{
        const struct doctor_target t = {
                .host = w->host, .port = w->port, .proxy = w->proxy, .ca_pem = w->h->ca_pem};
        _cleanup_err_ struct err e = {0};
        struct doctor_tls tls;
        char peer[64] = "";

        _cleanup_close_ int fd = doctor_connect(&t, peer, &e);
        if (fd < 0) {
                if (w->proxy)
                        err_hint(&e,
                                "no_proxy=%s keeps the vault out of the proxy; else the proxy has "
                                "to allow CONNECT to it",
                                w->host);
                else
                        err_hint(&e,
                                "a firewall, a network security group or a route is in the "
                                "way: outgoing TCP to port %u has to be open",
                                w->port);
                doctor_fail(w->r, w->proxy ? DOCTOR_PROXY : DOCTOR_TCP, w->h->url, &e);
                return false;
        }
        doctor_say(w->r, DOCTOR_TCP, DOCTOR_OK, w->h->url, NULL, "%s answers%s%s", peer,
                w->proxy ? ", the proxy " : "", w->proxy ? w->proxy_name : "");
        if (doctor_handshake(&t, fd, &tls, &e) < 0) {
                hint_tls(w, &tls, &e);
                doctor_fail(w->r, DOCTOR_TLS, w->h->url, &e);
                return false;
        }
        check_certificate(w, &tls);
        return true;
}

/* --- what answers --- */

struct answer {
        const struct walk *walk;
        struct doctor_host_result *result;
        bool done;
};

static void check_clock(const struct walk *w, const struct http_response *resp)
{
        const char *date = http_header(resp, "Date");
        struct tm tm = {0};

        /* The C locale's names, which are HTTP's (RFC 9110 section 5.6.7). */
        if (!date || !strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm)) {
                doctor_say(
                        w->r, DOCTOR_CLOCK, DOCTOR_SKIP, w->h->url, NULL, "the answer has no date");
                return;
        }
        long long skew = (long long)time(NULL) - (long long)timegm(&tm);
        long long apart = skew < 0 ? -skew : skew;
        doctor_say(w->r, DOCTOR_CLOCK,
                apart > SKEW_FAIL   ? DOCTOR_FAIL
                : apart > SKEW_NOTE ? DOCTOR_NOTE
                                    : DOCTOR_OK,
                w->h->url,
                apart > SKEW_NOTE
                        ? "set this machine's clock (timedatectl set-ntp true): tokens and "
                          "certificates go by it"
                        : NULL,
                "this machine's clock is %lld s %s the vault's", apart,
                skew < 0 ? "behind" : "ahead of");
}

/* "conn_type=Ipv4;addr=1.2.3.4;act_addr_fam=InterNetwork;", of which older services leave the first
 * out. */
static void network_word(const char *info, const char *key, char *out, size_t size)
{
        const char *p = info ? strstr(info, key) : NULL;
        size_t n = p ? strcspn(p + strlen(key), ";") : 0;

        snprintf(out, size, "%.*s", (int)MIN(n, size - 1), p ? p + strlen(key) : "");
}

static void on_answer(void *userdata, struct http_response *resp)
{
        struct answer *a = userdata;
        const struct walk *w = a->walk;
        _cleanup_(challenge_done) struct challenge c = {0};
        const char *header = http_header(resp, "WWW-Authenticate"), *tenant = NULL;
        char type[32], from[64];

        a->done = true;
        if (resp->status == 0) {
                doctor_fail(w->r, DOCTOR_VAULT, w->h->url, &resp->error);
                return;
        }
        check_clock(w, resp);
        if (resp->status != 401 || !header || challenge_parse(header, &c) < 0) {
                doctor_say(w->r, DOCTOR_VAULT, DOCTOR_FAIL, w->h->url,
                        "something between here and the vault answers (a proxy, a captive portal), "
                        "or --vault-url names another service",
                        "a vault asks for a token, and this answered with status %d", resp->status);
                return;
        }
        tenant = challenge_tenant(&c);
        snprintf(a->result->tenant, sizeof a->result->tenant, "%s", tenant ? tenant : "");
        const char *info = http_header(resp, "x-ms-keyvault-network-info");
        network_word(info, "conn_type=", type, sizeof type);
        network_word(info, "addr=", from, sizeof from);
        a->result->reachable = true;
        doctor_say(w->r, DOCTOR_VAULT, DOCTOR_OK, w->h->url, NULL,
                "it answers%s%s%s%s, and asks for tokens for %s%s%s",
                *type ? ", was reached by " : "", type, *from ? ", sees this machine as " : "",
                from, c.scope, tenant ? " of tenant " : "", tenant ? tenant : "");
}

static void check_vault(const struct walk *w, struct doctor_host_result *result)
{
        struct answer a = {.walk = w, .result = result};
        const struct http_endpoint endpoint = {.ca_file = w->h->ca_file, .ca_pem = w->h->ca_pem};
        _cleanup_free_ char *url = NULL;
        _cleanup_err_ struct err e = {0};

        int r = xasprintf(&url, "%s/secrets?api-version=" VAULT_API_VERSION, w->h->url);
        const struct http_request q = {.method = "GET", .url = url, .endpoint = &endpoint};
        if (r == 0)
                r = http_send(w->h->http, &q, on_answer, &a, NULL, &e);
        else
                err_set(&e, r, "out of memory");
        while (r >= 0 && !a.done)
                r = loop_turn(w->h->loop, USEC_INFINITY);
        if (r < 0) {
                if (!e.code)
                        err_set(&e, r, "the event loop failed: %s", strerror(-r));
                doctor_fail(w->r, DOCTOR_VAULT, w->h->url, &e);
        }
}

static void skip(const struct walk *w, enum doctor_check from)
{
        for (unsigned c = from; c <= DOCTOR_VAULT; c++)
                doctor_say(w->r, (enum doctor_check)c, DOCTOR_SKIP, w->h->url, NULL,
                        "not looked at, for what failed above");
}

void doctor_host_check(
        const struct doctor_host *h, struct doctor_report *r, struct doctor_host_result *ret)
{
        _cleanup_(walk_done) struct walk w = {.h = h, .r = r};

        *ret = (struct doctor_host_result){0};
        int e = doctor_split_url(h->url, &w.host, &w.port);
        if (e == 0)
                e = http_proxy_for("https", w.host, NULL, &w.proxy);
        if (e == 0 && w.proxy)
                e = http_proxy_name(w.proxy, &w.proxy_name);
        if (e < 0) {
                doctor_say(r, DOCTOR_DNS, DOCTOR_FAIL, h->url, NULL, "%s", strerror(-e));
                return;
        }
        if (!check_name(&w)) {
                skip(&w, DOCTOR_PROXY);
                return;
        }
        if (w.proxy)
                doctor_say(r, DOCTOR_PROXY, DOCTOR_NOTE, h->url, NULL,
                        "requests go through %s (https_proxy, no_proxy)", w.proxy_name);
        else
                doctor_say(r, DOCTOR_PROXY, DOCTOR_OK, h->url, NULL, "none is in the way");
        if (!check_connection(&w)) {
                skip(&w, DOCTOR_CLOCK);
                return;
        }
        check_vault(&w, ret);
}
