/* Answers as base/http would hand them out, for tests that need no server. */
#pragma once

#include "base/http_impl.h"

struct answer {
        struct http_response resp;
        struct http_exchange exchange;
        char headers[1024];
};

/* One header, or none when name is NULL. */
static inline struct http_response *answer_make(
        struct answer *a, int status, const char *body, const char *name, const char *value)
{
        *a = (struct answer){0};
        if (name) {
                size_t n = strlen(name) + 1, m = strlen(value) + 1;
                memcpy(a->headers, name, n);
                memcpy(a->headers + n, value, m);
                a->exchange.headers_len = n + m;
        }
        a->exchange.headers = a->headers;
        a->resp = (struct http_response){
                .status = status,
                .body = body,
                .body_len = strlen(body),
                .peer = "",
                .tries = 1,
                .private = &a->exchange,
        };
        return &a->resp;
}
