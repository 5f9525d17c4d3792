/* `akvfs doctor CLASS.yaml`: what the troubleshooting guides make people do by hand, a line each.
 */
#include <stdio.h>
#include <strings.h>

#include "auth/jwt.h"
#include "base/wipe.h"
#include "cli/class_file.h"
#include "cli/cli.h"
#include "cli/doctor_host.h"
#include "cli/doctor_objects.h"
#include "cli/hygiene.h"
#include "cli/words.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_CONF_MAX ((size_t)64 << 10)

static const char help[] =
        "akvfs doctor CLASS.yaml [--json] [OPTIONS]\n"
        "\n"
        "Walks the way from here to each object of a class and says of each step whether it is well,\n"
        "and what to do where it is not: the class, the identity, the vault's name (by each\n"
        "resolver), a proxy, TCP, TLS, the clock, the vault, the token, and a look at each object.\n"
        "Mounts nothing and shows no value. CLASS.yaml may be - for standard input.\n"
        "\n"
        "  --json                     one JSON document instead of lines: {\"class\",\"ok\",\"status\",\n"
        "                             \"checks\":[{\"check\",\"state\",\"subject\",\"text\",\"hint\"}]}\n"
        "  --resolver ADDRESS[:PORT]  the DNS server to ask, instead of those of /etc/resolv.conf\n";

static const char help_examples[] =
        "\n"
        "Exit status: 0 all is well, 1 it could not look, 2 wrong use; else what failed first:\n"
        "10 class, 11 identity, 12 dns, 13 proxy, 14 tcp, 15 tls, 16 clock, 17 vault, 18 token,\n"
        "19 object.\n"
        "\n"
        "Examples:\n"
        "  akvfs doctor class.yaml\n"
        "  akvfs doctor class.yaml --json | jq '.checks[] | select(.state == \"fail\")'\n";

struct doctor {
        struct doctor_report report;
        struct spc_class *class;
        struct dns_server servers[DNS_SERVERS_MAX];
        size_t n_servers;
        struct direct way;
};

static void doctor_done(struct doctor *d)
{
        direct_done(&d->way);
        spc_class_free(d->class);
}

static void warn(const char *text)
{
        cli_warn("doctor", "%s", text);
}

/* --- class and identity --- */

static bool check_class(struct doctor *d, const char *path, const char *name)
{
        struct cli_findings f = {0};

        if (cli_load_class_to(stderr, path, name, &d->class, &f) < 0) {
                doctor_say(&d->report, DOCTOR_CLASS, DOCTOR_FAIL, path, "akvfs check says the same",
                        "it cannot be used: %zu errors", f.errors);
                return false;
        }
        doctor_say(&d->report, DOCTOR_CLASS, f.warnings ? DOCTOR_NOTE : DOCTOR_OK, path, NULL,
                "%s: vault %s, %zu objects, %zu selectors, %zu warnings",
                *d->class->name ? d->class->name : "(no name)", d->class->vault,
                d->class->n_objects, d->class->n_selectors, f.warnings);
        return true;
}

static bool check_identity(struct doctor *d, struct options *o)
{
        _cleanup_err_ struct err e = {0};

        int r = direct_resolve(d->class, o, warn, &d->way, &e);
        if (r == 0)
                r = identity_read_ca(&d->way.identity, &e);
        if (r == 0)
                r = direct_open(&d->way, &e);
        if (r < 0) {
                doctor_fail(&d->report, DOCTOR_IDENTITY, NULL, &e);
                return false;
        }
        doctor_say(&d->report, DOCTOR_IDENTITY, DOCTOR_OK, NULL, NULL, "%s",
                auth_describe(vault_auth(d->way.vault)));
        return true;
}

/* --- the vaults --- */

static bool check_hosts(struct doctor *d, char *ret_tenant, size_t size)
{
        const struct vault_set *others = &d->way.others;
        bool all = true;

        for (size_t i = 0; i <= others->n; i++) {
                const struct vault *v = i == 0 ? d->way.vault : others->list[i - 1].vault;
                const struct doctor_host h = {.url = vault_url(v),
                        .ca_pem = d->way.identity.ca_pem,
                        .ca_file = d->way.identity.ca_file,
                        .servers = d->servers,
                        .n_servers = d->n_servers,
                        .loop = d->way.loop,
                        .http = d->way.http};
                struct doctor_host_result result;

                doctor_host_check(&h, &d->report, &result);
                all = all && result.reachable;
                if (i == 0)
                        snprintf(ret_tenant, size, "%s", result.tenant);
        }
        return all;
}

/* --- the token --- */

struct wait {
        struct doctor *d;
        const char *tenant;
        bool done, good;
};

/* A word of the token's line, if the token has it: none but `aud` is in every issuer's. */
static void add_claim(char *out, size_t size, const char *what, const char *claim)
{
        size_t n = strlen(out);

        if (*claim)
                snprintf(out + n, size - n, "%s %s, ", what, claim);
}

