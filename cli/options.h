/* How a class is to be mounted or fetched: `-o a=b,c`, and each of them as a long option too.
 *
 * fstab(5) and systemd know only -o, so everything that can be said at all can be said there:
 * `--vault-url URL` and `-o vault_url=URL` are the same. A backslash before a comma keeps it in the
 * value. The last one of several wins. Nothing is looked up but user and group names.
 */
#pragma once

#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "cache/view.h"
#include "cli/words.h"
#include "mount/request.h"

#define OPTIONS_POLL_DEFAULT (120 * USEC_PER_SEC)
#define OPTIONS_POLL_MIN (10 * USEC_PER_MSEC)
#define OPTIONS_POLL_MAX REQUEST_POLL_MAX
/* Below it the load on the vault is worth a warning. */
#define OPTIONS_POLL_FREQUENT (30 * USEC_PER_SEC)
#define OPTIONS_TEXT_MAX ((size_t)64 << 10)

struct options {
        /* what is shown */
        usec_t poll_interval; /* 0: never (CACHE_NO_POLL) */
        uid_t uid;
        gid_t gid;
        mode_t mode;
        int allow_other; /* 0, 1, or -1 when not said: root's default is 1, others' 0 */
        bool xattr;
        bool audit;
        struct view_shape shape;     /* -o cert_key_files, -o pem_chain=off */
        struct view_policy policy;   /* on_deleted=remove and so on */
        bool secret_memory_required; /* secret_memory=require: no mount that could reach swap */

        /* which class, and how its vault is reached; NULL when not said */
        char *class_name;
        char *vault_url;
        char *authority_host;
        char *imds_endpoint;
        char *ca_file;
        char *client_secret_file;
        char *client_certificate, *certificate_password_file;
        char *federated_token_file;
        char *token_proxy_url, *sni_name;
        bool azure_cli;
        char *env_file;

        /* where the daemon logs; NULL and -1 when not said */
        char *log;
        int log_level;
        bool log_json;
};

/* Defaults; uid and gid are the caller's own. */
void options_init(struct options *o);
void options_done(struct options *o);

/* One option. value is NULL where there was no "=". -EINVAL with cause ERR_USAGE, -ENOMEM. */
int options_set(struct options *o, const char *key, const char *value, struct err *e);

/* The text of one -o. With `from_mount` the words that mount(8) and fstab(5) pass to every helper
 * (rw, noauto, _netdev, user, x-systemd.automount, ...) are passed over. */
int options_parse(struct options *o, const char *text, bool from_mount, struct err *e);

/* The long options for words_next(), and what to do with one of their ids. The table is static.
 * `endpoints_only`: those that `get` takes, without how a mount looks. */
#define OPTIONS_ID_FIRST 1000
const struct word *options_words(bool endpoints_only, size_t *ret_n);
int options_set_word(struct options *o, int id, const char *value, struct err *e);

/* "90", "30s", "500ms", "2m", "1h30m", "1d" or "off" (0). A bare number counts seconds. */
int options_parse_interval(const char *s, usec_t *ret, struct err *e);
/* "30s", "1m30s", "500ms", "off": for people. buf holds 64. */
const char *options_format_interval(usec_t interval, char buf[static 64]);

/* Relative file names made absolute (the daemon's working directory is another), and each file that
 * is to be read tried, so that the message names the option. */
int options_resolve_files(struct options *o, struct err *e);

/* What is the same in every --help. */
extern const char options_help_endpoints[];
