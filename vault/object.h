/* Inside vault/: what object ids say. */
#pragma once

#include "vault/vault.h"

/* The longest answer that is read as an object. The service's own limits are 25 KiB for a secret
 * and a few hundred KiB for what surrounds a certificate. */
#define VAULT_OBJECT_MAX ((size_t)4 << 20)

/* ".../secrets/NAME" or ".../secrets/NAME/VERSION": pointers into id, *ret_version at "" when there
 * is none. -EBADMSG for anything else, for characters that no URL has and for ids of more than 2048
 * characters. */
int vault_id_split(enum vault_kind kind, const char *id, const char **ret_name,
        size_t *ret_name_len, const char **ret_version);
