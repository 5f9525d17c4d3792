/* Answers of token endpoints: the token, and the error made of what is none.
 *
 *     build/fuzz/tests/fuzz_token tests/fuzz/corpus/token
 */
#include "auth/mode.h"
#include "base/http_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void explain(const struct auth_params *p, int status, const char *body, size_t len)
{
        char headers[] = "Content-Type\0text/html\0Retry-After\0soon";
        struct http_exchange x = {.headers = headers, .headers_len = sizeof headers};
        struct http_response resp = {
                .status = status, .body = body, .body_len = len, .peer = "", .private = &x};
        _cleanup_err_ struct err e = {0};

        if (auth_error(p, "an identity", &resp, NULL, &e) >= 0 || !e.text || !e.hint)
                abort();
        if (strlen(e.text) > 4096 || strpbrk(e.text, "\r\n\x1b"))
                abort();
        if (p->client_secret && strstr(e.text, "s3cr3t"))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static char id[] = "id", endpoint[] = "https://endpoint/";
        static struct sec *secret;
        struct sec *token = NULL;
        int64_t lifetime = 0;

        if (size == 0)
                return 0;
        if (!secret && sec_new("s3cr3t", 6, &secret) < 0)
                abort();

        /* as http.c hands it on: terminated behind its length */
        _cleanup_free_ char *body = malloc(size);
        if (!body)
                return 0;
        memcpy(body, data + 1, size - 1);
        body[size - 1] = '\0';

        _cleanup_err_ struct err e = {0};
        if (auth_token_parse(body, size - 1, 1700000000, &token, &lifetime, &e) == 0) {
                if (sec_len(token) == 0 || lifetime <= 0)
                        abort();
                sec_unref(token);
        } else if (!e.text)
                abort();

        static const int statuses[] = {400, 401, 403, 404, 429, 500, 200, 302};
        int status = statuses[data[0] % ELEMENTSOF(statuses)];
        struct auth_params principal = {.mode = AUTH_CLIENT_SECRET,
                .tenant = id,
                .client_id = id,
                .authority = endpoint,
                .client_secret = secret};
        struct auth_params vm = {
                .mode = AUTH_VM_IDENTITY, .tenant = id, .client_id = id, .imds_endpoint = endpoint};
        explain(data[0] & 0x80 ? &vm : &principal, status, body, size - 1);
        return 0;
}
