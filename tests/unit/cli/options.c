#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>

#include "cli/options.h"

static struct options o;
static struct err e;

static void set_up(void)
{
        options_init(&o);
}

static void tear_down(void)
{
        options_done(&o);
        err_done(&e);
}

TestSuite(options, .init = set_up, .fini = tear_down);

Test(options, defaults)
{
        cr_assert_eq(o.poll_interval, 120 * USEC_PER_SEC);
        cr_assert_eq(o.uid, geteuid());
        cr_assert_eq(o.mode, 0644);
        cr_assert_eq(o.allow_other, -1);
        cr_assert_not(o.xattr);
        cr_assert_not(o.audit);
        cr_assert_not(o.shape.cert_key_files);
        cr_assert_not(o.shape.keep_chain_order);
        cr_assert_not(o.secret_memory_required);
}

Test(options, intervals)
{
        static const struct {
                const char *text;
                usec_t usec;
        } good[] = {
                {"off", 0},
                {"30s", 30 * USEC_PER_SEC},
                {"500ms", 500 * USEC_PER_MSEC},
                {"2m", 120 * USEC_PER_SEC},
                {"1h30m", 5400 * USEC_PER_SEC},
                {"1d", 86400 * USEC_PER_SEC},
                {"90", 90 * USEC_PER_SEC},
                {"10ms", 10 * USEC_PER_MSEC},
                {"366d", 366 * 86400 * USEC_PER_SEC},
        };
        static const char *const bad[] = {"", "s", "-1s", "1.5s", "30 s", "30x", "1h30", "0", "0s",
                "9ms", "367d", "99999999999999999999s", "1hh", "+3s", "OFF", "soon", "5ms5"};

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                usec_t got = 1;
                cr_assert_eq(options_parse_interval(good[i].text, &got, &e), 0, "%s", good[i].text);
                cr_assert_eq(got, good[i].usec, "%s", good[i].text);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                usec_t got = 77;
                cr_assert_eq(options_parse_interval(bad[i], &got, &e), -EINVAL, "%s", bad[i]);
                cr_assert_eq(got, 77);
                cr_assert_eq(e.cause, ERR_USAGE);
                cr_assert_not_null(e.hint);
        }
}

Test(options, intervals_are_written_as_they_are_read)
{
        static const char *const texts[] = {"off", "30s", "500ms", "2m", "1h30m", "1d", "1m30s"};
        char buf[64];

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                usec_t v;
                cr_assert_eq(options_parse_interval(texts[i], &v, NULL), 0);
                cr_assert_str_eq(options_format_interval(v, buf), texts[i]);
        }
}

Test(options, a_list_sets_everything)
{
        int r = options_parse(&o,
                "poll_interval=30s,uid=12,gid=34,mode=0440,no_allow_other,xattr,audit,"
                "secret_memory=require,cert_key_files,pem_chain=off,class=web,"
                "vault_url=https://v/,authority_host=https://a/,imds_endpoint=http://i,"
                "ca_file=/ca,client_secret_file=/s,env_file=/e,log=syslog,log_level=debug,log_json",
                false, &e);

        cr_assert_eq(r, 0, "%s", err_text(&e));
        cr_assert_eq(o.poll_interval, 30 * USEC_PER_SEC);
        cr_assert_eq(o.uid, 12);
        cr_assert_eq(o.gid, 34);
        cr_assert_eq(o.mode, 0440);
        cr_assert_eq(o.allow_other, 0);
        cr_assert(o.xattr);
        cr_assert(o.audit);
        cr_assert(o.secret_memory_required);
        cr_assert(o.shape.cert_key_files);
        cr_assert(o.shape.keep_chain_order);
        cr_assert_eq(options_parse(&o, "pem_chain=on", false, &e), 0);
        cr_assert_not(o.shape.keep_chain_order, "the last one wins");
        cr_assert_str_eq(o.class_name, "web");
        cr_assert_str_eq(o.vault_url, "https://v/");
        cr_assert_str_eq(o.authority_host, "https://a/");
        cr_assert_str_eq(o.imds_endpoint, "http://i");
        cr_assert_str_eq(o.ca_file, "/ca");
        cr_assert_str_eq(o.client_secret_file, "/s");
        cr_assert_str_eq(o.env_file, "/e");
        cr_assert_str_eq(o.log, "syslog");
        cr_assert_eq(o.log_level, LOG_DEBUG);
        cr_assert(o.log_json);
}

Test(options, the_last_one_wins_and_empty_items_do_nothing)
{
        cr_assert_eq(options_parse(&o, ",mode=0400,,mode=0444,class=a,class=b,", false, &e), 0);
        cr_assert_eq(o.mode, 0444);
        cr_assert_str_eq(o.class_name, "b");
}

Test(options, a_backslash_keeps_a_comma)
{
        cr_assert_eq(options_parse(&o, "ca_file=/a\\,b\\\\c\\d,mode=0400", false, &e), 0);
        cr_assert_str_eq(o.ca_file, "/a,b\\c\\d");
        cr_assert_eq(o.mode, 0400);
}

