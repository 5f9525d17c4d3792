/* What went wrong below HTTP, in words: cause, where, through what, and what to do about it. */
#include <openssl/x509_vfy.h>
#include <stdio.h>

#include "base/http_impl.h"

struct limit_text {
        char text[32];
};

static struct limit_text seconds(unsigned ms)
{
        struct limit_text t;

        if (ms % 1000 == 0)
                snprintf(t.text, sizeof t.text, "%u s", ms / 1000);
        else
                snprintf(t.text, sizeof t.text, "%u ms", ms);
        return t;
}

static curl_off_t info_time(CURL *easy, CURLINFO what)
{
        curl_off_t v = 0;

        curl_easy_getinfo(easy, what, &v);
        return v;
}

enum stage { LOOKING_UP, CONNECTING, SHAKING_HANDS, WAITING, RECEIVING };

/* The last stage that was reached. libcurl stamps them one after the other; on a reused connection
 * the first ones are stamped at once. */
static enum stage stage_reached(const struct http_failure *f)
{
        if (info_time(f->easy, CURLINFO_STARTTRANSFER_TIME_T) > 0)
                return RECEIVING;
        if (info_time(f->easy, CURLINFO_PRETRANSFER_TIME_T) > 0)
                return WAITING;
        if (f->shaking_hands)
                return SHAKING_HANDS;
        if (info_time(f->easy, CURLINFO_NAMELOOKUP_TIME_T) > 0)
                return CONNECTING;
        return LOOKING_UP;
}

static void describe_timeout(
        const struct http_failure *f, const char *at, const char *through, struct err *e)
{
        static const char *const words[] = {
                [CONNECTING] = "connecting",
                [SHAKING_HANDS] = "in the TLS handshake",
                [WAITING] = "waiting for the answer",
                [RECEIVING] = "in the middle of the answer",
        };
        enum stage stage = stage_reached(f);
        unsigned limit = f->total_timeout_ms;

        if (stage <= SHAKING_HANDS)
                limit = MIN(limit, f->connect_timeout_ms);
        if (stage == LOOKING_UP) {
                err_set_cause(e, ERR_DNS, -ETIMEDOUT,
                        "host name %s was not resolved within %s (%s:%s%s)",
                        f->proxy ? f->proxy : f->host, seconds(limit).text, f->host, f->port,
                        through);
                err_hint(e, "no DNS server answers: see /etc/resolv.conf, firewalls and routes");
                return;
        }
        err_set_cause(e, ERR_TIMEOUT, -ETIMEDOUT, "no answer from %s:%s%s%s within %s (%s)",
                f->host, f->port, at, through, seconds(limit).text, words[stage]);
        if (stage <= SHAKING_HANDS)
                err_hint(e,
                        "packets to it seem to be dropped: check firewalls, the network rules of "
                        "the service, private endpoints and routes%s",
                        f->proxy ? "; a proxy is in use (https_proxy, no_proxy)" : "");
        else
                err_hint(e, "the service took the request and is slow to answer; try again");
}

static void describe_tls(
        const struct http_failure *f, const char *at, const char *through, struct err *e)
{
        long verify = X509_V_OK;
        curl_easy_getinfo(f->easy, CURLINFO_SSL_VERIFYRESULT, &verify);

        if (f->code == CURLE_SSL_CACERT_BADFILE) {
                err_set_cause(e, ERR_TLS, -EPROTO, "CA file %s cannot be used: %s",
                        f->ca_file ? f->ca_file : "of the system", f->detail);
                err_hint(e, "%s",
                        f->ca_file ? "it has to be a readable file of certificates in PEM form"
                                   : "install the package ca-certificates, or name a bundle with "
                                     "--ca-file");
                return;
        }
        if (f->code != CURLE_PEER_FAILED_VERIFICATION) {
                err_set_cause(e, ERR_TLS, -EPROTO, "TLS handshake with %s:%s%s%s failed: %s",
                        f->host, f->port, at, through, f->detail);
                err_hint(e, "is there a TLS server on that port? TLS 1.2 is the oldest version "
                            "accepted");
                return;
        }
        /* The name is compared by libcurl itself, before it has asked for the chain's result. */
        if (strstr(f->detail, "subject name")) {
                err_set_cause(e, ERR_TLS, -EPROTO,
                        "certificate of %s:%s%s%s is for another host name: %s", f->host, f->port,
                        at, through, f->detail);
                err_hint(e,
                        "check the URL for a mistyped name; a proxy or DNS may also lead to a "
                        "server that is not %s",
                        f->host);
                return;
        }

        const char *reason = verify == X509_V_OK || verify == X509_V_ERR_UNSPECIFIED
                                     ? f->detail
                                     : X509_verify_cert_error_string(verify);
        err_set_cause(e, ERR_TLS, -EPROTO, "certificate of %s:%s%s%s is not accepted: %s", f->host,
                f->port, at, through, reason);
        switch (verify) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
        case X509_V_ERR_CERT_NOT_YET_VALID:
                err_hint(e, "check this machine's clock; if it is right, the server needs a new "
                            "certificate");
                break;
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        case X509_V_ERR_INVALID_CA:
                if (f->ca_file)
                        err_hint(e, "its issuer is not in %s (--ca-file)", f->ca_file);
                else
                        err_hint(e, "its issuer is not known to this system: name the issuer's "
                                    "certificate with --ca-file, or add it to the system's "
                                    "(update-ca-certificates)");
                break;
        default:
                err_hint(e, "see openssl s_client -connect %s:%s", f->host, f->port);
        }
}

