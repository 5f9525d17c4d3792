#include "vault/pkcs12.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <spawn.h>
#include <sys/wait.h>

#include "pki.h"

/* Everything is made once: a table needs a few keys only. */
enum { R2048, P256, P384, P521, K256, ED, ED4, OTHER_KEY, KEYS };
static const char *const types[KEYS] = {
        "RSA", "P-256", "P-384", "P-521", "secp256k1", "ED25519", "ED448", "P-256"};

/* As pki_family() numbers them. */
enum { INTER = KEYS, ROOT, ROOT_BARE, NO_SKI, BARE, CERTS };
static EVP_PKEY *keys[ROOT + 1];
static X509 *certs[CERTS];

static void make(void)
{
        pki_family(types, KEYS, keys, certs);
        certs[NO_SKI] = pki_cert(keys[P256], "no ski", keys[INTER], certs[INTER], PKI_NO_SKI);
        certs[BARE] =
                pki_cert(keys[P256], "bare", keys[INTER], certs[INTER], PKI_NO_SKI | PKI_NO_AKI);
}

static void destroy(void)
{
        pki_free(keys, ELEMENTSOF(keys), certs, ELEMENTSOF(certs));
}

TestSuite(pkcs12, .init = make, .fini = destroy, .timeout = 300);

#define NONE (-1)
#define MAX_IN 6

struct golden {
        const char *what;
        int key[3], cert[MAX_IN], out[MAX_IN]; /* each ended by NONE; out: the order expected */
        int key_nid, cert_nid;
        const char *mac;
        unsigned flags;
        bool incomplete;
        const char *error; /* then no output is expected */
        int code;
        int iterations, mac_iterations;
        const char *password;
        bool no_cli; /* the command line cannot judge it */
};

#define CHAIN(k) .key = {k, NONE}, .cert = {k, INTER, ROOT, NONE}, .out = {k, INTER, ROOT, NONE}
#define RC2_40 NID_pbe_WithSHA1And40BitRC2_CBC
#define RC2_128 NID_pbe_WithSHA1And128BitRC2_CBC
#define RC4_40 NID_pbe_WithSHA1And40BitRC4
#define RC4_128 NID_pbe_WithSHA1And128BitRC4
#define DES3 NID_pbe_WithSHA1And3_Key_TripleDES_CBC
#define DES2 NID_pbe_WithSHA1And2_Key_TripleDES_CBC
#define AES128 NID_aes_128_cbc
#define AES192 NID_aes_192_cbc
#define AES256 NID_aes_256_cbc

