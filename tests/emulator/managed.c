#include "tests/emulator/managed.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <strings.h>

#include "base/wipe.h"
#include "tests/emulator/sent.h"

static void closedirp(DIR **dir)
{
        if (*dir)
                closedir(*dir);
}

static bool complete(struct request *r, struct answer *a, const char *api_version)
{
        const char *version = request_param(r, "api-version");

        if (!streq(r->method, "GET"))
                imds_fail(a, MHD_HTTP_METHOD_NOT_ALLOWED, "Method not allowed");
        else if (!version || !streq(version, api_version))
                imds_fail(a, MHD_HTTP_BAD_REQUEST, "api-version is missing or not this one's");
        else if (isempty(request_param(r, "resource")))
                imds_fail(a, MHD_HTTP_BAD_REQUEST, "Required query variable 'resource' is missing");
        else
                return true;
        return false;
}

static void answer_identity(struct request *r, struct answer *a)
{
        bool many = false;
        const struct identity *i = imds_find(r, &many);

        if (!i) {
                imds_fail(a, MHD_HTTP_BAD_REQUEST,
                        many ? "Multiple user assigned identities exist" : "Identity not found");
                return;
        }
        (void)set_string(&r->identity, i->client_id);
        imds_answer_token(r, a, i);
}

static void app_service(struct request *r, struct answer *a)
{
        const char *header = request_header(r, "X-IDENTITY-HEADER");

        r->operation = "app-service.token";
        if (!header || !streq(header, DEFAULT_IDENTITY_HEADER))
                imds_fail(a, MHD_HTTP_UNAUTHORIZED, "X-IDENTITY-HEADER is not this instance's");
        else if (complete(r, a, "2019-08-01"))
                answer_identity(r, a);
}

/* A new key for each request that brings none, as the agent does; good for one. */
static void arc_challenge(struct answer *a)
{
        char name[GUID_LEN + 1], key[GUID_LEN + 1];
        _cleanup_free_ char *path = NULL;

        guid_make(name);
        guid_make(key);
        imds_fail(a, MHD_HTTP_UNAUTHORIZED, "unauthorized");
        if (xasprintf(&path, ARC_KEYS "/%s.key", name) < 0)
                return;
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || write_all(fd, key, GUID_LEN) < 0)
                return;
        answer_header(a, "WWW-Authenticate", "Basic realm=%s", path);
}

/* Whether some key file of ours holds what was sent; it is used up. */
static bool arc_proven(const char *header)
{
        const char *key = header ? startswith(header, "Basic ") : NULL;
        bool found = false;

        _cleanup_(closedirp) DIR *dir = key ? opendir(ARC_KEYS) : NULL;
        for (const struct dirent *de; dir && !found && (de = readdir(dir));) {
                _cleanup_free_ char *path = NULL, *text = NULL;
                size_t len = 0;

                if (de->d_name[0] == '.' || xasprintf(&path, ARC_KEYS "/%s", de->d_name) < 0 ||
                        read_whole_file(path, 4096, &text, &len) < 0)
                        continue;
                found = streq(text, key);
                if (found)
                        (void)unlink(path);
        }
        return found;
}

static void arc(struct request *r, struct answer *a)
{
        const char *metadata = request_header(r, "Metadata");
        const char *authorization = request_header(r, "Authorization");

        r->operation = "arc.token";
        if (!metadata || strcasecmp(metadata, "true") != 0)
                imds_fail(a, MHD_HTTP_BAD_REQUEST, "Required metadata header not specified");
        else if (!complete(r, a, "2020-06-01"))
                return;
        else if (!authorization)
                arc_challenge(a);
        else if (!arc_proven(authorization))
                imds_fail(a, MHD_HTTP_FORBIDDEN, "the key is not right");
        else
                answer_identity(r, a);
}

/* --- NMI --- */

static const struct identity *of_pod(const struct request *r)
{
        const char *namespace = request_header(r, "podns"), *name = request_header(r, "podname");
        _cleanup_free_ char *pod = NULL;

        if (!namespace || !name || xasprintf(&pod, "%s/%s", namespace, name) < 0)
                return NULL;
        for (const struct identity *i = store_identities(r->emu->store); i; i = i->next)
                if (i->pod && streq(i->pod, pod))
                        return i;
        return NULL;
}

static void nmi(struct request *r, struct answer *a)
{
        const char *resource = request_param(r, "resource");
        int64_t lifetime = r->emu->settings.imds_lifetime, now = now_seconds();
        _cleanup_secret_ char *token = NULL;
        struct out o = {0};

        r->operation = "nmi.token";
        const struct identity *i = of_pod(r);
        if (!request_header(r, "podns") || !request_header(r, "podname")) {
                answer_text(a, MHD_HTTP_BAD_REQUEST, "missing podname or podns header\n");
                return;
        }
        if (!i) {
                answer_text(a, MHD_HTTP_NOT_FOUND, "no AzureAssignedIdentity found for pod\n");
                return;
        }
        (void)set_string(&r->identity, i->client_id);
        if (isempty(resource) || token_issue(&r->emu->signer, i, resource, lifetime, &token) < 0) {
                answer_text(a, MHD_HTTP_INTERNAL_SERVER_ERROR, "failed to get a token\n");
                return;
        }
        out_open(&o, '{');
        out_key(&o, "token");
        out_open(&o, '{');
        out_member(&o, "access_token", token);
        out_member(&o, "refresh_token", "");
        out_memberf(&o, "expires_in", "%lld", (long long)lifetime);
        out_memberf(&o, "expires_on", "%lld", (long long)now + lifetime);
        out_memberf(&o, "not_before", "%lld", (long long)now);
        out_member(&o, "resource", resource);
        out_member(&o, "token_type", "Bearer");
        out_close(&o, '}');
        out_member(&o, "clientid", i->client_id);
        out_close(&o, '}');
        answer_out(a, MHD_HTTP_OK, &o);
}

bool handle_managed(struct request *r, struct answer *a)
{
        char **s = r->segments;
        void (*handler)(struct request *, struct answer *) = NULL;

        if (r->n_segments == 2 && streq(s[0], "msi") && streq(s[1], "token"))
                handler = app_service;
        else if (r->n_segments == 2 && streq(s[0], "host") && streq(s[1], "token"))
                handler = nmi;
        else if (r->n_segments == 5 && streq(s[0], "arc") && streq(s[1], "metadata") &&
                 streq(s[4], "token"))
                handler = arc;
        if (!handler)
                return false;
        note_sent(r);
        handler(r, a);
        return true;
}