bool http_failure_describe(const struct http_failure *f, struct err *e)
{
        char at[80] = "", through[300] = "";
        long os = 0;

        if (!isempty(f->peer) && !streq(f->peer, f->host))
                snprintf(at, sizeof at, " (%s)", f->peer);
        if (f->proxy)
                snprintf(through, sizeof through, " through proxy %s", f->proxy);
        curl_easy_getinfo(f->easy, CURLINFO_OS_ERRNO, &os);
        const char *detail = *f->detail ? f->detail : curl_easy_strerror(f->code);
        struct http_failure g = *f;
        g.detail = detail;

        if (f->no_memory || f->code == CURLE_OUT_OF_MEMORY) {
                err_set_cause(e, ERR_LOCAL, -ENOMEM, "not enough memory for the answer of %s:%s",
                        f->host, f->port);
                return false;
        }
        if (f->given_up) {
                err_set_cause(e, ERR_SERVICE, f->given_up, "what %s:%s%s sends is not taken: %s",
                        f->host, f->port, through, strerror(-f->given_up));
                return false;
        }
        if (f->too_large || f->code == CURLE_FILESIZE_EXCEEDED) {
                err_set_cause(e, ERR_SERVICE, -EFBIG,
                        "answer of %s:%s%s is larger than the limit of %zu bytes", f->host, f->port,
                        through, f->response_max);
                return false;
        }
        if (f->headers_too_large) {
                err_set_cause(e, ERR_SERVICE, -EFBIG,
                        "answer of %s:%s%s has more than %zu bytes of headers", f->host, f->port,
                        through, HTTP_HEADERS_MAX);
                return false;
        }

        switch (f->code) {
        case CURLE_COULDNT_RESOLVE_HOST:
                err_set_cause(e, ERR_DNS, -EHOSTUNREACH,
                        "host name %s does not resolve (%s://%s:%s)", f->host, f->scheme, f->host,
                        f->port);
                err_hint(e, "check the name, and that DNS works here: getent hosts %s", f->host);
                return true;

        case CURLE_COULDNT_RESOLVE_PROXY:
                err_set_cause(e, ERR_DNS, -EHOSTUNREACH,
                        "host name of proxy %s, on the way to %s:%s, does not resolve",
                        f->proxy ? f->proxy : "?", f->host, f->port);
                err_hint(e, "check https_proxy and no_proxy in the environment");
                return true;

        case CURLE_COULDNT_CONNECT:
                err_set_cause(e, ERR_CONNECT, os > 0 ? -(int)os : -ECONNREFUSED,
                        "cannot connect to %s://%s:%s%s%s: %s", f->scheme, f->host, f->port, at,
                        through, os > 0 ? strerror((int)os) : detail);
                err_hint(e, "%s",
                        f->proxy ? "check https_proxy and no_proxy in the environment, and that "
                                   "the proxy runs"
                                 : "check the URL and port, that the service runs, firewalls and "
                                   "the service's network rules");
                return true;

        case CURLE_OPERATION_TIMEDOUT:
                describe_timeout(&g, at, through, e);
                return true;

        case CURLE_SSL_CONNECT_ERROR:
                /* The peer may also just have gone away in the handshake. */
                describe_tls(&g, at, through, e);
                if (os == ECONNRESET || strstr(detail, "SSL_ERROR_SYSCALL") ||
                        strstr(detail, "reset by peer") || strstr(detail, "unexpected eof")) {
                        if (e)
                                e->cause = ERR_CONNECT;
                        return true;
                }
                return false;

        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_INVALIDCERTSTATUS:
                describe_tls(&g, at, through, e);
                return false;

        case CURLE_GOT_NOTHING:
                err_set_cause(e, ERR_CONNECT, -ECONNRESET,
                        "%s:%s%s%s closed the connection without an answer", f->host, f->port, at,
                        through);
                return true;

        case CURLE_PARTIAL_FILE:
                err_set_cause(e, ERR_CONNECT, -ECONNRESET, "answer of %s:%s%s%s was cut short: %s",
                        f->host, f->port, at, through, detail);
                return true;

        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_BAD_CONTENT_ENCODING:
                err_set_cause(e, ERR_SERVICE, -EPROTO, "answer of %s:%s%s%s is not HTTP: %s",
                        f->host, f->port, at, through, detail);
                return true;

        case CURLE_PROXY:
                err_set_cause(e, ERR_CONNECT, -ECONNREFUSED, "proxy %s does not lead to %s:%s: %s",
                        f->proxy ? f->proxy : "?", f->host, f->port, detail);
                err_hint(e, "check https_proxy and no_proxy in the environment");
                return true;

        default: {
                /* A proxy's refusal of CONNECT comes as CURLE_RECV_ERROR with its status. */
                long connect_status = 0;
                curl_easy_getinfo(f->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
                if (f->proxy && connect_status >= 300) {
                        err_set_cause(e, ERR_CONNECT, -ECONNREFUSED,
                                "proxy %s does not lead to %s:%s: it answered with status %ld",
                                f->proxy, f->host, f->port, connect_status);
                        err_hint(e,
                                "check https_proxy and no_proxy in the environment, the proxy's "
                                "rules and its user and password");
                        return true;
                }
                err_set_cause(e, ERR_CONNECT, os > 0 ? -(int)os : -EIO,
                        "connection to %s:%s%s%s failed: %s", f->host, f->port, at, through,
                        detail);
                return true;
        }
        }
}
