#include "cli/control.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/wipe.h"

#define HEAD sizeof(((struct control_reader *)0)->head)

/* --- frames --- */

void control_reader_done(struct control_reader *r)
{
        erase_and_free(r->body);
        *r = (struct control_reader){0};
}

static int begin_body(struct control_reader *r)
{
        uint32_t len;

        memcpy(&len, r->head, sizeof len);
        len = ntohl(len);
        if (len == 0 || len > CONTROL_MESSAGE_MAX)
                return -EMSGSIZE;
        r->body = malloc((size_t)len + 1);
        if (!r->body)
                return -ENOMEM;
        r->body_len = len;
        return 0;
}

static int parse_body(struct control_reader *r, cJSON **ret)
{
        cJSON *j = NULL;

        int k = json_parse(r->body, r->body_len, &j);
        control_reader_done(r);
        if (k < 0)
                return k == -ENOMEM ? k : -EBADMSG;
        if (!cJSON_IsObject(j) || !json_string(j, "type")) {
                json_free(j);
                return -EBADMSG;
        }
        *ret = j;
        return 1;
}

int control_read(struct control_reader *r, int fd, cJSON **ret)
{
        for (;;) {
                char *into = (char *)r->head + r->have;
                size_t missing = HEAD - r->have;

                if (r->have >= HEAD) {
                        into = r->body + (r->have - HEAD);
                        missing = r->body_len - (r->have - HEAD);
                }
                ssize_t n = read(fd, into, missing);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return errno == EAGAIN ? 0 : -errno;
                }
                if (n == 0)
                        return r->have == 0 ? -ENODATA : -ECONNRESET;
                r->have += (size_t)n;
                if ((size_t)n < missing)
                        continue;
                if (r->body)
                        return parse_body(r, ret);
                int k = begin_body(r);
                if (k < 0)
                        return k;
        }
}

int control_encode(const cJSON *message, char **ret, size_t *ret_len)
{
        _cleanup_secret_ char *text = cJSON_PrintUnformatted(message);
        if (!text)
                return -ENOMEM;

        size_t len = strlen(text);
        if (len > CONTROL_MESSAGE_MAX)
                return -EMSGSIZE;
        char *frame = malloc(HEAD + len);
        if (!frame)
                return -ENOMEM;
        uint32_t head = htonl((uint32_t)len);
        memcpy(frame, &head, HEAD);
        memcpy(frame + HEAD, text, len);
        *ret = frame;
        *ret_len = HEAD + len;
        return 0;
}

/* --- messages --- */

cJSON *control_message(const char *type)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();

        if (!cJSON_AddStringToObject(j, "type", type))
                return NULL;
        return TAKE_PTR(j);
}

const char *control_type(const cJSON *message)
{
        return json_string(message, "type");
}

cJSON *control_error(const struct err *e)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();

        if (!cJSON_AddNumberToObject(j, "code", e->code) ||
                !cJSON_AddStringToObject(j, "cause", err_cause_name(e->cause)) ||
                !cJSON_AddStringToObject(j, "text", err_text(e)))
                return NULL;
        if (e->hint && !cJSON_AddStringToObject(j, "hint", e->hint))
                return NULL;
        return TAKE_PTR(j);
}

void control_error_parse(const cJSON *j, struct err *ret)
{
        const char *text = json_string(j, "text"), *hint = json_string(j, "hint"),
                   *cause = json_string(j, "cause");
        int64_t code;

        if (json_int64(j, "code", &code) < 0 || code >= 0 || code < -4095)
                code = -EIO;
        err_set(ret, (int)code, "%s", text ? text : "the worker gave no reason");
        for (int i = ERR_OTHER; cause && i <= ERR_LOCAL; i++)
                if (streq(cause, err_cause_name((enum err_cause)i)))
                        ret->cause = (enum err_cause)i;
        if (hint)
                err_hint(ret, "%s", hint);
}

int control_add_error(cJSON *message, const struct err *e)
{
        cJSON *list = cJSON_GetObjectItemCaseSensitive(message, "errors");

        if (!list)
                list = cJSON_AddArrayToObject(message, "errors");
        cJSON *item = list ? control_error(e) : NULL;
        if (!item)
                return -ENOMEM;
        cJSON_AddItemToArray(list, item);
        return 0;
}

/* --- places --- */

static int namespace_inode(const char *path, uint64_t *ret)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        *ret = st.st_ino;
        return 0;
}