static const struct golden goldens[] = {
        /* the forms that Key Vault itself has handed out */
        {"vault until 2020", CHAIN(R2048), DES3, RC2_40, .iterations = 2000, .mac_iterations = 1},
        {"vault since 2020", CHAIN(R2048), DES3, DES3},
        {"vault, self-signed", .key = {R2048, NONE}, .cert = {ROOT, NONE}, .out = {ROOT, NONE}},
        /* keys by ciphers */
        {"RSA, RC2-40, null", CHAIN(R2048), DES3, RC2_40, .flags = PKI_NULL_PASSWORD},
        {"RSA, 3DES, null", CHAIN(R2048), DES3, DES3, .flags = PKI_NULL_PASSWORD},
        {"RSA, AES-256", CHAIN(R2048), AES256, AES256, "SHA256"},
        {"RSA, AES-128, null", CHAIN(R2048), AES128, AES128, "SHA256", PKI_NULL_PASSWORD},
        {"RSA, plain key", CHAIN(R2048), .flags = PKI_KEY_BAG},
        {"P-256, RC2-40", CHAIN(P256), DES3, RC2_40},
        {"P-256, 3DES", CHAIN(P256), DES3, DES3},
        {"P-256, AES-256", CHAIN(P256), AES256, AES256, "SHA256"},
        {"P-256 without its public half", CHAIN(P256), .flags = PKI_PRIVATE_ONLY, .no_cli = true},
        {"P-384, RC2-128", CHAIN(P384), RC2_128, RC2_128},
        {"P-384, AES-192", CHAIN(P384), AES192, AES192, "SHA384"},
        {"P-521, 3DES", CHAIN(P521), DES3, DES3},
        {"P-521, AES-256, SHA-512", CHAIN(P521), AES256, AES256, "SHA512"},
        {"secp256k1, 3DES", CHAIN(K256), DES3, DES3},
        {"secp256k1, AES-256", CHAIN(K256), AES256, AES256, "SHA256"},
        {"Ed25519, RC2-40", CHAIN(ED), DES3, RC2_40},
        {"Ed25519, 3DES, null", CHAIN(ED), DES3, DES3, .flags = PKI_NULL_PASSWORD},
        {"Ed25519, AES-256", CHAIN(ED), AES256, AES256, "SHA256"},
        {"Ed25519, plain", CHAIN(ED), .flags = PKI_KEY_BAG | PKI_PLAIN_CERTS},
        {"two-key 3DES", CHAIN(P256), DES2, DES2},
        {"RC4-128", CHAIN(P256), RC4_128, RC4_40},
        /* MACs and passwords */
        {"no MAC, AES", CHAIN(P256), AES256, AES256, .flags = PKI_NO_MAC},
        {"no MAC, 3DES", CHAIN(P256), DES3, DES3, .flags = PKI_NO_MAC},
        {"no MAC, 3DES, null", CHAIN(P256), DES3, DES3, .flags = PKI_NO_MAC | PKI_NULL_PASSWORD,
                .no_cli = true},
        {"no MAC, nothing encrypted", CHAIN(P256),
                .flags = PKI_NO_MAC | PKI_KEY_BAG | PKI_PLAIN_CERTS},
        {"MAC of SHA-224", CHAIN(P256), DES3, DES3, "SHA224"},
        {"one iteration", CHAIN(P256), .iterations = 1, .mac_iterations = 1},
        {"certificates not encrypted", CHAIN(P256), .flags = PKI_PLAIN_CERTS},
        {"bags in a bag", CHAIN(P256), .flags = PKI_NESTED, .no_cli = true},
        /* the order of the chain */
        {"leaf, root, inter", .key = {P256, NONE}, .cert = {P256, ROOT, INTER, NONE},
                .out = {P256, INTER, ROOT, NONE}},
        {"inter, leaf, root", .key = {P256, NONE}, .cert = {INTER, P256, ROOT, NONE},
                .out = {P256, INTER, ROOT, NONE}},
        {"inter, root, leaf", .key = {P256, NONE}, .cert = {INTER, ROOT, P256, NONE},
                .out = {P256, INTER, ROOT, NONE}},
        {"root, leaf, inter", .key = {P256, NONE}, .cert = {ROOT, P256, INTER, NONE},
                .out = {P256, INTER, ROOT, NONE}},
        {"root, inter, leaf", .key = {P256, NONE}, .cert = {ROOT, INTER, P256, NONE},
                .out = {P256, INTER, ROOT, NONE}},
        {"no root", .key = {P256, NONE}, .cert = {INTER, P256, NONE}, .out = {P256, INTER, NONE}},
        {"leaf alone", .key = {P256, NONE}, .cert = {P256, NONE}, .out = {P256, NONE}},
        {"leaf without key id", .key = {P256, NONE}, .cert = {ROOT, INTER, NO_SKI, NONE},
                .out = {NO_SKI, INTER, ROOT, NONE}},
        {"no intermediate", .key = {P256, NONE}, .cert = {ROOT, P256, NONE},
                .out = {ROOT, P256, NONE}, .incomplete = true},
        {"stranger", .key = {P256, NONE}, .cert = {P256, ED, INTER, ROOT, NONE},
                .out = {P256, ED, INTER, ROOT, NONE}, .incomplete = true},
        {"no identifiers", .key = {P256, NONE}, .cert = {ROOT, BARE, NONE},
                .out = {ROOT, BARE, NONE}, .incomplete = true},
        {"root twice, without authority", .key = {P256, NONE},
                .cert = {ROOT_BARE, P256, INTER, ROOT_BARE, NONE},
                .out = {ROOT_BARE, P256, INTER, ROOT_BARE, NONE}, .incomplete = true},
        {"root twice", .key = {P256, NONE}, .cert = {P256, INTER, ROOT, ROOT, NONE},
                .error = "constructing chain resulted in cycle", .code = -EBADMSG},
        {"nothing but the root, twice", .key = {P256, NONE}, .cert = {ROOT, ROOT, NONE},
                .error = "no leaf found", .code = -EBADMSG},
        {"no certificate", .key = {P256, NONE}, .cert = {NONE}, .error = "no leaf found",
                .code = -EBADMSG},
        {"nothing at all", .key = {NONE}, .cert = {NONE}, .error = "no leaf found",
                .code = -EBADMSG},
        {"no key", .key = {NONE}, .cert = {ROOT, INTER, P256, NONE},
                .out = {P256, INTER, ROOT, NONE}},
        {"two keys", .key = {R2048, P256, NONE}, .cert = {R2048, INTER, NONE},
                .out = {R2048, INTER, NONE}, .no_cli = true},
        /* what is refused */
        {"a password", CHAIN(P256), .password = "x", .error = "decryption password incorrect",
                .code = -EBADMSG},
        {"a password without MAC", CHAIN(P256), .password = "x", .flags = PKI_NO_MAC,
                .error = "decryption password incorrect", .code = -EBADMSG},
        {"a password for the key alone, no MAC", CHAIN(P256), .password = "x",
                .flags = PKI_NO_MAC | PKI_PLAIN_CERTS,
                .error = "decryption password incorrect (a private key)", .code = -EBADMSG},
        {"Ed448", CHAIN(ED4), .error = "neither RSA, EC nor Ed25519", .code = -EOPNOTSUPP},
        {"too many iterations of the key", CHAIN(P256), AES128, .iterations = 1048577,
                .mac_iterations = 1, .flags = PKI_PLAIN_CERTS, .error = "too many iterations",
                .code = -E2BIG},
        {"too many iterations of the MAC", CHAIN(P256), .iterations = 1, .mac_iterations = 1048577,
                .error = "too many iterations", .code = -E2BIG},
};

