#include "vault/folder.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/log.h"
#include "vault/chain.h"
#include "vault/pem.h"
#include "vault/pkcs12_write.h"

#define CERTIFICATE "CERTIFICATE"

static int oom(struct err *e)
{
        return err_set_cause(e, ERR_LOCAL, -ENOMEM, "out of memory");
}

static int bad(struct err *e, int r, const char *text)
{
        ERR_clear_error();
        return err_set_cause(e, ERR_SERVICE, r, "%s", text);
}

/* --- blocks --------------------------------------------------------------------------------- */

static int read_blocks(const struct sec *pem, struct pem_blocks *ret, struct err *e)
{
        int r = pem_read(sec_bytes(pem), sec_len(pem), ret);

        return r == -ENOMEM ? oom(e) : r < 0 ? bad(e, r, "more PEM blocks than can be read") : 0;
}

/* Some blocks, one behind the other. */
static int write_blocks(struct pem_block *const *list, size_t n, struct sec **ret, struct err *e)
{
        size_t size = 0;

        for (size_t i = 0; i < n; i++)
                size += pem_block_size(list[i]);
        int r = sec_alloc(size, ret);
        if (r < 0)
                return r == -ENOMEM ? oom(e) : bad(e, r, "the certificate is too long");
        char *out = sec_buf(*ret);
        for (size_t i = 0; i < n; i++)
                out = pem_block_put(out, list[i]);
        return 0;
}

int folder_split(
        const struct sec *pem, struct sec **ret_certs, struct sec **ret_others, struct err *e)
{
        _cleanup_pem_blocks_ struct pem_blocks all = {0};
        struct pem_block *certs[PEM_BLOCKS_MAX], *others[PEM_BLOCKS_MAX];
        _cleanup_sec_ struct sec *first = NULL;
        size_t n_certs = 0, n_others = 0;

        int r = read_blocks(pem, &all, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < all.n; i++)
                if (pem_block_is(&all.list[i], CERTIFICATE))
                        certs[n_certs++] = &all.list[i];
                else
                        others[n_others++] = &all.list[i];
        r = write_blocks(certs, n_certs, &first, e);
        if (r == 0)
                r = write_blocks(others, n_others, ret_others, e);
        if (r == 0)
                *ret_certs = TAKE_PTR(first);
        return r;
}

/* --- key and chain -------------------------------------------------------------------------- */

struct bundle {
        struct pem_blocks blocks;
        struct pem_block *certs[CHAIN_MAX], *keys[PEM_BLOCKS_MAX];
        X509 *x509[CHAIN_MAX];
        size_t n_certs, n_keys;
        EVP_PKEY *key; /* NULL: none, or none that can be read */
};

static void bundle_done(struct bundle *b)
{
        for (size_t i = 0; i < b->n_certs; i++)
                X509_free(b->x509[i]);
        EVP_PKEY_free(b->key);
        pem_blocks_done(&b->blocks);
        ERR_clear_error();
}

static int add_certificate(struct bundle *b, struct pem_block *block, struct err *e)
{
        const unsigned char *p = sec_bytes(block->der), *end = p + sec_len(block->der);

        if (b->n_certs == CHAIN_MAX)
                return bad(e, -E2BIG, "more certificates than can be read");
        X509 *cert = d2i_X509(NULL, &p, (long)sec_len(block->der));
        if (!cert || p != end) {
                X509_free(cert);
                return bad(e, -EBADMSG, "a certificate cannot be read");
        }
        b->certs[b->n_certs] = block;
        b->x509[b->n_certs++] = cert;
        return 0;
}

static int sort_blocks(struct bundle *b, struct err *e)
{
        for (size_t i = 0; i < b->blocks.n; i++) {
                struct pem_block *block = &b->blocks.list[i];

                if (pem_block_is(block, CERTIFICATE)) {
                        int r = add_certificate(b, block, e);
                        if (r < 0)
                                return r;
                        continue;
                }
                b->keys[b->n_keys++] = block;
                const unsigned char *p = sec_bytes(block->der);
                if (!b->key)
                        b->key = d2i_AutoPrivateKey(NULL, &p, (long)sec_len(block->der));
        }
        if (b->n_certs == 0)
                return bad(e, -EBADMSG, "there is no certificate in it");
        return 0;
}

