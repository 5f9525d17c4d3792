/* Which proxy, if any. libcurl would find out by itself; we decide in its place so that error
 * messages can say that a proxy stood between, and which. The rules are those of curl(1). */
#include <arpa/inet.h>
#include <ctype.h>
#include <strings.h>

#include "base/http_impl.h"
#include "base/wipe.h"

/* An address of either family as bytes: 4, 16, or 0 when it is none. */
static size_t parse_address(const char *s, size_t len, unsigned char out[16])
{
        char buf[INET6_ADDRSTRLEN];

        if (len >= 2 && s[0] == '[' && s[len - 1] == ']') {
                s++;
                len -= 2;
        }
        if (len >= sizeof buf)
                return 0;
        memcpy(buf, s, len);
        buf[len] = '\0';
        if (inet_pton(AF_INET, buf, out) == 1)
                return 4;
        if (inet_pton(AF_INET6, buf, out) == 1)
                return 16;
        return 0;
}

static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned bits)
{
        if (memcmp(a, b, bits / 8) != 0)
                return false;
        unsigned rest = bits % 8;
        return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

static bool entry_matches_address(
        const char *entry, size_t len, const unsigned char *address, size_t address_len)
{
        const char *slash = memchr(entry, '/', len);
        unsigned char network[16];
        unsigned bits = (unsigned)address_len * 8;

        if (slash) {
                size_t digits = len - (size_t)(slash + 1 - entry);
                char number[4];
                uint64_t v;
                if (digits == 0 || digits >= sizeof number)
                        return false;
                memcpy(number, slash + 1, digits);
                number[digits] = '\0';
                if (parse_u64(number, bits, &v) < 0)
                        return false;
                bits = (unsigned)v;
                len = (size_t)(slash - entry);
        }
        return parse_address(entry, len, network) == address_len &&
               same_bits(network, address, bits);
}

static bool entry_matches_name(const char *entry, size_t len, const char *host, size_t host_len)
{
        if (len > 0 && entry[0] == '.') {
                entry++;
                len--;
        }
        if (len > 0 && entry[len - 1] == '.')
                len--;
        if (len == 0 || host_len < len || strncasecmp(host + host_len - len, entry, len) != 0)
                return false;
        return host_len == len || host[host_len - len - 1] == '.';
}

bool http_no_proxy_matches(const char *list, const char *host)
{
        unsigned char address[16];
        size_t host_len = strlen(host);
        size_t address_len = parse_address(host, host_len, address);

        if (host_len > 0 && host[host_len - 1] == '.')
                host_len--;
        if (streq(list, "*"))
                return true;
        for (const char *p = list; *p;) {
                size_t len = strcspn(p, ", \t");
                if (len > 0 && (address_len ? entry_matches_address(p, len, address, address_len)
                                            : entry_matches_name(p, len, host, host_len)))
                        return true;
                p += len;
                p += strspn(p, ", \t");
        }
        return false;
}

static const char *from_environment(const char *scheme)
{
        /* HTTP_PROXY in capitals is what a CGI server sets from a request's Proxy header. */
        static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
        static const char *const https[] = {
                "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};

        for (const char *const *name = streq(scheme, "https") ? https : http; *name; name++) {
                const char *value = getenv(*name);
                if (!isempty(value))
                        return value;
        }
        return NULL;
}

int http_proxy_for(
        const char *scheme, const char *host, const struct http_endpoint *endpoint, char **ret)
{
        const char *proxy = endpoint ? endpoint->proxy : NULL;

        if (!proxy) {
                const char *except = getenv("no_proxy");
                if (!except)
                        except = getenv("NO_PROXY");
                proxy = from_environment(scheme);
                if (proxy && except && http_no_proxy_matches(except, host))
                        proxy = NULL;
        }
        char *copy = NULL;
        if (!isempty(proxy) && !(copy = strdup(proxy)))
                return -ENOMEM;
        *ret = copy;
        return 0;
}

int http_proxy_name(const char *url, char **ret)
{
        _cleanup_secret_ char *scratch = strdup(url);
        if (!scratch)
                return -ENOMEM;

        char *p = strstr(scratch, "://");
        p = p ? p + 3 : scratch;
        p[strcspn(p, "/?#")] = '\0';
        char *at = strrchr(p, '@');
        if (at)
                p = at + 1;
        for (char *c = p; *c; c++)
                if (!isgraph((unsigned char)*c))
                        *c = '?';
        char *name = strdup(p);
        if (!name)
                return -ENOMEM;
        *ret = name;
        return 0;
}
