/* Do two answers of the vault say the same? */
#pragma once

#include "vault/vault.h"

/* In everything that is kept of them; values are compared in constant time. */
bool same_object(const struct vault_object *a, const struct vault_object *b);
