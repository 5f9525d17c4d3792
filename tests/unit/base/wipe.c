#include "base/wipe.h"

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "base/http.h"
#include "base/json.h"
#include "base/sec.h"
#include "support/forked.h"
#include "support/memory.h"
#include "support/server.h"

enum { N = 32 };
static unsigned char secret[N];

static void set_up(void)
{
        test_init();
        test_masked_random(secret, N);
}

TestSuite(wipe, .init = set_up, .timeout = 120);

Test(wipe, the_search_finds_what_is_there, .disabled = !TEST_MEMORY_SEARCH)
{
        char *p = malloc(N + 1);

        cr_assert_eq(test_memory_count(secret, N), 0);
        test_unmask(secret, N, p);
        cr_assert_eq(test_memory_count(secret, N), 1);
        erase_and_free(p);
        cr_assert_eq(test_memory_count(secret, N), 0);
        erase_and_free(NULL);
}

Test(wipe, growing_shrinking_and_freeing, .disabled = !TEST_MEMORY_SEARCH)
{
        static const size_t sizes[] = {N + 1, 10000, 300, 1 << 20, 40};
        char *p = NULL;

        p = wipe_realloc(p, N + 1);
        test_unmask(secret, N, p);
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                p = wipe_realloc(p, sizes[i]);
                cr_assert_not_null(p);
                cr_assert_eq(test_memory_count(secret, N), 1, "size %zu", sizes[i]);
        }
        p = wipe_realloc(p, 10); /* most of it falls off */
        cr_assert_eq(test_memory_count(secret, N), 0);
        cr_assert_null(wipe_realloc(p, 0));
        char *copy = wipe_strdup("x"), *zero = wipe_calloc(3, 5);
        for (int i = 0; i < 15; i++)
                cr_assert_eq(zero[i], 0);
        erase_and_free(copy);
        erase_and_free(zero);
}

Test(wipe, joining)
{
        _cleanup_secret_ char *a = wipe_join("Basic ", "key\n", 3), *b = wipe_join("", "x", 0);

        cr_assert_str_eq(a, "Basic key");
        cr_assert_str_eq(b, "");
}

Test(wipe, clean_up_attribute, .disabled = !TEST_MEMORY_SEARCH)
{
        {
                _cleanup_secret_ char *p = malloc(100);
                test_unmask(secret, N, p);
        }
        cr_assert_eq(test_memory_count(secret, N), 0);
}

Test(wipe, the_three_libraries, .disabled = !TEST_MEMORY_SEARCH)
{
        char plain[N + 1], text[N + 16];

        test_unmask(secret, N, plain);
        snprintf(text, sizeof text, "{\"v\":\"%s\"}", plain);

        cJSON *j = NULL;
        cr_assert_eq(json_parse(text, strlen(text), &j), 0);
        cr_assert_str_eq(json_string(j, "v"), plain);
        json_free(j);

        char *p = OPENSSL_strdup(plain);
        p = OPENSSL_realloc(p, 1000);
        OPENSSL_free(p);
        CRYPTO_free(OPENSSL_memdup(plain, N), "", 0);

        struct curl_slist *list = curl_slist_append(NULL, plain);
        curl_slist_free_all(list);
        CURL *easy = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, plain);
        curl_easy_setopt(easy, CURLOPT_USERPWD, plain);
        curl_easy_cleanup(easy);

        explicit_bzero(plain, sizeof plain);
        explicit_bzero(text, sizeof text);
        cr_assert_eq(test_memory_count(secret, N), 0);
}

Test(wipe, installed_twice_is_fine)
{
        OPENSSL_free(OPENSSL_malloc(1));
        cr_assert_eq(wipe_install(), 0);
}

/* --- a whole exchange --- */

static unsigned char token[N], sent[N];

static void make_body(char *out, size_t size)
{
        char plain[N + 1];

        test_unmask(secret, N, plain);
        snprintf(out, size, "{\"value\":\"%s\"}", plain);
}

static void on_done(void *userdata, struct http_response *resp)
{
        struct sec **ret = userdata;
        cJSON *j = NULL;

        cr_assert_eq(resp->status, 200, "%s", err_text(&resp->error));
        cr_assert_eq(json_parse(resp->body, resp->body_len, &j), 0);
        const char *value = json_string(j, "value");
        cr_assert_eq(sec_new(value, strlen(value), ret), 0);
        json_free(j);
}

static struct sec *fetch(struct loop *l, struct http_client *c, const char *url, const char *ca)
{
        char plain[N + 1], header[N + 32], body[N + 32];
        const char *headers[] = {header, NULL};
        struct http_endpoint ep = {.ca_file = ca, .proxy = ""};
        struct sec *value = NULL;

        test_unmask(token, N, plain);
        snprintf(header, sizeof header, "Authorization: Bearer %s", plain);
        test_unmask(sent, N, plain);
        snprintf(body, sizeof body, "client_secret=%s", plain);
        struct http_request q = {.method = "POST",
                .url = url,
                .headers = headers,
                .body = body,
                .body_len = strlen(body),
                .endpoint = &ep};
        cr_assert_eq(http_send_retrying(c, &q, NULL, on_done, &value, NULL, NULL), 0);
        explicit_bzero(plain, sizeof plain);
        explicit_bzero(header, sizeof header);
        explicit_bzero(body, sizeof body);
        while (!value)
                cr_assert_geq(loop_turn(l, USEC_INFINITY), 0);
        return value;
}

/* After an answer neither what was sent nor what was received is anywhere but in the struct sec,
 * while the connection is kept; and after that is given back, nowhere. */
Test(wipe, nothing_is_left_of_an_exchange, .disabled = !TEST_MEMORY_SEARCH)
{
        struct forked_server server;
        struct loop *l;
        struct http_client *c;

        test_masked_random(token, N);
        test_masked_random(sent, N);
        forked_server_start(&server, make_body);

        cr_assert_eq(loop_new(&l), 0);
        cr_assert_eq(http_client_new(l, &c), 0);
        struct sec *value = fetch(l, c, server.url, server.ca_file);
        loop_turn(l, 0); /* what freed itself in a callback */
        cr_assert_eq(test_memory_count(token, N), 0, "the token is left");
        cr_assert_eq(test_memory_count(sent, N), 0, "the request's body is left");
        /* in the struct sec, and not even there where its memory cannot be read from outside */
        cr_assert_leq(test_memory_count(secret, N), 1, "the answer is there more than once");
        sec_unref(value);
        cr_assert_eq(test_memory_count(secret, N), 0, "the answer is left");

        http_client_free(c);
        loop_free(l);
        forked_server_stop(&server);
}
