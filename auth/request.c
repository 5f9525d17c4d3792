/* What the modes make their requests with. */
#include "auth/mode.h"
#include "base/wipe.h"

void auth_request_done(struct auth_request *q)
{
        free(q->url);
        free(q->host);
        free(q->connect_to);
        erase_and_free(q->header);
        erase_and_free(q->body);
        *q = (struct auth_request){0};
}

void auth_request_finish(struct auth_request *q, struct auth_request *ret)
{
        *ret = *q;
        *q = (struct auth_request){0};
        ret->request = (struct http_request){
                .method = ret->body ? "POST" : "GET",
                .url = ret->url,
                .headers = ret->headers,
                .body = ret->body,
                .body_len = ret->body ? strlen(ret->body) : 0,
                .endpoint = &ret->endpoint,
        };
}

int auth_resource_of_scope(const char *scope, char **ret)
{
        static const char suffix[] = "/.default";
        size_t len = strlen(scope), suffix_len = sizeof suffix - 1;

        if (len > suffix_len && streq(scope + len - suffix_len, suffix))
                len -= suffix_len;
        char *resource = strndup(scope, len);
        if (!resource)
                return -ENOMEM;
        *ret = resource;
        return 0;
}
