/* akv-emulator: Azure Key Vault, Entra's token endpoint and IMDS on this machine. */

#include <fcntl.h>
#include <getopt.h>
#include <openssl/provider.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/wipe.h"
#include "tests/emulator/faults.h"
#include "tests/emulator/load.h"
#include "tests/emulator/reqlog.h"
#include "tests/emulator/server.h"

#define DEFAULT_CA_FILE "akv-emulator-ca.pem"
#define MORE_NAMES_MAX 32

const struct settings default_settings = {
        .token_lifetime = 3600,
        .imds_lifetime = 86400,
        .page_size = 25,
};

struct options {
        const char *address;
        unsigned short https_port, imds_port, admin_port;
        bool imds, admin, defaults;
        const char *ca_out, *load, *port_file, *authority;
        int ready_fd;
        struct tls_config tls;
        const char *names[MORE_NAMES_MAX + 1];
        size_t n_names;
};

static const char help[] =
        "Usage: akv-emulator [OPTION...]\n"
        "\n"
        "Azure Key Vault, Entra's token endpoint and a VM's metadata service on this machine, for\n"
        "tests and for trying akvfs without Azure. Everything is kept in memory.\n"
        "\n"
        "Where it listens (on the loopback unless told otherwise; port 0 takes a free one):\n"
        "  --port PORT          HTTPS: vaults and Entra (default 8443)\n"
        "  --imds-port PORT     plain HTTP: the metadata service (default 8444; none: off)\n"
        "  --admin-port PORT    plain HTTP, always on 127.0.0.1: /_emulator/ (default 8445; none: "
        "off)\n"
        "  --listen ADDRESS     numeric address of HTTPS and metadata service\n"
        "\n"
        "TLS:\n"
        "  --ca-out FILE        where the certificate of its throw-away authority goes, made anew at\n"
        "                       every start (default " DEFAULT_CA_FILE ")\n"
        "  --san NAME           one more host name for the server certificate; may be repeated\n"
        "  --cert-name NAME     a server certificate for this name and no other\n"
        "  --bad-cert WHAT      wrong-host, expired, not-yet-valid or unknown-ca\n"
        "\n"
        "State:\n"
        "  --load DIR           secrets/, keys/, certificates/, vaults/, identities.json\n"
        "  --no-defaults        begin without the tenant, identities and vault below\n"
        "  --authority URL      what a vault's 401 names as authority (default\n"
        "                       https://localhost:PORT)\n"
        "\n"
        "Others:\n"
        "  --port-file FILE     once it listens, addresses and defaults as JSON\n"
        "  --ready-fd FD        the same, written to a descriptor that is closed then\n"
        "  --verbose            log more on standard error\n"
        "  --version, --help\n"
        "\n"
        "Made at start, usable at once (none of it is real):\n"
        "  vault                " DEFAULT_VAULT "\n"
        "  tenant               " DEFAULT_TENANT "\n"
        "  client id            " DEFAULT_CLIENT_ID "\n"
        "  client secret        " DEFAULT_CLIENT_SECRET "\n"
        "  VM's own identity    " DEFAULT_SYSTEM_IDENTITY "\n"
        "  user-assigned one    " DEFAULT_USER_IDENTITY "\n"
        "\n"
        "A first try:\n"
        "  akv-emulator &\n"
        "  curl -X PUT http://127.0.0.1:8445/_emulator/vaults/demo/secrets/greeting \\\n"
        "       -d '{\"value\": \"hello\"}'\n"
        "  TOKEN=$(curl -s --cacert " DEFAULT_CA_FILE " \\\n"
        "       https://localhost:8443/" DEFAULT_TENANT "/oauth2/v2.0/token \\\n"
        "       -d grant_type=client_credentials -d client_id=" DEFAULT_CLIENT_ID " \\\n"
        "       -d client_secret=" DEFAULT_CLIENT_SECRET " \\\n"
        "       -d scope=https://vault.azure.net/.default | jq -r .access_token)\n"
        "  curl --cacert " DEFAULT_CA_FILE " -H \"Authorization: Bearer $TOKEN\" \\\n"
        "       'https://localhost:8443/vaults/demo/secrets/greeting?api-version=7.4'\n"
        "\n"
        "tests/emulator/README.md has the rest: the admin interface, faults, the request log.\n";