static void tell_claims(struct wait *w, const struct auth_token *token)
{
        struct doctor_report *r = &w->d->report;
        long long left = (long long)(token->expires_at - loop_wall(w->d->way.loop)) / 60;
        char text[4 * (JWT_TEXT_MAX + 16)] = "";
        struct jwt_claims c;

        if (jwt_read_claims(sec_bytes(token->token), sec_len(token->token), &c) < 0) {
                doctor_say(r, DOCTOR_TOKEN, DOCTOR_OK, NULL, NULL,
                        "one came, good for %lld minutes; it does not say for whom", left);
                return;
        }
        if (*w->tenant && *c.tid && strcasecmp(w->tenant, c.tid) != 0) {
                _cleanup_err_ struct err e = {0};

                err_set_cause(&e, ERR_AUTH, -EACCES,
                        "it is of tenant %s, and the vault belongs to tenant %s", c.tid, w->tenant);
                err_hint(&e, "set tenantID: %s, and use an identity of that tenant", w->tenant);
                doctor_fail(r, DOCTOR_TOKEN, NULL, &e);
                return;
        }
        add_claim(text, sizeof text, "audience", c.aud);
        add_claim(text, sizeof text, "application", c.app);
        add_claim(text, sizeof text, "object id", c.oid);
        add_claim(text, sizeof text, "tenant", c.tid);
        doctor_say(r, DOCTOR_TOKEN, DOCTOR_OK, NULL, NULL, "%sgood for %lld minutes", text, left);
}

static void on_token(void *userdata, const struct auth_token *token, const struct err *error)
{
        struct wait *w = userdata;

        w->done = true;
        w->good = token && token->token;
        if (w->good)
                tell_claims(w, token);
        else if (error)
                doctor_fail(&w->d->report, DOCTOR_TOKEN, NULL, error);
}

static bool check_token(struct doctor *d, const char *tenant)
{
        struct wait w = {.d = d, .tenant = tenant};
        struct auth_wait *waiting = NULL;

        int r = auth_get_token(
                vault_auth(d->way.vault), d->way.identity.scope, on_token, &w, &waiting);
        while (r >= 0 && !w.done)
                r = loop_turn(d->way.loop, USEC_INFINITY);
        if (r < 0)
                doctor_say(&d->report, DOCTOR_TOKEN, DOCTOR_FAIL, NULL, NULL, "%s", strerror(-r));
        if (!w.done)
                auth_cancel(waiting); /* it points to what ends here */
        return w.good;
}

/* --- the command --- */

static void walk(struct doctor *d, const char *path, struct options *o)
{
        char tenant[128] = "";

        if (!check_class(d, path, o->class_name) || !check_identity(d, o))
                return;
        bool reachable = check_hosts(d, tenant, sizeof tenant);
        bool token = check_token(d, tenant);
        if (reachable && token)
                doctor_check_objects(&d->way, d->class, &d->report);
        else
                doctor_say(&d->report, DOCTOR_OBJECT, DOCTOR_SKIP, NULL, NULL,
                        "not looked at, for what failed above");
}

/* A machine without the file has one server, on itself, as resolv.conf(5) says. */
static int find_servers(struct doctor *d, const char *resolver, struct err *e)
{
        _cleanup_free_ char *text = NULL;
        size_t len = 0;

        if (resolver) {
                if (dns_server_parse(resolver, &d->servers[0]) < 0)
                        return err_set_cause(e, ERR_USAGE, -EINVAL,
                                "--resolver %s is no address such as 10.0.0.10 or [::1]:5353",
                                resolver);
                d->n_servers = 1;
                return 0;
        }
        int r = read_whole_file(RESOLV_CONF, RESOLV_CONF_MAX, &text, &len);
        d->n_servers = dns_servers(
                r == 0 ? text : "nameserver 127.0.0.1", d->servers, ELEMENTSOF(d->servers));
        return 0;
}

static int doctor(const char *path, struct options *o, const char *resolver, bool json)
{
        _cleanup_(doctor_done) struct doctor d = {.way = DIRECT_NONE};
        _cleanup_err_ struct err e = {0};

        int r = hygiene_protect();
        if (r == 0)
                r = wipe_install();
        if (r == 0)
                r = doctor_report_begin(&d.report, json);
        if (r < 0)
                return cli_fail(
                        "doctor", (err_set(&e, r, "could not start: %s", strerror(-r)), &e));
        r = find_servers(&d, resolver, &e);
        if (r < 0)
                return cli_usage("doctor", &e);
        walk(&d, path, o);
        return doctor_report_end(&d.report, d.class ? d.class->name : "");
}

int cli_doctor(int argc, char **argv)
{
        _cleanup_(options_done) struct options o;
        _cleanup_err_ struct err e = {0};
        const char *path = NULL, *value = NULL, *resolver = NULL;
        struct words words;
        struct word table[40];
        bool json = false;
        size_t n = 0;
        int id = 0, r;

        const struct word *endpoints = options_words(true, &n);
        memcpy(table, endpoints, n * sizeof *table);
        table[n++] = (struct word){"help", 'h', false, 'h'};
        table[n++] = (struct word){"json", 0, false, 'j'};
        table[n++] = (struct word){"resolver", 0, true, 'r'};
        table[n++] = (struct word){NULL, 'o', true, 'o'};

        options_init(&o);
        log_set_level(LOG_ERROR);
        words_init(&words, argc, argv);
        while ((r = words_next(&words, table, n, &id, &value, &e)) > 0) {
                if (id == 'h') {
                        printf("%s\n%s%s", help, options_help_endpoints, help_examples);
                        return cli_finish_output("doctor");
                }
                if (id == 'j')
                        json = true;
                else if (id == 'r')
                        resolver = value;
                else if (id == 'o')
                        r = options_parse(&o, value, false, &e);
                else if (id != WORD_PLAIN)
                        r = options_set_word(&o, id, value, &e);
                else if (!path)
                        path = value;
                else
                        r = err_set_cause(
                                &e, ERR_USAGE, -EINVAL, "word %s was not expected", value);
                if (r < 0)
                        break;
        }
        if (r == 0 && !path)
                r = err_set_cause(&e, ERR_USAGE, -EINVAL, "which CLASS.yaml?");
        if (r < 0)
                return cli_usage("doctor", &e);
        return doctor(path, &o, resolver, json);
}
