/* The other places where a managed identity gets its token, on the IMDS listener: App Service
 * (/msi/token), Azure Arc's agent (/arc/metadata/identity/oauth2/token) and the NMI of
 * aad-pod-identity (/host/token/). */
#pragma once

#include "tests/emulator/emulator.h"

/* What App Service gives its instances as IDENTITY_HEADER; no secret here. */
#define DEFAULT_IDENTITY_HEADER "emulator-identity-header"
/* Where the agent puts its key files. */
#define ARC_KEYS "/var/opt/azcmagent/tokens"

/* Whether the path is one of theirs; then the answer is filled. */
bool handle_managed(struct request *r, struct answer *a);

/* imds.c: the identity that the query names, NULL with *many set when it has to be named. */
struct identity *imds_find(const struct request *r, bool *many);
void imds_answer_token(struct request *r, struct answer *a, const struct identity *i);
void imds_fail(struct answer *a, unsigned status, const char *description);
