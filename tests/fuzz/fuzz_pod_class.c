/* A class as the API server has it, and the pod's own words, as bytes: what is accepted keeps
 * within the volume, and a later worker reads all of it again. Lines come first, then an empty one
 * and the object:
 *
 *     a KEY=VALUE    a volume attribute
 *     s KEY=VALUE    of nodePublishSecretRef
 *     t JSON         kubelet's tokens
 */
#include "csi/pod_class.h"

#define ENTRIES_MAX 16
#define TARGET "/var/lib/kubelet/pods/1/volumes/kubernetes.io~csi/s/mount"
#define CHECK(x)                          \
        do {                              \
                if (!(x))                 \
                        __builtin_trap(); \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_of(const struct publish_entry *list, size_t n, const char *key)
{
        for (size_t i = 0; i < n; i++)
                if (streq(list[i].key, key))
                        return true;
        return false;
}

/* "KEY=VALUE" cut in two. csi/publish_request.c lets no name come twice. */
static void add(struct publish_entry *list, size_t *n, char *words)
{
        char *value = strchr(words, '=');

        if (!value || *n == ENTRIES_MAX)
                return;
        *value = '\0';
        if (!is_of(list, *n, words))
                list[(*n)++] = (struct publish_entry){words, value + 1};
}

/* Gives what is behind the lines. */
static char *take_lines(char *text, struct publish_request *r)
{
        char *line;

        while ((line = strsep(&text, "\n")) && *line) {
                if (startswith(line, "a "))
                        add(r->attributes, &r->n_attributes, line + 2);
                else if (startswith(line, "s "))
                        add(r->secrets, &r->n_secrets, line + 2);
                else if (startswith(line, "t "))
                        r->tokens = line + 2;
        }
        return text;
}

static void check_request(struct mount_request *q, const struct publish_request *r)
{
        _cleanup_json_ cJSON *state = mount_request_format(q), *again = NULL;
        _cleanup_mount_request_ struct mount_request later = {0};
        _cleanup_pod_volume_ struct pod_volume volume = {0};
        _cleanup_err_ struct err e = {0};

        CHECK(streq(q->mountpoint, TARGET) && q->class->n_objects + q->class->n_selectors > 0);
        CHECK(strncmp(q->identity.vault_url, "https://", 8) == 0);
        CHECK(strncmp(q->identity.authority, "https://", 8) == 0);
        if (q->identity.subject)
                CHECK(streq(q->identity.subject, "shop/web") && q->identity.secret);

        CHECK(pod_volume_parse(q->note, &volume) == 0);
        CHECK(streq(volume.pod_uid, r->pod_uid) && streq(volume.class_name, r->class_name));

        CHECK(state && mount_request_parse(state, &later, &e) == 0);
        again = mount_request_format(&later);
        CHECK(again && cJSON_Compare(state, again, true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct pod_class_config cfg = {.poll_interval = 2 * 60 * USEC_PER_SEC,
                .identity = {.sni = "sni.example", .token_proxy = "https://10.0.0.1:10443"}};
        struct publish_entry attributes[ENTRIES_MAX], secrets[ENTRIES_MAX];
        struct publish_request r = {.volume_id = (char[]){"csi-1"},
                .target_path = (char[]){TARGET},
                .class_name = (char[]){"app"},
                .pod_name = (char[]){"web-0"},
                .pod_namespace = (char[]){"shop"},
                .pod_uid = (char[]){"1"},
                .service_account = (char[]){"web"},
                .mount_group = size % 2 ? (gid_t)-1 : 2000,
                .attributes = attributes,
                .secrets = secrets};
        _cleanup_mount_request_ struct mount_request q = {0};
        _cleanup_free_ char *text = strndup((const char *)data, size);
        _cleanup_json_ cJSON *object = NULL;
        _cleanup_err_ struct err e = {0};

        CHECK(text);
        const char *json = take_lines(text, &r);
        if (!json || json_parse(json, strlen(json), &object) < 0)
                return 0;
        if (pod_class_request(&cfg, &r, object, &q, &e) < 0)
                CHECK(e.code < 0 && e.text && pod_class_code(&e) != RPC_OK && !q.class);
        else
                check_request(&q, &r);
        return 0;
}
