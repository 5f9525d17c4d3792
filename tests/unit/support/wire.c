#include "wire.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "base/http_impl.h"

const char *wire_folder(void)
{
        const char *folder = getenv("AKVFS_WIRE"), *ci = getenv("CI");

        if (isempty(folder))
                folder = "../shared/wire";
        if (access(folder, R_OK | X_OK) == 0)
                return folder;
        if (ci && streq(ci, "true"))
                cr_assert_fail("no recordings in %s: set AKVFS_WIRE", folder);
        cr_skip("no recordings in %s: set AKVFS_WIRE", folder);
        return NULL;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

char **wire_list(const char *prefix)
{
        const char *folder = wire_folder();
        char **names = calloc(1, sizeof *names);
        size_t n = 0;
        DIR *d = opendir(folder);

        cr_assert(names && d);
        for (struct dirent *de; (de = readdir(d));) {
                size_t len = strlen(de->d_name);
                if (len < 6 || !streq(de->d_name + len - 5, ".json") ||
                        !startswith(de->d_name, prefix))
                        continue;
                names = realloc(names, (n + 2) * sizeof *names);
                cr_assert(names);
                names[n++] = strndup(de->d_name, len - 5);
                names[n] = NULL;
        }
        closedir(d);
        if (n > 0)
                qsort(names, n, sizeof *names, by_name);
        cr_assert_gt(n, 0, "no recording %s* in %s", prefix, folder);
        return names;
}

void wire_list_free(char **names)
{
        for (char **p = names; p && *p; p++)
                free(*p);
        free(names);
}

static void add(struct http_exchange *x, const char *name, const char *value)
{
        size_t a = strlen(name) + 1, b = strlen(value) + 1;

        x->headers = realloc(x->headers, x->headers_len + a + b);
        cr_assert(x->headers);
        memcpy(x->headers + x->headers_len, name, a);
        memcpy(x->headers + x->headers_len + a, value, b);
        x->headers_len += a + b;
}

static void finish(struct wire *w)
{
        w->response = (struct http_response){
                .status = w->status,
                .body = w->body,
                .body_len = w->body_len,
                .peer = "",
                .tries = 1,
                .private = w->exchange,
        };
}

void wire_load(const char *name, struct wire *ret)
{
        char path[4096];
        _cleanup_free_ char *text = NULL;
        size_t len;
        const cJSON *h;

        *ret = (struct wire){0};
        snprintf(path, sizeof path, "%s/%s.json", wire_folder(), name);
        int r = read_whole_file(path, 1 << 20, &text, &len);
        cr_assert_eq(r, 0, "%s: %s", path, strerror(-r));
        cr_assert_eq(json_parse(text, len, &ret->file), 0, "%s", path);

        const cJSON *request = json_get(ret->file, "request");
        const cJSON *response = json_get(ret->file, "response");
        int64_t status = 0;
        cr_assert_eq(json_int64(response, "status", &status), 0, "%s", path);
        ret->shows = json_string(ret->file, "shows");
        ret->method = json_string(request, "method");
        ret->url = json_string(request, "url");
        ret->request_body = json_string(request, "body");
        ret->status = (int)status;
        ret->body = json_string(response, "body");
        if (!ret->body)
                ret->body = "";
        ret->body_len = strlen(ret->body);
        ret->headers = json_get(response, "headers");

        struct http_exchange *x = calloc(1, sizeof *x);
        cr_assert(x);
        cJSON_ArrayForEach (h, ret->headers) {
                const cJSON *item;
                if (cJSON_IsString(h))
                        add(x, h->string, h->valuestring);
                else
                        cJSON_ArrayForEach (item, h)
                                add(x, h->string, item->valuestring);
        }
        ret->exchange = x;
        finish(ret);
}

void wire_make(int status, const char *body, const char *const *headers, struct wire *ret)
{
        struct http_exchange *x = calloc(1, sizeof *x);

        cr_assert(x);
        for (; headers && *headers; headers++) {
                char name[256];
                const char *colon = strchr(*headers, ':');
                cr_assert(colon && (size_t)(colon - *headers) < sizeof name);
                snprintf(name, sizeof name, "%.*s", (int)(colon - *headers), *headers);
                add(x, name, colon + 1 + strspn(colon + 1, " "));
        }
        *ret = (struct wire){
                .status = status, .body = body, .body_len = strlen(body), .exchange = x};
        finish(ret);
}

void wire_done(struct wire *w)
{
        struct http_exchange *x = w->exchange;

        if (x)
                free(x->headers);
        free(x);
        err_done(&w->response.error);
        json_free(w->file);
        *w = (struct wire){0};
}
