/* A pod as kubelet has checked and sent it, for tests of what is made of it. */
#pragma once

#include "csi/publish_request.h"

/* Pod web-0 of shop with the service account web, class "app". Strings are static, but for
 * `tokens`: a map with one token of that account for the audience, which pod_done() frees. */
struct publish_request pod_request(const char *audience);
void pod_done(struct publish_request *r);
/* A token for that audience of "system:serviceaccount:NAMESPACE:ACCOUNT", in kubelet's map. */
char *pod_tokens(const char *audience, const char *namespace, const char *account);
