/* The files of a certificate, all of one version: the bytes behind spc_folder_files.
 *
 *     tls.crt        the leaf and its intermediates, what a server sends: no self-signed root
 *     tls.key        the private key, as the vault has it (PKCS#8 from a PFX)
 *     ca.crt         what the leaf is verified with: all certificates but the leaf; the leaf itself
 *                    when it is self-signed and alone
 *     fullchain.pem  every certificate, leaf first
 *     combined.pem   tls.key and fullchain.pem, one behind the other
 *     cert.pfx       the PFX, in binary, with an empty password
 *
 * The leaf is the certificate of the private key; without a key it is the first that is nobody's
 * parent (vault/chain.h). A chain with gaps stays in the order it came in, behind the leaf, with a
 * warning. Where there is nothing to write (tls.key of a key that cannot be exported, ca.crt of a
 * lone leaf) the file is empty rather than missing, so that the set of names never changes.
 */
#pragma once

#include "vault/vault.h"

/* pem: keys and certificates of `o`. pfx: the PFX they came from, or NULL to have one made.
 * -EBADMSG when there is no certificate or one cannot be read, -E2BIG, -ENOMEM. */
int folder_render(const struct vault_object *o, const struct sec *pem, struct sec *pfx,
        struct vault_file ret[static VAULT_FILES_MAX], size_t *ret_n, struct err *e);

/* Blocks of a PEM text written anew, certificates apart from all else. */
int folder_split(
        const struct sec *pem, struct sec **ret_certs, struct sec **ret_others, struct err *e);