Test(options, names_of_users_and_groups)
{
        cr_assert_eq(options_parse(&o, "uid=root,gid=root", false, &e), 0);
        cr_assert_eq(o.uid, 0);
        cr_assert_eq(o.gid, 0);
        cr_assert_eq(options_parse(&o, "uid=no-such-user-here", false, &e), -EINVAL);
        cr_assert_not_null(strstr(err_text(&e), "no-such-user-here"));
        cr_assert_eq(options_parse(&o, "gid=no-such-group-here", false, &e), -EINVAL);
        cr_assert_eq(options_parse(&o, "uid=4294967295", false, &e), -EINVAL);
}

Test(options, wrong_ones_are_refused)
{
        static const char *const bad[] = {"mode=999", "mode=07777", "mode=", "mode", "mode=-1",
                "log_level=loud", "xattr=yes", "audit=1", "secret_memory", "secret_memory=yes",
                "allow_other=1", "cert_key_files=1", "pem_chain", "pem_chain=no", "frobnicate",
                "frobnicate=1", "=x", "rw", "noauto"};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cr_assert_eq(options_parse(&o, bad[i], false, &e), -EINVAL, "%s", bad[i]);
                cr_assert_eq(e.cause, ERR_USAGE, "%s", bad[i]);
        }
        cr_assert_eq(options_parse(&o, "pol_interval=3s", false, &e), -EINVAL);
        cr_assert_str_eq(e.hint, "did you mean poll_interval?");
}

Test(options, words_of_mount_are_passed_over_for_mount)
{
        int r = options_parse(&o,
                "rw,ro,auto,noauto,_netdev,nofail,user,user=joe,x-systemd.automount,"
                "x-systemd.mount-timeout=30,X-mount.mkdir,defaults,mode=0400,noexec",
                true, &e);

        cr_assert_eq(r, 0, "%s", err_text(&e));
        cr_assert_eq(o.mode, 0400);
        cr_assert_eq(options_parse(&o, "frobnicate", true, &e), -EINVAL);
}

Test(options, each_is_a_long_option_too)
{
        size_t n = 0, fewer = 0;
        const struct word *words = options_words(false, &n);

        options_words(true, &fewer);
        cr_assert_lt(fewer, n);
        for (size_t i = 0; i < n; i++) {
                const char *name = words[i].name;
                const char *value = streq(name, "poll-interval")   ? "1h"
                                    : streq(name, "log-level")     ? "error"
                                    : streq(name, "secret-memory") ? "require"
                                    : streq(name, "pem-chain")     ? "off"
                                    : startswith(name, "on-")      ? "keep"
                                    : words[i].value               ? "0"
                                                                   : NULL;
                char key[64];

                cr_assert_eq(options_set_word(&o, words[i].id, value, &e), 0, "%s", name);
                strcpy(key, name);
                for (char *p = key; *p; p++)
                        *p = *p == '-' ? '_' : *p;
                cr_assert_eq(options_set(&o, key, value, &e), 0, "%s", key);
        }
        cr_assert_eq(o.log_level, LOG_ERROR);
}

Test(options, files_become_absolute)
{
        char cwd[PATH_MAX], expected[PATH_MAX + 16];

        cr_assert_eq(options_parse(&o, "ca_file=CMakeLists.txt,log=x.log", false, &e), 0);
        cr_assert_eq(options_resolve_files(&o, &e), 0, "%s", err_text(&e));
        cr_assert_not_null(getcwd(cwd, sizeof cwd));
        snprintf(expected, sizeof expected, "%s/CMakeLists.txt", cwd);
        cr_assert_str_eq(o.ca_file, expected);
        snprintf(expected, sizeof expected, "%s/x.log", cwd);
        cr_assert_str_eq(o.log, expected);
}

Test(options, a_file_that_cannot_be_read_is_named)
{
        cr_assert_eq(options_parse(&o, "ca_file=/nowhere/ca.pem", false, &e), 0);
        cr_assert_eq(options_resolve_files(&o, &e), -ENOENT);
        cr_assert_not_null(strstr(err_text(&e), "/nowhere/ca.pem"));
}

Test(options, a_state_keeps_or_removes)
{
        cr_assert_eq(options_parse(&o, "on_deleted=remove,on_forbidden=remove", false, &e), 0);
        cr_assert(o.policy.remove_deleted);
        cr_assert(o.policy.remove_forbidden);
        cr_assert_not(o.policy.remove_disabled);
        cr_assert_not(o.policy.remove_expired);
        cr_assert_eq(options_parse(&o, "on_deleted=keep,on_disabled=remove", false, &e), 0);
        cr_assert_not(o.policy.remove_deleted, "the last one wins");
        cr_assert(o.policy.remove_disabled);
        cr_assert_eq(options_parse(&o, "on_expired=hide", false, &e), -EINVAL);
        cr_assert_str_eq(e.hint, "known are keep and remove");
}

Test(options, a_vault_that_is_gone_always_keeps)
{
        cr_assert_eq(options_parse(&o, "on_vault_gone=keep", false, &e), 0);
        cr_assert_eq(options_parse(&o, "on_vault_gone=remove", false, &e), -EINVAL);
        cr_assert_not_null(strstr(e.hint, "always means keep"));
}
