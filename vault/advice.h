/* The next step after a vault's refusal, with the command that takes it. */
#pragma once

#include "vault/vault.h"

/* What was learned of the answer. Strings may be NULL. */
struct advice_facts {
        int status;
        const char *code, *inner; /* as sent */
        const char *message;      /* as sent, on one line */
        const char *tenant;       /* of the 401's challenge */
        bool html;
};

/* Sets e's hint; leaves it when nothing useful can be said. Words of the service go into a command
 * only when they are of the characters that ids are made of. */
void advice(const struct vault_error_info *info, const struct advice_facts *facts, struct err *e);
