/* Inside vault/: the frame of every message about an object. */
#pragma once

#include "vault/vault.h"

/* Puts "failed to get objectType:..., objectName:..., objectVersion:...: vault URL, as IDENTITY: "
 * before the text, for failures that are no answer of the service; info->identity NULL when the
 * text names it already. Returns r. */
int vault_error_frame(const struct vault_error_info *info, int r, struct err *e);
