/* A path, a NUL, and the JSON text it is looked up in. */
#include "base/wipe.h"
#include "vault/jsonpick.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                 \
        do {                     \
                if (!(x))        \
                        abort(); \
        } while (0)

/* What a path is made of keeps its promises. */
static void check_path(const struct jsonpath *path, size_t len)
{
        CHECK(path->n <= JSONPATH_SEGMENTS_MAX && len <= JSONPATH_MAX);
        for (size_t i = 0; i < path->n; i++) {
                const struct jsonpath_segment *s = &path->segments[i];

                CHECK(s->end <= len && (i == 0 || s->end > path->segments[i - 1].end));
                CHECK(s->name ||
                        (s->index >= -JSONPATH_INDEX_MAX && s->index <= JSONPATH_INDEX_MAX));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_jsonpath_ struct jsonpath path = {0};
        _cleanup_free_ char *text = NULL;
        _cleanup_sec_ struct sec *out = NULL;
        _cleanup_err_ struct err e = {0};
        const char *why = NULL;
        size_t at = SIZE_MAX;

        const uint8_t *nul = memchr(data, 0, size);
        if (!nul)
                return 0;
        text = strdup((const char *)data);
        CHECK(text);
        if (jsonpath_parse(text, &path, &why, &at) < 0) {
                CHECK(why && at <= strlen(text) && path.n == 0);
                return 0;
        }
        check_path(&path, strlen(text));
        /* An allocation of its own, so that reading past the end is seen. */
        size_t len = size - (size_t)(nul + 1 - data);
        _cleanup_secret_ char *json = malloc(len + 1);
        CHECK(json);
        memcpy(json, nul + 1, len);
        json[len] = '\0';
        _cleanup_free_ char *exact = malloc(len ? len : 1);
        CHECK(exact);
        memcpy(exact, json, len);
        int r = jsonpick(exact, len, &path, text, &out, &e);
        CHECK((r == 0) == (out != NULL) && (r == 0) == !e.text);
        CHECK(r != 0 || sec_len(out) <= 3 * len);
        return 0;
}
