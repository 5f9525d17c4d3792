/* Signed client assertions: those that an application proves itself with by its certificate. */
#pragma once

#include "tests/emulator/store.h"

/* Claims (part 1) or header (part 0) of a token, or NULL. */
cJSON *assertion_part(const char *jwt, unsigned part);

enum assertion_fault {
        ASSERTION_GOOD,
        ASSERTION_UNKNOWN_KEY, /* no registered certificate has that thumbprint */
        ASSERTION_BAD_SIGNATURE,
        ASSERTION_BAD_FORM, /* algorithm or thumbprint of a kind that this endpoint does not take */
};
/* By the certificates registered for i: PS256 with x5t#S256, or RS256 with x5t. */
enum assertion_fault assertion_verify(const struct identity *i, const char *jwt);
