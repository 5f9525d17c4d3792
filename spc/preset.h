/* Names of files made of names of objects, by rule instead of one alias each.
 *
 *     folders      "--" makes a folder: Database--Password is Database/Password. "--" is how .NET's
 *                  configuration writes its sections in Key Vault, which knows no ':'.
 *     upper-snake  letters upper case, each '-' an '_': db-password is DB_PASSWORD, and the
 *                  sections of .NET become the "__" of its environment variables. Words are not
 *                  split at capitals, because a vault does not tell those apart.
 *
 * Key Vault's names are letters, digits and hyphens, so no rule can make "..", a leading "/" is the
 * only way out, and path_check() refuses it as it does for aliases.
 */
#pragma once

#include "spc/spc.h"

/* The words of namePreset, NULL behind the last; the index is an enum spc_preset. */
extern const char *const spc_preset_names[];

/* *ret is not checked: it goes through path_check(). -ENOMEM. */
int spc_preset_apply(enum spc_preset preset, const char *name, char **ret);
