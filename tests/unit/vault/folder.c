#include "vault/folder.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/log.h"
#include "pki.h"
#include "support/signer.h"
#include "vault/pem.h"

enum { RSA2048, P256, ED, STRANGER, KEYS };
static const char *const types[KEYS] = {"RSA", "P-256", "ED25519", "P-256"};

/* As pki_family() numbers them. */
enum { INTER = KEYS, ROOT, ROOT_BARE, ALONE, CERTS };
static EVP_PKEY *keys[ROOT + 1];
static X509 *certs[CERTS];

static void make(void)
{
        pki_family(types, KEYS, keys, certs);
        certs[ALONE] = pki_cert(keys[P256], "alone", NULL, NULL, 0);
        log_set_level(LOG_ERROR);
}

static void destroy(void)
{
        pki_free(keys, ELEMENTSOF(keys), certs, ELEMENTSOF(certs));
}

TestSuite(folder, .init = make, .fini = destroy, .timeout = 120);

#define NONE (-1)
#define MAX_IN 6
static struct vault_object object = {.kind = VAULT_SECRET, .id = (char *)"https://v/secrets/s/1"};

static char *pem_of(int key, const int *list)
{
        X509 *chosen[MAX_IN];
        size_t n = 0;

        for (; list[n] != NONE; n++)
                chosen[n] = certs[list[n]];
        return pki_pem(key == NONE ? NULL : &keys[key], key == NONE ? 0 : 1, chosen, NULL, n);
}

struct folder {
        struct vault_file files[VAULT_FILES_MAX];
        size_t n;
};

static void folder_done(struct folder *f)
{
        for (size_t i = 0; i < f->n; i++)
                sec_unref(f->files[i].bytes);
}

static const struct sec *file(const struct folder *f, const char *name)
{
        for (size_t i = 0; i < f->n; i++)
                if (streq(f->files[i].suffix + 1, name))
                        return f->files[i].bytes;
        cr_assert_fail("%s is not there", name);
        return NULL;
}

static int render(const char *text, struct sec *pfx, struct folder *ret, struct err *e)
{
        _cleanup_sec_ struct sec *pem = NULL;

        cr_assert_eq(sec_new(text, strlen(text), &pem), 0);
        int r = folder_render(&object, pem, pfx, ret->files, &ret->n, e);
        cr_expect_eq(ERR_peek_error(), 0);
        return r;
}

