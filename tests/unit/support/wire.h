/* Recorded exchanges of the real services, read from the folder that AKVFS_WIRE names (by default
 * ../shared/wire beside the repository). They are not part of the repository: without them the
 * tests that replay them say so and are skipped, but with CI=true they fail. */
#pragma once

#include <stddef.h>

#include "base/http.h"
#include "base/json.h"

/* The folder, or NULL when it is not there: then return from the test. */
const char *wire_folder(void);

/* The names (without .json) that begin with the prefix, sorted; NULL-terminated. */
char **wire_list(const char *prefix);
void wire_list_free(char **names);
static inline void wire_list_freep(char ***names)
{
        wire_list_free(*names);
}

struct wire {
        cJSON *file;
        const char *shows;
        const char *method, *url, *request_body;
        int status;
        const char *body; /* of the answer */
        size_t body_len;
        const cJSON *headers;          /* of the answer: name to string or to a list of strings */
        struct http_response response; /* the answer as http_send() would hand it on */
        void *exchange;
};
/* Fails the test when there is no such file. */
void wire_load(const char *name, struct wire *ret);
void wire_done(struct wire *w);

/* An answer made up by a test, with headers ("Name: value", NULL-terminated or NULL). */
void wire_make(int status, const char *body, const char *const *headers, struct wire *ret);