/* `openssl pkcs12` reads the same file; its blocks are compared without bag attributes. */
static char *cli(const unsigned char *der, size_t len)
{
        char in[] = "/tmp/akvfs-test-XXXXXX", out[] = "/tmp/akvfs-test-XXXXXX";
        _cleanup_close_ int in_fd = mkostemp(in, O_CLOEXEC), out_fd = mkostemp(out, O_CLOEXEC);
        const char *const argv[] = {"openssl", "pkcs12", "-legacy", "-nodes", "-passin",
                "pass:", "-in", in, "-out", out, NULL};
        pid_t pid;
        int status;
        char *text = NULL;
        size_t n;

        cr_assert(in_fd >= 0 && out_fd >= 0 && write_all(in_fd, der, len) == 0);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
        cr_assert(posix_spawnp(&pid, "openssl", &actions, NULL, (char *const *)argv, environ) == 0,
                "the openssl command is needed");
        posix_spawn_file_actions_destroy(&actions);
        cr_assert(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                cr_assert(read_whole_file(out, (size_t)1 << 20, &text, &n) == 0);
        unlink(in);
        unlink(out);
        return text;
}

struct block {
        char *label;
        unsigned char *data;
        long len;
};

static size_t read_blocks(const char *pem, struct block *blocks, size_t max)
{
        BIO *bio = BIO_new_mem_buf(pem, -1);
        size_t n = 0;
        char *header;

        while (n < max &&
                PEM_read_bio(bio, &blocks[n].label, &header, &blocks[n].data, &blocks[n].len)) {
                OPENSSL_free(header);
                n++;
        }
        ERR_clear_error();
        BIO_free(bio);
        return n;
}

static void free_blocks(struct block *blocks, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                OPENSSL_free(blocks[i].label);
                OPENSSL_free(blocks[i].data);
        }
}

static bool same_blocks(const char *a, const char *b)
{
        struct block x[8], y[8];
        size_t n = read_blocks(a, x, 8), m = read_blocks(b, y, 8), found = 0;

        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < m; k++)
                        if (streq(x[i].label, y[k].label) && x[i].len == y[k].len &&
                                memcmp(x[i].data, y[k].data, (size_t)x[i].len) == 0) {
                                found++;
                                break;
                        }
        free_blocks(x, n);
        free_blocks(y, m);
        return n == m && found == n;
}

static size_t count(const int *list)
{
        size_t n = 0;

        while (list[n] != NONE)
                n++;
        return n;
}