/* --- options --- */

enum option_id {
        OPT_PORT = 256,
        OPT_IMDS_PORT,
        OPT_ADMIN_PORT,
        OPT_LISTEN,
        OPT_CA_OUT,
        OPT_SAN,
        OPT_CERT_NAME,
        OPT_BAD_CERT,
        OPT_LOAD,
        OPT_NO_DEFAULTS,
        OPT_AUTHORITY,
        OPT_PORT_FILE,
        OPT_READY_FD,
        OPT_VERBOSE,
        OPT_VERSION,
        OPT_HELP,
};

static const struct option long_options[] = {
        {"port", required_argument, NULL, OPT_PORT},
        {"imds-port", required_argument, NULL, OPT_IMDS_PORT},
        {"admin-port", required_argument, NULL, OPT_ADMIN_PORT},
        {"listen", required_argument, NULL, OPT_LISTEN},
        {"ca-out", required_argument, NULL, OPT_CA_OUT},
        {"san", required_argument, NULL, OPT_SAN},
        {"cert-name", required_argument, NULL, OPT_CERT_NAME},
        {"bad-cert", required_argument, NULL, OPT_BAD_CERT},
        {"load", required_argument, NULL, OPT_LOAD},
        {"no-defaults", no_argument, NULL, OPT_NO_DEFAULTS},
        {"authority", required_argument, NULL, OPT_AUTHORITY},
        {"port-file", required_argument, NULL, OPT_PORT_FILE},
        {"ready-fd", required_argument, NULL, OPT_READY_FD},
        {"verbose", no_argument, NULL, OPT_VERBOSE},
        {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, OPT_HELP},
        {NULL, 0, NULL, 0},
};

static bool parse_port(const char *text, unsigned short *port, bool *on)
{
        uint64_t n = 0;

        if (on && streq(text, "none")) {
                *on = false;
                return true;
        }
        if (parse_u64(text, UINT16_MAX, &n) < 0) {
                fprintf(stderr, "akv-emulator: not a port: %s\n", text);
                return false;
        }
        *port = (unsigned short)n;
        return true;
}

static bool parse_flaw(const char *text, enum tls_flaw *ret)
{
        static const char *const names[] = {
                "", "wrong-host", "expired", "not-yet-valid", "unknown-ca"};

        for (size_t i = 1; i < ELEMENTSOF(names); i++)
                if (streq(text, names[i])) {
                        *ret = (enum tls_flaw)i;
                        return true;
                }
        fprintf(stderr,
                "akv-emulator: --bad-cert takes wrong-host, expired, not-yet-valid or unknown-ca\n");
        return false;
}

static bool parse_ready_fd(const char *text, int *ret)
{
        uint64_t n = 0;

        if (parse_u64(text, INT16_MAX, &n) < 0 || fcntl((int)n, F_GETFD) < 0) {
                fprintf(stderr, "akv-emulator: not an open descriptor: %s\n", text);
                return false;
        }
        *ret = (int)n;
        return true;
}

