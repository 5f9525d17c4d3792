/* The way to one vault, step by step: name, proxy, TCP, TLS, clock, and what answers. */
#pragma once

#include "base/dns.h"
#include "base/http.h"
#include "cli/doctor_report.h"

struct doctor_host {
        const char *url;    /* the vault's */
        const char *ca_pem; /* as in struct http_endpoint */
        const char *ca_file;
        const struct dns_server *servers; /* asked one by one */
        size_t n_servers;
        struct loop *loop;
        struct http_client *http;
};

struct doctor_host_result {
        bool reachable;   /* a vault answered */
        char tenant[128]; /* that it says it belongs to, or "" */
};
void doctor_host_check(
        const struct doctor_host *h, struct doctor_report *r, struct doctor_host_result *ret);
