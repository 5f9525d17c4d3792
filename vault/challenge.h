/* WWW-Authenticate of a vault's 401 (RFC 9110 section 11.6.1):
 *
 *     Bearer authorization="https://login.microsoftonline.com/TENANT",
 * resource="https://vault.azure.net"
 *
 * Tells which resource a token has to be for, and which tenant the vault belongs to.
 */
#pragma once

#include "base/util.h"

#define CHALLENGE_MAX ((size_t)4096)

struct challenge {
        char *authorization; /* "" when absent */
        char *resource;
        char *scope; /* the parameter `scope` as sent, else resource; "" when neither is there */
};

/* The first Bearer challenge of a header that may hold several. -ENOENT when there is none,
 * -EBADMSG when the header cannot be read, -E2BIG above CHALLENGE_MAX, -ENOMEM. *ret is filled on
 * success only. */
int challenge_parse(const char *header, struct challenge *ret);
void challenge_done(struct challenge *c);

/* The scope for the v2.0 token endpoint: "/.default" is added when it is not there. The resource
 * must be an https URL, and host must end in "." and its host, so that no vault can ask for a token
 * that is good elsewhere: -EPERM. Caller frees. */
int challenge_scope(const struct challenge *c, const char *host, char **ret);

/* The last part of the authorization URL, NULL when it is no word of [0-9A-Za-z.-]. Borrowed. */
const char *challenge_tenant(const struct challenge *c);
