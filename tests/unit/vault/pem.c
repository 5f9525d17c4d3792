#include "vault/pem.h"

#include <criterion/criterion.h>
#include <openssl/bio.h>
#include <openssl/pem.h>

#include "base/sec.h"

/* OpenSSL's own writer is the measure. */
static void compare(const char *label, size_t len)
{
        unsigned char *der = malloc(len + 1);
        for (size_t i = 0; i < len; i++)
                der[i] = (unsigned char)(i * 7 + len);

        BIO *bio = BIO_new(BIO_s_mem());
        char *theirs;
        PEM_write_bio(bio, label, "", der, (long)len);
        size_t n = (size_t)BIO_get_mem_data(bio, &theirs);

        char *ours = malloc(pem_size(label, len) + 1);
        char *end = pem_put(ours, label, der, len);
        cr_expect((size_t)(end - ours) == pem_size(label, len), "size of %zu", len);
        cr_expect(n == pem_size(label, len) && memcmp(ours, theirs, n) == 0, "bytes of %zu", len);
        free(ours);
        free(der);
        BIO_free(bio);
}

Test(pem, is_what_openssl_writes)
{
        for (size_t len = 1; len < 300; len++)
                compare("CERTIFICATE", len);
        compare("PRIVATE KEY", 1217);
        compare("PUBLIC KEY", 48);
}

Test(pem, of_nothing_has_no_line_between_its_borders)
{
        char out[128];
        char *end = pem_put(out, "X", "", 0);

        *end = '\0';
        cr_expect_str_eq(out, "-----BEGIN X-----\n-----END X-----\n");
        cr_expect_eq((size_t)(end - out), pem_size("X", 0));
}

/* --- reading --- */

/* Every block written anew, one behind the other. */
static char *again(const char *text)
{
        _cleanup_pem_blocks_ struct pem_blocks all = {0};
        /* An allocation of its own: reading past the end is seen. */
        _cleanup_free_ char *copy = malloc(strlen(text) ? strlen(text) : 1);
        size_t size = 1;

        memcpy(copy, text, strlen(text));
        cr_assert_eq(pem_read(copy, strlen(text), &all), 0);
        for (size_t i = 0; i < all.n; i++)
                size += pem_block_size(&all.list[i]);
        char *out = calloc(1, size), *end = out;
        for (size_t i = 0; i < all.n; i++)
                end = pem_block_put(end, &all.list[i]);
        cr_expect_eq((size_t)(end - out) + 1, size);
        return out;
}

static void expect_again(const char *text, const char *want)
{
        _cleanup_free_ char *got = again(text);

        cr_expect_str_eq(got, want, "%s:\n%s", text, got);
}

#define A "-----BEGIN A-----\nAAEC\n-----END A-----\n"
#define B "-----BEGIN B-----\nAwQ=\n-----END B-----\n"

Test(pem, blocks_are_found_and_written_anew)
{
        expect_again("", "");
        expect_again(A B, A B);
        expect_again("-----BEGIN A-----\r\nAAEC\r\n-----END A-----\r\n", A);
        expect_again("-----BEGIN A-----\nAA\nEC\n-----END A-----", A);
        expect_again("-----BEGIN A-----\nA A\tE C\n-----END A-----  \n", A);
        expect_again("Bag Attributes\n  localKeyID: 01\n" A "junk\n\n" B "more", A B);
        expect_again(
                "-----BEGIN A-----\n-----END A-----\n" B, "-----BEGIN A-----\n-----END A-----\n" B);
}

Test(pem, what_only_looks_like_a_block_is_passed_over)
{
        expect_again("-----BEGIN A-----\nAAEC\n", "");
        expect_again("x-----BEGIN A-----\nAAEC\n-----END A-----\n" B, B);
        expect_again("-----BEGIN A----\nAAEC\n-----END A-----\n" B, B);
        expect_again("-----BEGIN A-----\nAAEC\n-----END X-----\n" B, B);
        expect_again("-----BEGIN A-----\nAAEC\n-----END A----- x\n" B, B);
        expect_again("-----BEGIN A-----\n!!\n-----END A-----\n" B, B);
        expect_again("-----BEGIN A-----\nAAE\n-----END A-----\n" B, B);
        expect_again("-----BEGIN A-----\n" B, B);
        expect_again("-----BEGIN A-----\nkey: value\n", "");
}

Test(pem, headers_are_kept_in_the_order_of_their_names)
{
        expect_again("-----BEGIN A-----\nb: 2\nDEK-Info:  x , y \nProc-Type:4,ENCRYPTED\na: 1\n\n"
                     "AAEC\n-----END A-----\n",
                "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x , y\na: 1\nb: 2\n\n"
                "AAEC\n-----END A-----\n");
        expect_again("-----BEGIN A-----\na: 1\na: 2\n\nAAEC\n-----END A-----\n",
                "-----BEGIN A-----\na: 2\n\nAAEC\n-----END A-----\n");
}

Test(pem, headers_and_blocks_are_bounded)
{
        char *text = calloc(1, (PEM_BLOCKS_MAX + 1) * strlen(A) + 1), head[1024] = "", line[16];
        _cleanup_pem_blocks_ struct pem_blocks all = {0};

        for (size_t i = 0; i < PEM_BLOCKS_MAX; i++)
                strcat(text, A);
        cr_assert_eq(pem_read(text, strlen(text), &all), 0);
        cr_expect_eq(all.n, PEM_BLOCKS_MAX);
        pem_blocks_done(&all);
        strcat(text, A);
        cr_expect_eq(pem_read(text, strlen(text), &all), -E2BIG);
        free(text);

        strcpy(head, "-----BEGIN A-----\n");
        for (size_t i = 0; i <= PEM_HEADERS_MAX; i++) {
                snprintf(line, sizeof line, "h%02zu: x\n", i);
                strcat(head, line);
        }
        strcat(head, "\nAAEC\n-----END A-----\n" B);
        expect_again(head, B);
}

Test(pem, every_cut_of_a_text_ends_well)
{
        static const char text[] = "x\n-----BEGIN A-----\nk: v\n\nAAEC\n-----END A-----\n";

        for (size_t n = 0; n < strlen(text); n++) {
                _cleanup_free_ char *part = strndup(text, n), *got = again(part);
                cr_expect_eq(*got != '\0', n >= strlen(text) - 1, "%zu", n);
        }
}