static int hash_proxies(char out[static 65])
{
        /* what libcurl reads; HTTP_PROXY is left out there too */
        static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                "ALL_PROXY", "no_proxy", "NO_PROXY"};
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL);

        for (size_t i = 0; ok && i < ELEMENTSOF(names); i++) {
                const char *value = getenv(names[i]);
                /* with the zero byte, so that values cannot run into each other */
                if (value)
                        ok = EVP_DigestUpdate(md, names[i], strlen(names[i]) + 1) &&
                             EVP_DigestUpdate(md, value, strlen(value) + 1);
        }
        ok = ok && EVP_DigestFinal_ex(md, digest, &len) && len == 32;
        EVP_MD_CTX_free(md);
        if (!ok)
                return -ENOMEM;
        hex_encode(digest, 32, out);
        return 0;
}

int control_place_here(struct control_place *ret)
{
        struct control_place p = {0};
        int r = namespace_inode("/proc/self/ns/mnt", &p.mount_ns);

        if (r == 0)
                r = namespace_inode("/proc/self/ns/net", &p.net_ns);
        if (r == 0)
                r = namespace_inode("/proc/self/ns/user", &p.user_ns);
        if (r == 0)
                r = hash_proxies(p.proxies);
        if (r == 0)
                *ret = p;
        return r;
}

bool control_place_equal(const struct control_place *a, const struct control_place *b)
{
        return a->mount_ns == b->mount_ns && a->net_ns == b->net_ns && a->user_ns == b->user_ns &&
               streq(a->proxies, b->proxies);
}

/* --- hello --- */

cJSON *control_hello_format(const struct control_hello *h)
{
        _cleanup_json_ cJSON *j = control_message("hello");

        /* A double holds inode numbers of namespaces (32 bits) exactly. */
        if (!cJSON_AddNumberToObject(j, "protocol", (double)h->protocol) ||
                !cJSON_AddStringToObject(j, "version", h->version) ||
                !cJSON_AddNumberToObject(j, "uid", h->uid) ||
                !cJSON_AddNumberToObject(j, "worker_pid", h->worker_pid) ||
                !cJSON_AddNumberToObject(j, "keeper_pid", h->keeper_pid) ||
                !cJSON_AddBoolToObject(j, "accepts", h->accepts) ||
                !cJSON_AddStringToObject(j, "log", h->log) ||
                !cJSON_AddNumberToObject(j, "mount_ns", (double)h->place.mount_ns) ||
                !cJSON_AddNumberToObject(j, "net_ns", (double)h->place.net_ns) ||
                !cJSON_AddNumberToObject(j, "user_ns", (double)h->place.user_ns) ||
                !cJSON_AddStringToObject(j, "proxies", h->place.proxies))
                return NULL;
        return TAKE_PTR(j);
}

int control_hello_parse(const cJSON *j, struct control_hello *ret)
{
        const char *version = json_string(j, "version"), *log = json_string(j, "log"),
                   *proxies = json_string(j, "proxies");
        int64_t protocol, uid, worker, keeper, mount_ns, net_ns, user_ns;

        if (!streq(control_type(j), "hello") || json_int64(j, "protocol", &protocol) < 0)
                return -EBADMSG;
        if (protocol != CONTROL_PROTOCOL)
                return -EPROTONOSUPPORT;
        if (!version || !log || !proxies || json_int64(j, "uid", &uid) < 0 ||
                json_int64(j, "worker_pid", &worker) < 0 ||
                json_int64(j, "keeper_pid", &keeper) < 0 ||
                json_int64(j, "mount_ns", &mount_ns) < 0 || json_int64(j, "net_ns", &net_ns) < 0 ||
                json_int64(j, "user_ns", &user_ns) < 0 ||
                strlen(proxies) >= sizeof ret->place.proxies)
                return -EBADMSG;
        if (uid < 0 || uid > UINT32_MAX || worker < 0 || worker > INT32_MAX || keeper < 0 ||
                keeper > INT32_MAX || mount_ns < 0 || net_ns < 0 || user_ns < 0)
                return -EBADMSG;

        struct control_hello h = {
                .protocol = protocol,
                .version = strdup(version),
                .uid = (uid_t)uid,
                .worker_pid = (pid_t)worker,
                .keeper_pid = (pid_t)keeper,
                .accepts = json_bool(j, "accepts", false),
                .log = strdup(log),
                .place = {.mount_ns = (uint64_t)mount_ns,
                        .net_ns = (uint64_t)net_ns,
                        .user_ns = (uint64_t)user_ns},
        };
        memcpy(h.place.proxies, proxies, strlen(proxies) + 1);
        if (!h.version || !h.log) {
                control_hello_done(&h);
                return -ENOMEM;
        }
        *ret = h;
        return 0;
}

void control_hello_done(struct control_hello *h)
{
        free(h->version);
        free(h->log);
        *h = (struct control_hello){0};
}
