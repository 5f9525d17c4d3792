#include "base/wipe.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <malloc.h>
#include <openssl/crypto.h>

void *wipe_malloc(size_t n)
{
        return malloc(n);
}

void *wipe_calloc(size_t n, size_t size)
{
        return calloc(n, size);
}

void erase_and_free(void *p)
{
        if (!p)
                return;
        explicit_bzero(p, malloc_usable_size(p));
        free(p);
}

void *wipe_realloc(void *p, size_t n)
{
        if (!p)
                return malloc(n);

        size_t old = malloc_usable_size(p);
        if (n != 0 && n <= old) {
                explicit_bzero((char *)p + n, old - n);
                return p;
        }
        if (n == 0) {
                erase_and_free(p);
                return NULL;
        }
        void *q = malloc(n);
        if (!q)
                return NULL;
        memcpy(q, p, old);
        erase_and_free(p);
        return q;
}

char *wipe_strdup(const char *s)
{
        return strdup(s);
}

char *wipe_join(const char *prefix, const void *bytes, size_t len)
{
        size_t n = strlen(prefix);
        char *s = malloc(n + len + 1);

        if (!s)
                return NULL;
        memcpy(s, prefix, n);
        memcpy(s + n, bytes, len);
        s[n + len] = '\0';
        return s;
}

static void *openssl_malloc(size_t n, const char *file, int line)
{
        return n ? malloc(n) : NULL;
}

static void *openssl_realloc(void *p, size_t n, const char *file, int line)
{
        return wipe_realloc(p, n);
}

static void openssl_free(void *p, const char *file, int line)
{
        erase_and_free(p);
}

int wipe_install(void)
{
        cJSON_Hooks hooks = {.malloc_fn = wipe_malloc, .free_fn = erase_and_free};

        /* Has to come first: libcurl starts OpenSSL, after which its allocator cannot change. */
        if (!CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free))
                return -EIO;
        if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, wipe_malloc, erase_and_free, wipe_realloc,
                    wipe_strdup, wipe_calloc) != CURLE_OK)
                return -EIO;
        cJSON_InitHooks(&hooks);
        return 0;
}
