/* Certificate policies: checked, completed with the service's defaults, in its order of members. */
#pragma once

#include <openssl/x509.h>

#include "base/err.h"
#include "base/json.h"

/* given may be NULL or partial; what it lacks comes from before (NULL: the defaults).
 * -EINVAL with the reason in e. */
int policy_complete(const cJSON *given, const cJSON *before, cJSON **ret, struct err *e);
/* The policy of an imported certificate: what it says of itself, then what `given` says. */
int policy_of_import(
        X509 *cert, const char *content_type, const cJSON *given, cJSON **ret, struct err *e);

/* Of a completed policy. Never NULL. */
const char *policy_kty(const cJSON *policy);
const char *policy_crv(const cJSON *policy); /* NULL for RSA */
int policy_key_size(const cJSON *policy);
bool policy_exportable(const cJSON *policy);
bool policy_reuse_key(const cJSON *policy);
const char *policy_content_type(const cJSON *policy);
const char *policy_subject(const cJSON *policy);
const char *policy_issuer(const cJSON *policy);
const cJSON *policy_x509(const cJSON *policy);
