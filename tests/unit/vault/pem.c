#include "vault/pem.h"

#include <criterion/criterion.h>
#include <openssl/bio.h>
#include <openssl/pem.h>

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
