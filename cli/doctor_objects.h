/* A look at each object of a class, all at the same time; no value is kept. */
#pragma once

#include "cli/doctor_report.h"
#include "mount/vault_urls.h"

struct doctor_parts {
        struct loop *loop;
        struct http_client *http;
        struct vault *vault;
        struct vault_set others;
};

void doctor_check_objects(
        const struct doctor_parts *parts, const struct spc_class *class, struct doctor_report *r);