/* `openssl ARGS` with the files of the folder written to names in *dir. */
static int openssl(const char *dir, const char *args)
{
        _cleanup_free_ char *command = NULL;
        int status;
        pid_t pid;

        cr_assert_eq(xasprintf(&command, "cd %s && openssl %s >out 2>err", dir, args), 0);
        char *const argv[] = {(char *)"sh", (char *)"-c", command, NULL};
        cr_assert(posix_spawnp(&pid, "sh", NULL, NULL, argv, environ) == 0);
        cr_assert(waitpid(pid, &status, 0) == pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void write_out(const char *dir, const struct folder *f)
{
        for (size_t i = 0; i < f->n; i++) {
                _cleanup_free_ char *path = NULL;
                cr_assert_eq(xasprintf(&path, "%s%s", dir, f->files[i].suffix), 0);
                FILE *out = fopen(path, "we");
                cr_assert_not_null(out);
                fwrite(sec_bytes(f->files[i].bytes), 1, sec_len(f->files[i].bytes), out);
                fclose(out);
        }
}

static void remove_all(const char *dir, const struct folder *f)
{
        static const char *const more[] = {"/out", "/err"};

        for (size_t i = 0; i < f->n + ELEMENTSOF(more); i++) {
                _cleanup_free_ char *path = NULL;
                cr_assert_eq(xasprintf(&path, "%s%s", dir,
                                     i < f->n ? f->files[i].suffix : more[i - f->n]),
                        0);
                unlink(path);
        }
        cr_assert_eq(rmdir(dir), 0);
}

struct golden {
        const char *what;
        int key, in[MAX_IN]; /* ended by NONE */
        int tls[MAX_IN], ca[MAX_IN], full[MAX_IN];
        bool verified; /* `openssl verify` finds the way to a root */
};

#define WHOLE(k)                                                                            \
        .tls = {k, INTER, NONE}, .ca = {INTER, ROOT, NONE}, .full = {k, INTER, ROOT, NONE}, \
        .verified = true

static const struct golden goldens[] = {
        {"RSA", RSA2048, {RSA2048, INTER, ROOT, NONE}, WHOLE(RSA2048)},
        {"EC", P256, {P256, INTER, ROOT, NONE}, WHOLE(P256)},
        {"Ed25519", ED, {ED, INTER, ROOT, NONE}, WHOLE(ED)},
        {"leaf, root, inter", P256, {P256, ROOT, INTER, NONE}, WHOLE(P256)},
        {"inter, leaf, root", P256, {INTER, P256, ROOT, NONE}, WHOLE(P256)},
        {"inter, root, leaf", P256, {INTER, ROOT, P256, NONE}, WHOLE(P256)},
        {"root, leaf, inter", P256, {ROOT, P256, INTER, NONE}, WHOLE(P256)},
        {"root, inter, leaf", P256, {ROOT, INTER, P256, NONE}, WHOLE(P256)},
        {"no root", P256, {INTER, P256, NONE}, .tls = {P256, INTER, NONE}, .ca = {INTER, NONE},
                .full = {P256, INTER, NONE}},
        {"no intermediate", P256, {ROOT, P256, NONE}, .tls = {P256, NONE}, .ca = {ROOT, NONE},
                .full = {P256, ROOT, NONE}},
        {"leaf alone", P256, {P256, NONE}, .tls = {P256, NONE}, .ca = {NONE}, .full = {P256, NONE}},
        {"self-signed", P256, {ALONE, NONE}, .tls = {ALONE, NONE}, .ca = {ALONE, NONE},
                .full = {ALONE, NONE}, .verified = true},
        {"root twice", P256, {P256, INTER, ROOT, ROOT, NONE}, .tls = {P256, INTER, NONE},
                .ca = {INTER, ROOT, ROOT, NONE}, .full = {P256, INTER, ROOT, ROOT, NONE},
                .verified = true},
        {"root twice, leaf last", P256, {ROOT_BARE, ROOT_BARE, INTER, P256, NONE},
                .tls = {P256, INTER, NONE}, .ca = {ROOT_BARE, ROOT_BARE, INTER, NONE},
                .full = {P256, ROOT_BARE, ROOT_BARE, INTER, NONE}, .verified = true},
        {"a stranger first", P256, {STRANGER, P256, INTER, ROOT, NONE},
                .tls = {P256, STRANGER, INTER, NONE}, .ca = {STRANGER, INTER, ROOT, NONE},
                .full = {P256, STRANGER, INTER, ROOT, NONE}, .verified = true},
        {"no leaf", P256, {INTER, ROOT, NONE}, .tls = {INTER, NONE}, .ca = {ROOT, NONE},
                .full = {INTER, ROOT, NONE}, .verified = true},
        {"no key", NONE, {ROOT, P256, INTER, NONE}, WHOLE(P256)},
        {"no key, leaf alone", NONE, {P256, NONE}, .tls = {P256, NONE}, .ca = {NONE},
                .full = {P256, NONE}},
};

static void expect_file(
        const struct golden *g, const struct folder *f, const char *name, int key, const int *list)
{
        _cleanup_free_ char *want = pem_of(key, list);
        const struct sec *got = file(f, name);

        cr_expect(sec_len(got) == strlen(want) && memcmp(sec_bytes(got), want, sec_len(got)) == 0,
                "%s: %s has other bytes:\n%.*s", g->what, name, (int)sec_len(got),
                (const char *)sec_bytes(got));
}

static void judge(const struct golden *g, const struct folder *f)
{
        char dir[] = "/tmp/akvfs-test-XXXXXX";

        cr_assert_not_null(mkdtemp(dir));
        write_out(dir, f);
        cr_expect_eq(
                openssl(dir, "verify -CAfile ca.crt tls.crt") == 0, g->verified, "%s", g->what);
        cr_expect_eq(openssl(dir, "pkcs12 -in cert.pfx -passin pass: -nokeys -nodes | "
                                  "openssl crl2pkcs7 -nocrl -certfile /dev/stdin"),
                0, "%s: openssl does not read its PFX", g->what);
        if (g->key != NONE)
                cr_expect_eq(openssl(dir, "pkcs12 -in cert.pfx -passin pass: -nocerts -nodes | "
                                          "openssl pkey | cmp - tls.key"),
                        0, "%s: the PFX has another key", g->what);
        remove_all(dir, f);
}

static void run(const struct golden *g)
{
        _cleanup_(folder_done) struct folder f = {0};
        _cleanup_free_ char *text = pem_of(g->key, g->in);
        _cleanup_err_ struct err e = {0};
        static const int nothing[] = {NONE};

        int r = render(text, NULL, &f, &e);
        cr_assert(r == 0, "%s: %s", g->what, err_text(&e));
        cr_expect_eq(f.n, 6);
        expect_file(g, &f, "tls.crt", NONE, g->tls);
        expect_file(g, &f, "tls.key", g->key, nothing);
        expect_file(g, &f, "ca.crt", NONE, g->ca);
        expect_file(g, &f, "fullchain.pem", NONE, g->full);
        expect_file(g, &f, "combined.pem", g->key, g->full);
        judge(g, &f);
}

Test(folder, goldens)
{
        for (size_t i = 0; i < ELEMENTSOF(goldens); i++)
                run(&goldens[i]);
}

Test(folder, a_pfx_that_is_there_is_taken)
{
        static const int chain[] = {P256, INTER, ROOT, NONE};
        _cleanup_(folder_done) struct folder f = {0};
        _cleanup_free_ char *text = pem_of(P256, chain);
        _cleanup_sec_ struct sec *pfx = NULL;

        cr_assert_eq(sec_new("as it came", 10, &pfx), 0);
        cr_assert_eq(render(text, pfx, &f, NULL), 0);
        cr_expect_eq(file(&f, "cert.pfx"), pfx);
}

Test(folder, the_same_again_is_the_same_bytes)
{
        static const int chain[] = {P256, INTER, NONE};
        _cleanup_(folder_done) struct folder f = {0}, g = {0};
        _cleanup_free_ char *text = pem_of(P256, chain);

        cr_assert_eq(render(text, NULL, &f, NULL), 0);
        cr_assert_eq(render(text, NULL, &g, NULL), 0);
        for (size_t i = 0; i < f.n; i++)
                cr_expect(sec_equal(f.files[i].bytes, g.files[i].bytes), "%s", f.files[i].suffix);
}

/* SEC 1 and PKCS#1 stay what they are: the vault's own form. */
Test(folder, keys_keep_their_form)
{
        static const int chain[] = {P256, NONE};
        _cleanup_(folder_done) struct folder f = {0};
        _cleanup_free_ char *cert = pem_of(NONE, chain), *text = NULL, *key = NULL;
        BIO *bio = BIO_new(BIO_s_mem());

        cr_assert(PEM_write_bio_PrivateKey_traditional(bio, keys[P256], NULL, NULL, 0, NULL, NULL));
        key = test_bio_text(bio);
        cr_assert(strstr(key, "BEGIN EC PRIVATE KEY"));
        cr_assert_eq(xasprintf(&text, "%s%s", cert, key), 0);
        cr_assert_eq(render(text, NULL, &f, NULL), 0);
        const struct sec *got = file(&f, "tls.key");
        cr_expect(sec_len(got) == strlen(key) && memcmp(sec_bytes(got), key, sec_len(got)) == 0);
        cr_expect_gt(sec_len(file(&f, "cert.pfx")), 0);
}

Test(folder, what_is_no_certificate_is_an_error)
{
        static const int none[] = {NONE};
        static const struct {
                const char *text, *error;
        } cases[] = {
                {"", "there is no certificate in it"},
                {"hunter2", "there is no certificate in it"},
                {"-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n",
                        "a certificate cannot be read"},
                {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
                        "a certificate cannot be read"},
        };
        _cleanup_free_ char *key = pem_of(P256, none);

        for (size_t i = 0; i <= ELEMENTSOF(cases); i++) {
                struct folder f = {0};
                _cleanup_err_ struct err e = {0};
                const char *text = i < ELEMENTSOF(cases) ? cases[i].text : key;

                cr_expect_eq(render(text, NULL, &f, &e), -EBADMSG);
                cr_expect_str_eq(err_text(&e), cases[i < ELEMENTSOF(cases) ? i : 0].error);
                cr_expect_eq(f.n, 0);
        }
}

Test(folder, a_key_that_cannot_be_read_makes_no_pfx)
{
        static const int chain[] = {P256, NONE};
        _cleanup_free_ char *cert = pem_of(NONE, chain), *text = NULL;
        _cleanup_err_ struct err e = {0};
        struct folder f = {0};

        cr_assert_eq(xasprintf(&text,
                             "-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE "
                             "KEY-----\n%s",
                             cert),
                0);
        cr_expect_eq(render(text, NULL, &f, &e), -EBADMSG);
        cr_expect(strstr(err_text(&e), "the private key cannot be read"), "%s", err_text(&e));
}

Test(folder, split_keeps_the_order_of_each_kind)
{
        static const int one[] = {ROOT, NONE}, two[] = {P256, INTER, NONE};
        _cleanup_free_ char *a = pem_of(NONE, one), *b = pem_of(P256, two), *text = NULL,
                            *want = NULL, *key = pem_of(P256, (int[]){NONE});
        _cleanup_sec_ struct sec *pem = NULL, *crt = NULL, *rest = NULL;

        cr_assert_eq(xasprintf(&text, "%sjunk\n%s", a, b), 0);
        cr_assert_eq(xasprintf(&want, "%s%s", a, b + strlen(key)), 0);
        cr_assert_eq(sec_new(text, strlen(text), &pem), 0);
        cr_assert_eq(folder_split(pem, &crt, &rest, NULL), 0);
        cr_expect(sec_len(crt) == strlen(want) && !memcmp(sec_bytes(crt), want, sec_len(crt)));
        cr_expect(sec_len(rest) == strlen(key) && !memcmp(sec_bytes(rest), key, sec_len(rest)));
}
