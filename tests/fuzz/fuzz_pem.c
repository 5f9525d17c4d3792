/* PEM texts: blocks, the parts a certificate is split into, and its folder. */
#include <openssl/err.h>

#include "base/log.h"
#include "vault/folder.h"
#include "vault/pem.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        log_set_level(LOG_ERROR);
        return 0;
}

/* What was written anew is read as the same again. */
static void check_blocks(const uint8_t *data, size_t size)
{
        _cleanup_pem_blocks_ struct pem_blocks all = {0}, again = {0};
        _cleanup_free_ char *text = NULL;
        size_t length = 0;

        if (pem_read((const char *)data, size, &all) < 0)
                return;
        for (size_t i = 0; i < all.n; i++)
                length += pem_block_size(&all.list[i]);
        text = malloc(length + 1);
        char *out = text;
        for (size_t i = 0; i < all.n; i++)
                out = pem_block_put(out, &all.list[i]);
        if ((size_t)(out - text) != length)
                abort();
        if (pem_read(text, length, &again) < 0 || again.n > all.n)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct vault_object o = {.kind = VAULT_SECRET, .id = (char *)(uintptr_t) "id"};
        _cleanup_sec_ struct sec *pem = NULL, *certs = NULL, *others = NULL;
        struct vault_file files[VAULT_FILES_MAX];
        _cleanup_err_ struct err e = {0};
        size_t n = 0;

        check_blocks(data, size);
        if (sec_new(data, size, &pem) < 0)
                return 0;
        if (folder_split(pem, &certs, &others, NULL) < 0 && (certs || others))
                abort();
        int r = folder_render(&o, pem, NULL, files, &n, &e);
        if ((r == 0) != (n == VAULT_FILES_MAX) || (r < 0 && !e.text))
                abort();
        for (size_t i = 0; i < n; i++)
                sec_unref(files[i].bytes);
        if (ERR_peek_error() != 0)
                abort();
        return 0;
}
