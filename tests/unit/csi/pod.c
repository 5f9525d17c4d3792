#include "pod.h"

#include <criterion/criterion.h>

#include "auth/jwt.h"

#define S(text) ((char *)(uintptr_t)(text))

char *pod_tokens(const char *audience, const char *namespace, const char *account)
{
        _cleanup_free_ char *claims = NULL;
        char *map = NULL;

        cr_assert_eq(
                xasprintf(&claims, "{\"sub\":\"system:serviceaccount:%s:%s\"}", namespace, account),
                0);
        _cleanup_free_ char *body = jwt_base64url(claims, strlen(claims));
        cr_assert_eq(xasprintf(&map, "{\"%s\":{\"token\":\"e30.%s.c2ln\"}}", audience, body), 0);
        return map;
}

struct publish_request pod_request(const char *audience)
{
        return (struct publish_request){
                .volume_id = S("csi-00ff"),
                .target_path = S("/var/lib/kubelet/pods/1/volumes/kubernetes.io~csi/s/mount"),
                .class_name = S("app"),
                .pod_name = S("web-0"),
                .pod_namespace = S("shop"),
                .pod_uid = S("1"),
                .service_account = S("web"),
                .mount_group = (gid_t)-1,
                .tokens = audience ? pod_tokens(audience, "shop", "web") : NULL,
        };
}

void pod_done(struct publish_request *r)
{
        free(r->tokens);
        *r = (struct publish_request){0};
}
