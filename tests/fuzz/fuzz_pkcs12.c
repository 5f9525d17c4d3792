/* A PFX as it comes out of a secret. Iterations are held low, or every other input would only burn
 * time; the limit itself is tested in tests/unit/vault/pkcs12.c. The corpus
 * holds keys and certificates that were made for it and are used nowhere else. */
#include <openssl/err.h>

#include "vault/pkcs12.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct pkcs12_limits limits = {.iterations = 64, .total_iterations = 256};
        _cleanup_err_ struct err e = {0};
        _cleanup_sec_ struct sec *out = NULL;
        bool incomplete;

        if ((pkcs12_to_pem(data, size, &limits, false, &out, &incomplete, &e) == 0) !=
                (out != NULL))
                abort();
        if (!out && !e.text)
                abort();
        if (ERR_peek_error() != 0)
                abort();
        return 0;
}