static void run(const struct golden *g)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_sec_ struct sec *out = NULL;
        EVP_PKEY *k[3];
        X509 *in[MAX_IN], *want[MAX_IN];
        size_t n_keys = count(g->key), n_certs = count(g->cert), len;
        bool incomplete = !g->incomplete;

        for (size_t i = 0; i < n_keys; i++)
                k[i] = keys[g->key[i]];
        for (size_t i = 0; i < n_certs; i++) {
                in[i] = certs[g->cert[i]];
                want[i] = g->error ? NULL : certs[g->out[i]];
        }
        _cleanup_free_ unsigned char *der = pki_pfx(
                &(struct pki_pfx){
                        .keys = k,
                        .n_keys = n_keys,
                        .certs = in,
                        .n_certs = n_certs,
                        .key_nid = g->key_nid,
                        .cert_nid = g->cert_nid,
                        .mac = g->mac,
                        .iterations = g->iterations,
                        .mac_iterations = g->mac_iterations,
                        .password = g->password,
                        .flags = g->flags,
                },
                &len);
        int r = pkcs12_to_pem(der, len, NULL, false, &out, &incomplete, &e);
        cr_expect(ERR_peek_error() == 0, "%s leaves an error behind", g->what);
        if (g->error) {
                cr_expect(r == g->code, "%s: %d: %s", g->what, r, err_text(&e));
                cr_expect(strstr(err_text(&e), g->error), "%s: \"%s\" lacks \"%s\"", g->what,
                        err_text(&e), g->error);
                cr_expect_null(out);
                return;
        }
        cr_assert(r == 0, "%s: %s", g->what, err_text(&e));
        cr_expect(incomplete == g->incomplete, "%s", g->what);
        _cleanup_free_ char *expected = pki_pem(k, n_keys, want, NULL, n_certs);
        cr_expect(sec_len(out) == strlen(expected) &&
                          memcmp(sec_bytes(out), expected, sec_len(out)) == 0,
                "%s: other bytes", g->what);
        if (g->no_cli)
                return;
        _cleanup_free_ char *judged = cli(der, len);
        cr_assert_not_null(judged, "%s: openssl does not read it", g->what);
        cr_expect(same_blocks(judged, expected), "%s: openssl has other blocks", g->what);
}

Test(pkcs12, goldens)
{
        cr_assert(ELEMENTSOF(goldens) >= 40);
        for (size_t i = 0; i < ELEMENTSOF(goldens); i++)
                run(&goldens[i]);
}

/* -o pem_chain=off: what goldens re-order or refuse stays as it is. */
Test(pkcs12, the_order_of_the_file_can_be_kept)
{
        size_t n_kept = 0;

        for (size_t g = 0; g < ELEMENTSOF(goldens); g++) {
                const struct golden *row = &goldens[g];
                size_t n_keys = count(row->key), n_certs = count(row->cert), len;
                _cleanup_sec_ struct sec *out = NULL;
                _cleanup_err_ struct err e = {0};
                bool incomplete = true;
                EVP_PKEY *k[3];
                X509 *in[MAX_IN];

                if (row->error && !strstr(row->error, "leaf") && !strstr(row->error, "cycle"))
                        continue;
                for (size_t i = 0; i < n_keys; i++)
                        k[i] = keys[row->key[i]];
                for (size_t i = 0; i < n_certs; i++)
                        in[i] = certs[row->cert[i]];
                _cleanup_free_ unsigned char *der = pki_pfx(
                        &(struct pki_pfx){
                                .keys = k, .n_keys = n_keys, .certs = in, .n_certs = n_certs},
                        &len);
                cr_assert(pkcs12_to_pem(der, len, NULL, true, &out, &incomplete, &e) == 0, "%s: %s",
                        row->what, err_text(&e));
                cr_expect_not(incomplete, "%s: nothing was looked for", row->what);
                _cleanup_free_ char *want = pki_pem(k, n_keys, in, NULL, n_certs);
                cr_expect(sec_len(out) == strlen(want) &&
                                  memcmp(sec_bytes(out), want, sec_len(out)) == 0,
                        "%s", row->what);
                n_kept++;
        }
        cr_expect_geq(n_kept, 40);
}

static unsigned char *simple(size_t *ret_len)
{
        return pki_pfx(&(struct pki_pfx){.keys = &keys[P256],
                               .n_keys = 1,
                               .certs = (X509 *[]){certs[P256], certs[INTER], certs[ROOT]},
                               .n_certs = 3,
                               .cert_nid = RC2_40,
                               .iterations = 10},
                ret_len);
}

