/* What a token request had in it, for the request log: headers and form fields, so that a test can
 * hold a client to the exact request. Secrets are told by their presence only, and assertions by
 * their header and claims. */
#pragma once

#include "tests/emulator/http.h"

/* Sets r->sent, a JSON object. The form has to be parsed already. */
void note_sent(struct request *r);