static bool is_of_key(const struct bundle *b, size_t i)
{
        bool is = b->key && X509_check_private_key(b->x509[i], b->key) == 1;

        ERR_clear_error();
        return is;
}

static bool is_self_issued(X509 *cert)
{
        return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
}

/* Fills order with the leaf first. Returns whether that is the whole chain. */
static bool order_chain(const struct bundle *b, size_t *order)
{
        bool incomplete = true;
        size_t leaf = 0, n = 1;

        if (chain_order(b->x509, b->n_certs, order, &incomplete, NULL) == 0 && !incomplete &&
                (!b->key || is_of_key(b, order[0])))
                return true;
        for (size_t i = b->n_certs; i-- > 0;)
                if (is_of_key(b, i))
                        leaf = i;
        order[0] = leaf;
        for (size_t i = 0; i < b->n_certs; i++)
                if (i != leaf)
                        order[n++] = i;
        return b->n_certs == 1;
}

/* --- files ---------------------------------------------------------------------------------- */

/* Certificates by their place in the chain: those behind `from`, without roots or with. */
static int write_chain(const struct bundle *b, const size_t *order, size_t from, bool roots,
        struct sec **ret, struct err *e)
{
        struct pem_block *list[CHAIN_MAX];
        size_t n = 0;

        for (size_t i = from; i < b->n_certs; i++)
                if (roots || i == 0 || !is_self_issued(b->x509[order[i]]))
                        list[n++] = b->certs[order[i]];
        return write_blocks(list, n, ret, e);
}

static int write_combined(
        const struct bundle *b, const size_t *order, struct sec **ret, struct err *e)
{
        struct pem_block *list[PEM_BLOCKS_MAX];
        size_t n = 0;

        for (size_t i = 0; i < b->n_keys; i++)
                list[n++] = b->keys[i];
        for (size_t i = 0; i < b->n_certs; i++)
                list[n++] = b->certs[order[i]];
        return write_blocks(list, n, ret, e);
}

static int write_pfx(const struct bundle *b, const size_t *order, struct sec *pfx, struct sec **ret,
        struct err *e)
{
        X509 *chain[CHAIN_MAX];

        if (pfx) {
                *ret = sec_ref(pfx);
                return 0;
        }
        if (b->n_keys > 0 && !b->key)
                return bad(e, -EBADMSG,
                        "the private key cannot be read, so that no PFX can be "
                        "made of it");
        for (size_t i = 0; i < b->n_certs; i++)
                chain[i] = b->x509[order[i]];
        return pkcs12_write(b->key, chain, b->n_certs, ret, e);
}

int folder_render(const struct vault_object *o, const struct sec *pem, struct sec *pfx,
        struct vault_file ret[static VAULT_FILES_MAX], size_t *ret_n, struct err *e)
{
        _cleanup_(bundle_done) struct bundle b = {0};
        size_t order[CHAIN_MAX];
        struct vault_file files[] = {{"/tls.crt", NULL}, {"/tls.key", NULL}, {"/ca.crt", NULL},
                {"/fullchain.pem", NULL}, {"/combined.pem", NULL}, {"/cert.pfx", NULL}};

        ERR_clear_error();
        int r = read_blocks(pem, &b.blocks, e);
        if (r == 0)
                r = sort_blocks(&b, e);
        if (r < 0)
                return r;
        if (!order_chain(&b, order))
                log_warning("certificate chain is not complete due to missing intermediate/root "
                            "certificates: %s keeps the order of the vault behind the leaf",
                        o->id);
        bool alone = b.n_certs == 1 && is_self_issued(b.x509[0]);
        r = write_chain(&b, order, 0, false, &files[0].bytes, e);
        if (r == 0)
                r = write_blocks(b.keys, b.n_keys, &files[1].bytes, e);
        if (r == 0)
                r = write_chain(&b, order, alone ? 0 : 1, true, &files[2].bytes, e);
        if (r == 0)
                r = write_chain(&b, order, 0, true, &files[3].bytes, e);
        if (r == 0)
                r = write_combined(&b, order, &files[4].bytes, e);
        if (r == 0)
                r = write_pfx(&b, order, pfx, &files[5].bytes, e);
        if (r < 0) {
                for (size_t i = 0; i < ELEMENTSOF(files); i++)
                        sec_unref(files[i].bytes);
                return r;
        }
        memcpy(ret, files, sizeof(files));
        *ret_n = ELEMENTSOF(files);
        return 0;
}