Test(pkcs12, the_key_is_the_leafs)
{
        _cleanup_sec_ struct sec *out = NULL;
        bool incomplete;
        size_t len;
        _cleanup_free_ unsigned char *der = simple(&len);

        cr_assert(pkcs12_to_pem(der, len, NULL, false, &out, &incomplete, NULL) == 0);
        BIO *bio = BIO_new_mem_buf(sec_bytes(out), (int)sec_len(out));
        EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
        X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        X509 *inter = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        X509 *root = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        cr_assert(key && leaf && inter && root);
        cr_expect(X509_check_private_key(leaf, key) == 1);
        cr_expect(X509_verify(leaf, X509_get0_pubkey(inter)) == 1);
        cr_expect(X509_verify(inter, X509_get0_pubkey(root)) == 1);
        X509_free(leaf);
        X509_free(inter);
        X509_free(root);
        EVP_PKEY_free(key);
        BIO_free(bio);
}

Test(pkcs12, the_process_never_sees_the_legacy_provider)
{
        _cleanup_sec_ struct sec *out = NULL;
        bool incomplete;
        size_t len;
        _cleanup_free_ unsigned char *der = simple(&len);

        cr_assert(pkcs12_to_pem(der, len, NULL, false, &out, &incomplete, NULL) == 0);
        cr_expect(!OSSL_PROVIDER_available(NULL, "legacy"));
        cr_expect(OSSL_PROVIDER_available(NULL, "default"));
        cr_expect_null(EVP_CIPHER_fetch(NULL, "RC2-40-CBC", NULL));
        ERR_clear_error();
}

Test(pkcs12, every_cut_and_every_flipped_byte_ends_well)
{
        size_t len;
        _cleanup_free_ unsigned char *der = simple(&len);

        for (size_t cut = 0; cut < len; cut += cut < 64 ? 1 : 37) {
                _cleanup_err_ struct err e = {0};
                struct sec *out = NULL;
                bool incomplete;
                _cleanup_free_ unsigned char *part = malloc(cut + 1);
                memcpy(part, der, cut);
                cr_expect(pkcs12_to_pem(part, cut, NULL, false, &out, &incomplete, &e) < 0, "%zu",
                        cut);
                cr_expect(!out && e.text);
        }
        for (size_t at = 0; at < len; at += at < 128 ? 1 : 29) {
                _cleanup_err_ struct err e = {0};
                _cleanup_sec_ struct sec *out = NULL;
                bool incomplete;
                der[at] ^= 0x55;
                int r = pkcs12_to_pem(der, len, NULL, false, &out, &incomplete, &e);
                cr_expect(r == 0 ? out != NULL : out == NULL && e.text, "%zu", at);
                der[at] ^= 0x55;
        }
        cr_expect(ERR_peek_error() == 0);
}

Test(pkcs12, limits_are_the_callers)
{
        _cleanup_err_ struct err e = {0};
        const struct pkcs12_limits one = {.iterations = 9, .total_iterations = 1000};
        const struct pkcs12_limits all = {.iterations = 1000, .total_iterations = 29};
        const struct pkcs12_limits enough = {.iterations = 10, .total_iterations = 30};
        _cleanup_sec_ struct sec *out = NULL;
        bool incomplete;
        size_t len;
        _cleanup_free_ unsigned char *der = simple(&len);

        cr_expect(pkcs12_to_pem(der, len, &one, false, &out, &incomplete, &e) == -E2BIG);
        cr_expect(pkcs12_to_pem(der, len, &all, false, &out, &incomplete, &e) == -E2BIG);
        cr_expect_null(out);
        cr_expect(pkcs12_to_pem(der, len, &enough, false, &out, &incomplete, &e) == 0, "%s",
                err_text(&e));
}

Test(pkcs12, has_a_size_limit)
{
        struct sec *out = NULL;
        bool incomplete;
        unsigned char *big = calloc(1, PKCS12_SIZE_MAX + 1);

        cr_expect(pkcs12_to_pem(big, PKCS12_SIZE_MAX + 1, NULL, false, &out, &incomplete, NULL) ==
                  -E2BIG);
        cr_expect(pkcs12_to_pem(big, PKCS12_SIZE_MAX, NULL, false, &out, &incomplete, NULL) ==
                  -EBADMSG);
        free(big);
}
