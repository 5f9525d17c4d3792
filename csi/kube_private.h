/* What the files of csi/kube share among themselves: one request as HTTP. */
#pragma once

#include "csi/kube.h"

/* A pause in this server's seconds: kube_config.second. */
usec_t kube_pause(const struct kube *k, usec_t pause);

struct kube_send {
        const char *method, *path; /* the path with its query */
        const char *type;          /* of the body; NULL: there is none */
        const char *body;
        http_data_fn on_data;             /* a stream: sent once */
        bool once;                        /* else tried again */
        bool (*retry_status)(int status); /* NULL: http_retry_status() */
        unsigned total_ms;                /* 0: HTTP_TOTAL_TIMEOUT_MS */
};

/* With the server's address, the account's token as it is now, and the authority. */
int kube_send(struct kube *k, const struct kube_send *what, http_done_fn done, void *userdata,
        struct http_call **ret, struct err *e);

/* Fills e, with the causes of kube_done_fn, unless the answer is a success. */
void kube_explain(const struct kube *k, struct http_response *resp, struct err *e);

/* As kube_explain(); and what is no JSON object is no success either. */
void kube_answer(
        const struct kube *k, struct http_response *resp, cJSON **ret_object, struct err *e);
