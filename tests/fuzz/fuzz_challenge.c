/* WWW-Authenticate of a 401, and the scope and tenant that are made of it. */
#include "vault/challenge.h"

#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char host[] = "v.vault.azure.net";
        _cleanup_(challenge_done) struct challenge c = {0};
        _cleanup_free_ char *header = strndup((const char *)data, size), *scope = NULL;

        if (challenge_parse(header, &c) < 0) {
                if (c.scope || c.resource || c.authorization)
                        abort();
                return 0;
        }
        const char *tenant = challenge_tenant(&c);
        if (tenant && strpbrk(tenant, "/?# \"'\\"))
                abort();
        if (challenge_scope(&c, host, &scope) < 0)
                return 0;
        /* Whatever was sent, the token is for the vault's own domain. */
        if (strncasecmp(scope, "https://vault.azure.net", 23) != 0 &&
                strncasecmp(scope, "https://azure.net", 17) != 0)
                abort();
        return 0;
}
