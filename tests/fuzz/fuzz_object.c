/* Answers of a vault: objects of every kind and what is written of them, lists, errors. The first
 * byte chooses. */
#include <openssl/err.h>

#include "base/http_impl.h"
#include "base/log.h"
#include "vault/list.h"
#include "vault/vault_error.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        log_set_level(LOG_ERROR);
        return 0;
}

static void object(enum vault_kind kind, const char *body, size_t len)
{
        static const enum vault_format formats[] = {VAULT_FORMAT_DEFAULT, VAULT_FORMAT_PFX};
        static const enum vault_encoding encodings[] = {
                VAULT_ENCODING_UTF8, VAULT_ENCODING_BASE64, VAULT_ENCODING_HEX};
        _cleanup_(vault_object_unrefp) struct vault_object *o = NULL;
        _cleanup_err_ struct err e = {0};

        if (vault_object_parse(kind, body, len, &o, &e) < 0) {
                if (o || !e.text)
                        abort();
                return;
        }
        for (size_t f = 0; f < ELEMENTSOF(formats); f++)
                for (size_t c = 0; c < ELEMENTSOF(encodings); c++) {
                        const struct vault_render how = {
                                .format = formats[f], .encoding = encodings[c]};
                        _cleanup_err_ struct err why = {0};
                        _cleanup_sec_ struct sec *out = NULL;
                        if ((vault_render(o, &how, &out, &why) == 0) != (out != NULL))
                                abort();
                        if (!out && !why.text)
                                abort();
                }
        if (ERR_peek_error() != 0)
                abort();
}

static void list(enum vault_kind kind, const char *body, size_t len)
{
        _cleanup_(version_list_done) struct version_list l = {0};
        _cleanup_free_ char *next = NULL;

        if (version_list_add_page(&l, kind, body, len, &next, NULL) < 0)
                return;
        version_list_sort(&l);
        if (next)
                (void)same_origin("https://v.vault.azure.net", next);
}

static void names(enum vault_kind kind, const char *body, size_t len)
{
        _cleanup_(name_list_done) struct name_list l = {0};
        _cleanup_free_ char *next = NULL;

        if (name_list_add_page(&l, kind, body, len, &next, NULL) < 0)
                return;
        for (size_t i = 0; i < l.names->n; i++)
                if (!*l.names->list[i].name)
                        abort();
}

static void error(int status, const char *body, size_t len)
{
        _cleanup_err_ struct err e = {0};
        struct http_exchange none = {0};
        const struct http_response resp = {
                .status = status, .body = body, .body_len = len, .peer = "", .private = &none};
        const struct vault_error_info info = {
                .kind = VAULT_SECRET,
                .name = "db",
                .version = "",
                .vault_url = "https://v.vault.azure.net",
                .identity = "an identity",
        };

        if (vault_error(&info, &resp, &e) >= 0 || !e.text || strpbrk(e.text, "\r\n\x1b"))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0)
                return 0;
        char *body = malloc(size);
        memcpy(body, data + 1, size - 1);
        body[size - 1] = '\0';
        switch (data[0] % 8) {
        case 0:
        case 1:
        case 2:
                object((enum vault_kind)(data[0] % 8), body, size - 1);
                break;
        case 3:
        case 4:
                list(data[0] % 8 == 3 ? VAULT_SECRET : VAULT_KEY, body, size - 1);
                names(data[0] % 8 == 3 ? VAULT_SECRET : VAULT_KEY, body, size - 1);
                break;
        case 5:
                error(401, body, size - 1);
                break;
        case 6:
                error(403, body, size - 1);
                break;
        default:
                error(404, body, size - 1);
                break;
        }
        free(body);
        return 0;
}
