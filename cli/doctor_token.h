/* What an access token says of itself: the claims that matter when a vault refuses it.
 *
 * For telling only: nothing is verified, which is the vault's business. A token may also be opaque.
 */
#pragma once

#include "base/sec.h"

#define DOCTOR_CLAIM_MAX 128

struct doctor_claims {
        char audience[DOCTOR_CLAIM_MAX], issuer[DOCTOR_CLAIM_MAX];
        char application[DOCTOR_CLAIM_MAX]; /* appid, or azp in v2 tokens */
        char object[DOCTOR_CLAIM_MAX];      /* oid */
        char tenant[DOCTOR_CLAIM_MAX];      /* tid */
        int64_t expires;                    /* exp; 0 unknown */
};

/* -EBADMSG when it is no JSON Web Token (RFC 7519); -ENOMEM. Claims are cut, and "" when absent. */
int doctor_claims_read(const struct sec *token, struct doctor_claims *ret);
