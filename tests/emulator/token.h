/* Bearer tokens: three base64url parts like Entra's, signed with a key that lives as long as the
 * process. Clients treat them as opaque; the emulator reads them back. */
#pragma once

#include "base/util.h"

struct identity;

struct token_signer {
        unsigned char key[32];
};
int token_signer_init(struct token_signer *s);

/* A token of about 1.3 KB. Caller frees with erase_and_free. */
int token_issue(const struct token_signer *s, const struct identity *i, const char *audience,
        int64_t lifetime, char **ret);

struct token {
        char *audience, *issuer, *client_id, *object_id;
        int64_t expires;
        uint64_t generation;
};
/* -EBADMSG when this emulator did not issue it. Says nothing of expiry. */
int token_read(const struct token_signer *s, const char *text, struct token *ret);
void token_done(struct token *t);