/* 1 to go on, 0 to end well, negative to end badly. */
static int parse_options(int argc, char **argv, struct options *o)
{
        bool good = true;
        int c;

        while (good && (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
                switch (c) {
                case OPT_PORT:
                        good = parse_port(optarg, &o->https_port, NULL);
                        break;
                case OPT_IMDS_PORT:
                        good = parse_port(optarg, &o->imds_port, &o->imds);
                        break;
                case OPT_ADMIN_PORT:
                        good = parse_port(optarg, &o->admin_port, &o->admin);
                        break;
                case OPT_LISTEN:
                        o->address = optarg;
                        break;
                case OPT_CA_OUT:
                        o->ca_out = optarg;
                        break;
                case OPT_SAN:
                        good = o->n_names < MORE_NAMES_MAX;
                        if (good)
                                o->names[o->n_names++] = optarg;
                        break;
                case OPT_CERT_NAME:
                        o->tls.only_name = optarg;
                        break;
                case OPT_BAD_CERT:
                        good = parse_flaw(optarg, &o->tls.flaw);
                        break;
                case OPT_LOAD:
                        o->load = optarg;
                        break;
                case OPT_NO_DEFAULTS:
                        o->defaults = false;
                        break;
                case OPT_AUTHORITY:
                        o->authority = optarg;
                        break;
                case OPT_PORT_FILE:
                        o->port_file = optarg;
                        break;
                case OPT_READY_FD:
                        good = parse_ready_fd(optarg, &o->ready_fd);
                        break;
                case OPT_VERBOSE:
                        log_set_level(LOG_DEBUG);
                        break;
                case OPT_VERSION:
                        puts("akv-emulator " AKVFS_VERSION);
                        return 0;
                case OPT_HELP:
                case 'h':
                        fputs(help, stdout);
                        return 0;
                default:
                        good = false;
                        break;
                }
        }
        if (good && optind < argc) {
                fprintf(stderr, "akv-emulator: what is %s?\n", argv[optind]);
                good = false;
        }
        if (!good) {
                fputs("Try akv-emulator --help\n", stderr);
                return -EINVAL;
        }
        o->tls.more_names = o->names;
        return 1;
}

/* --- life --- */

struct running {
        struct emulator emu;
        struct tls_identity tls;
        struct server *https, *imds, *admin;
};

static void running_done(struct running *r)
{
        /* The first one stopped wakes all who wait, so that none holds up another. */
        server_stop(r->https);
        server_stop(r->imds);
        server_stop(r->admin);
        store_free(r->emu.store);
        faults_free(r->emu.faults);
        reqlog_free(r->emu.log);
        free(r->emu.authority);
        (void)safe_close(r->emu.stop_fd);
        tls_identity_done(&r->tls);
        explicit_bzero(&r->emu.signer, sizeof r->emu.signer);
}

static int prepare(struct running *r, const struct options *o, struct err *e)
{
        struct emulator *emu = &r->emu;

        emu->settings = default_settings;
        emu->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (emu->stop_fd < 0)
                return err_set(e, -errno, "eventfd: %s", strerror(errno));
        int result = store_new(o->defaults, &emu->store);
        if (result == 0)
                result = faults_new(&emu->faults);
        if (result == 0)
                result = reqlog_new(&emu->log);
        if (result == 0)
                result = token_signer_init(&emu->signer);
        if (result < 0)
                return err_set(e, result, "cannot start: %s", strerror(-result));
        if (o->load) {
                store_lock(emu->store);
                result = load_directory(emu->store, o->load, e);
                store_unlock(emu->store);
                if (result < 0)
                        return result;
        }
        result = tls_identity_make(&o->tls, &r->tls, e);
        return result < 0 ? result : write_file_atomic(o->ca_out, r->tls.ca, e);
}

static int start(struct running *r, const struct options *o, struct err *e)
{
        const struct listen_config https = {LISTEN_HTTPS, o->address, o->https_port};
        const struct listen_config imds = {LISTEN_IMDS, o->address, o->imds_port};
        const struct listen_config admin = {LISTEN_ADMIN, "127.0.0.1", o->admin_port};
        struct emulator *emu = &r->emu;

        int result = server_start(emu, &https, &r->tls, &r->https, e);
        if (result < 0)
                return result;
        emu->https_port = server_port(r->https);
        result = o->authority ? set_string(&emu->authority, o->authority)
                              : xasprintf(&emu->authority, "https://localhost:%u", emu->https_port);
        if (result == 0 && o->imds)
                result = server_start(emu, &imds, NULL, &r->imds, e);
        if (result == 0 && o->admin)
                result = server_start(emu, &admin, NULL, &r->admin, e);
        if (result < 0)
                return result;
        emu->imds_port = r->imds ? server_port(r->imds) : 0;
        emu->admin_port = r->admin ? server_port(r->admin) : 0;
        return 0;
}

static char *describe(const struct running *r, const char *ca_file)
{
        const struct emulator *emu = &r->emu;
        struct out o = {0};

        out_open(&o, '{');
        out_memberf(&o, "https_url", "https://localhost:%u", emu->https_port);
        out_member_int(&o, "https_port", emu->https_port);
        if (r->imds) {
                out_memberf(&o, "imds_url", "http://127.0.0.1:%u", emu->imds_port);
                out_member_int(&o, "imds_port", emu->imds_port);
        }
        if (r->admin) {
                out_memberf(&o, "admin_url", "http://127.0.0.1:%u", emu->admin_port);
                out_member_int(&o, "admin_port", emu->admin_port);
        }
        out_member(&o, "ca_file", ca_file);
        out_member_int(&o, "pid", getpid());
        out_member(&o, "vault", DEFAULT_VAULT);
        out_memberf(&o, "vault_url", "https://localhost:%u/vaults/" DEFAULT_VAULT, emu->https_port);
        out_member(&o, "tenant", DEFAULT_TENANT);
        out_member(&o, "client_id", DEFAULT_CLIENT_ID);
        out_member(&o, "client_secret", DEFAULT_CLIENT_SECRET);
        out_member(&o, "system_identity", DEFAULT_SYSTEM_IDENTITY);
        out_member(&o, "user_identity", DEFAULT_USER_IDENTITY);
        out_close(&o, '}');
        out_raw(&o, "\n", 1);
        return out_finish(&o, NULL);
}

static int announce(const struct running *r, const struct options *o, struct err *e)
{
        const struct emulator *emu = &r->emu;
        _cleanup_free_ char *json = NULL, *ca = realpath(o->ca_out, NULL);

        if (!ca)
                return err_set(e, -errno, "%s: %s", o->ca_out, strerror(errno));
        json = describe(r, ca);
        if (!json)
                return -ENOMEM;
        printf("listening https://localhost:%u", emu->https_port);
        if (r->imds)
                printf(" imds http://127.0.0.1:%u", emu->imds_port);
        printf(" ca %s", ca);
        if (r->admin)
                printf(" admin http://127.0.0.1:%u", emu->admin_port);
        printf("\n");
        fflush(stdout);
        if (o->ready_fd >= 0) {
                int result = write_all(o->ready_fd, json, strlen(json));
                (void)safe_close(o->ready_fd);
                if (result < 0)
                        return err_set(e, result, "--ready-fd: %s", strerror(-result));
        }
        return o->port_file ? write_file_atomic(o->port_file, json, e) : 0;
}

static int run(const struct options *o, struct err *e)
{
        _cleanup_(running_done) struct running r = {.emu.stop_fd = -EBADF};
        sigset_t signals;
        int which;

        /* Before any thread: they inherit the mask, and only sigwait() below takes these. */
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        pthread_sigmask(SIG_BLOCK, &signals, NULL);
        (void)signal(SIGPIPE, SIG_IGN);

        int result = prepare(&r, o, e);
        if (result == 0)
                result = start(&r, o, e);
        if (result == 0)
                result = announce(&r, o, e);
        if (result < 0)
                return result;
        (void)sigwait(&signals, &which);
        log_info("stopping");
        return 0;
}

int main(int argc, char **argv)
{
        struct options o = {
                .https_port = 8443,
                .imds_port = 8444,
                .admin_port = 8445,
                .imds = true,
                .admin = true,
                .defaults = true,
                .ca_out = DEFAULT_CA_FILE,
                .ready_fd = -EBADF,
        };
        _cleanup_err_ struct err e = {0};

        if (wipe_install() < 0) {
                fputs("akv-emulator: OpenSSL had already started\n", stderr);
                return EXIT_FAILURE;
        }
        int r = parse_options(argc, argv, &o);
        if (r <= 0)
                return r < 0 ? 2 : EXIT_SUCCESS;
        r = run(&o, &e);
        if (r < 0) {
                fprintf(stderr, "akv-emulator: %s\n", err_text(&e));
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
