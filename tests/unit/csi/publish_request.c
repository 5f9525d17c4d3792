#include "csi/publish_request.h"

#include <criterion/criterion.h>

#define KUBELET "/var/lib/kubelet"
#define TARGET KUBELET "/pods/1b1c/volumes/kubernetes.io~csi/s/mount"
#define PREFIX "csi.storage.k8s.io/"

static Csi__V1__NodePublishVolumeRequest m;
static Csi__V1__VolumeCapability capability;
static Csi__V1__VolumeCapability__MountVolume mount;
static Csi__V1__VolumeCapability__BlockVolume block;
static Csi__V1__Entry entries[16], secrets[16];
static Csi__V1__Entry *entry_list[16], *secret_list[16];

static ProtobufCBinaryData bytes(const char *s)
{
        return (ProtobufCBinaryData){.len = strlen(s), .data = (uint8_t *)(uintptr_t)s};
}

static void add(const char *key, const char *value)
{
        Csi__V1__Entry *entry = &entries[m.n_volume_context];

        csi__v1__entry__init(entry);
        entry->key = bytes(key);
        entry->value = bytes(value);
        entry_list[m.n_volume_context++] = entry;
}

static void add_secret(const char *key, const char *value)
{
        Csi__V1__Entry *entry = &secrets[m.n_secrets];

        csi__v1__entry__init(entry);
        entry->key = bytes(key);
        entry->value = bytes(value);
        secret_list[m.n_secrets++] = entry;
}

/* What kubelet sends for a pod that mounts the class "web". */
static void set_up(void)
{
        csi__v1__node_publish_volume_request__init(&m);
        csi__v1__volume_capability__init(&capability);
        csi__v1__volume_capability__mount_volume__init(&mount);
        csi__v1__volume_capability__block_volume__init(&block);
        capability.mount = &mount;
        m.volume_capability = &capability;
        m.volume_id = bytes("csi-00ff");
        m.target_path = bytes(TARGET);
        m.readonly = true;
        m.volume_context = entry_list;
        m.secrets = secret_list;
        add("secretProviderClass", "web");
        add(PREFIX "pod.name", "web-0");
        add(PREFIX "pod.namespace", "shop");
        add(PREFIX "pod.uid", "1b1c");
        add(PREFIX "serviceAccount.name", "default");
        add(PREFIX "ephemeral", "true");
}

TestSuite(publish_request, .init = set_up);

static void refused(enum rpc_code code, const char *text)
{
        struct publish_request r;
        enum rpc_code got = RPC_OK;
        _cleanup_err_ struct err e = {0};

        cr_assert_lt(publish_request_parse(&m, KUBELET, &r, &got, &e), 0, "expected: %s", text);
        cr_expect_eq(got, code, "%s", e.text);
        cr_expect_not_null(strstr(err_text(&e), text), "\"%s\" is not in \"%s\"", text, e.text);
}

static void parsed(struct publish_request *r)
{
        enum rpc_code code;
        _cleanup_err_ struct err e = {0};

        cr_assert_eq(publish_request_parse(&m, KUBELET, r, &code, &e), 0, "%s", e.text);
}

Test(publish_request, says_who_what_and_where)
{
        _cleanup_publish_request_ struct publish_request r = {0};

        add("keyvaultName", "other");
        add_secret("clientid", "one");
        add_secret(PREFIX "serviceAccount.tokens", "{}");
        mount.volume_mount_group = bytes("2000");
        parsed(&r);
        cr_expect_str_eq(r.volume_id, "csi-00ff");
        cr_expect_str_eq(r.target_path, TARGET);
        cr_expect_str_eq(r.class_name, "web");
        cr_expect_str_eq(r.pod_name, "web-0");
        cr_expect_str_eq(r.pod_namespace, "shop");
        cr_expect_str_eq(r.pod_uid, "1b1c");
        cr_expect_str_eq(r.service_account, "default");
        cr_expect_eq(r.mount_group, 2000);
        cr_assert_eq(r.n_attributes, 1);
        cr_expect_str_eq(r.attributes[0].key, "keyvaultName");
        cr_expect_str_eq(r.attributes[0].value, "other");
        cr_assert_eq(r.n_secrets, 1);
        cr_expect_str_eq(r.secrets[0].key, "clientid");
        cr_expect_str_eq(r.tokens, "{}");
}

Test(publish_request, without_a_group_there_is_none)
{
        _cleanup_publish_request_ struct publish_request r = {0};

        parsed(&r);
        cr_expect_eq(r.mount_group, (gid_t)-1);
        cr_expect_null(r.tokens);
}

Test(publish_request, what_is_missing_is_told_in_order)
{
        m.readonly = false;
        refused(RPC_INVALID_ARGUMENT, "Readonly is not true in request");
        m.n_volume_context = 0;
        refused(RPC_INVALID_ARGUMENT, "Volume attributes missing in request");
        m.target_path = bytes("");
        refused(RPC_INVALID_ARGUMENT, "Target path missing in request");
        m.volume_id = bytes("");
        refused(RPC_INVALID_ARGUMENT, "Volume ID missing in request");
        m.volume_capability = NULL;
        refused(RPC_INVALID_ARGUMENT, "Volume capability missing in request");
}

Test(publish_request, a_block_volume_is_refused)
{
        capability.mount = NULL;
        capability.block = &block;
        refused(RPC_INVALID_ARGUMENT, "block volume");
}

Test(publish_request, a_group_that_is_none_is_refused)
{
        static const char *const bad[] = {"root", "-1", "4294967295", "99999999999999999999999"};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                mount.volume_mount_group = bytes(bad[i]);
                refused(RPC_INVALID_ARGUMENT, "group id");
        }
}

static ProtobufCBinaryData flags[2];

static void flag(const char *text)
{
        flags[0] = bytes(text);
        flags[1] = bytes("ro");
        mount.mount_flags = flags;
        mount.n_mount_flags = 1;
}

Test(publish_request, a_selinux_label_is_taken_in_quotes_or_without)
{
        static const char *const good[] = {
                "context=\"system_u:object_r:container_file_t:s0:c1,c2\"",
                "context=system_u:object_r:container_file_t:s0:c1,c2"};

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_publish_request_ struct publish_request r = {0};

                flag(good[i]);
                parsed(&r);
                cr_expect_str_eq(r.selinux_context, "system_u:object_r:container_file_t:s0:c1,c2");
        }
        _cleanup_publish_request_ struct publish_request r = {0};
        mount.n_mount_flags = 0;
        parsed(&r);
        cr_expect_null(r.selinux_context);
}

Test(publish_request, any_other_mount_flag_is_refused)
{
        static const char *const bad[] = {"", "ro", "rw", "context", "context=", "context=\"\"",
                "context=\"", "context=\"a:b:c", "context=a:b:c\"", "context=\"a:b:c\",suid",
                "context=\"a:b:c,suid\"", "context=a:b:c suid", "fscontext=\"a:b:c\"",
                "rootcontext=\"a:b:c\"", "seclabel", "Context=\"a:b:c\""};
        char longest[600] = "context=\"a:b:";

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                flag(bad[i]);
                refused(RPC_INVALID_ARGUMENT, "mount flag");
        }
        memset(longest + strlen(longest), 'x', sizeof longest - strlen(longest) - 1);
        flag(longest);
        refused(RPC_INVALID_ARGUMENT, "longer than");
        flag("context=\"a:b:c\"");
        mount.n_mount_flags = 2;
        refused(RPC_INVALID_ARGUMENT, "more than one mount flag");
}

Test(publish_request, targets_lie_below_kubelets_folder)
{
        static const char *const outside[] = {
                "/etc",
                KUBELET,
                KUBELET "-other/pods/x",
                "/var/lib/kubele/pods",
        };
        static const char *const unclean[] = {
                "var/lib/kubelet/x",
                KUBELET "/../../../etc",
                KUBELET "/./x",
                KUBELET "//x",
                KUBELET "/x/",
        };

        for (size_t i = 0; i < ELEMENTSOF(outside); i++) {
                m.target_path = bytes(outside[i]);
                refused(RPC_INVALID_ARGUMENT, "not below kubelet's folder");
        }
        for (size_t i = 0; i < ELEMENTSOF(unclean); i++) {
                m.target_path = bytes(unclean[i]);
                refused(RPC_INVALID_ARGUMENT, "is not absolute, or has an empty, '.' or '..' part");
        }
        m.target_path = (ProtobufCBinaryData){
                .len = sizeof TARGET "\0/x" - 1, .data = (uint8_t *)(char[]){TARGET "\0/x"}};
        refused(RPC_INVALID_ARGUMENT, "control character");
}

Test(publish_request, keys_that_kubelet_does_not_set_are_refused)
{
        add(PREFIX "pod.labels", "a=b");
        refused(RPC_INVALID_ARGUMENT, "is not one that kubelet sets");
}

Test(publish_request, tokens_from_two_sides_are_refused)
{
        add(PREFIX "serviceAccount.tokens", "{\"forged\":1}");
        add_secret(PREFIX "serviceAccount.tokens", "{}");
        refused(RPC_INVALID_ARGUMENT, "one of them is not kubelet's");
}

Test(publish_request, the_same_key_twice_is_refused)
{
        add("keyvaultName", "one");
        add("keyvaultName", "two");
        refused(RPC_INVALID_ARGUMENT, "keyvaultName is there twice");
        m.n_volume_context -= 2;
        add(PREFIX "pod.namespace", "other");
        refused(RPC_INVALID_ARGUMENT, "pod.namespace is there twice");
        m.n_volume_context--;
        add_secret("clientid", "one");
        add_secret("clientid", "two");
        refused(RPC_INVALID_ARGUMENT, "clientid twice");
}

Test(publish_request, without_pod_information_nothing_is_published)
{
        for (size_t i = 1; i <= 4; i++) {
                Csi__V1__Entry kept = entries[i];

                entries[i].key = bytes("elsewhere");
                refused(RPC_FAILED_PRECONDITION, "kubelet did not say the pod's");
                entries[i] = kept;
        }
}

Test(publish_request, pod_information_that_is_no_name_is_refused)
{
        entries[2].value = bytes("shop/../other");
        refused(RPC_INVALID_ARGUMENT, "namespace is no name");
        entries[2].value = bytes("");
        refused(RPC_INVALID_ARGUMENT, "namespace is no name");
}

Test(publish_request, a_persistent_volume_is_refused)
{
        entries[5].value = bytes("false");
        refused(RPC_INVALID_ARGUMENT, "only inline");
}

Test(publish_request, a_class_has_a_name)
{
        entries[0].value = bytes("");
        refused(RPC_INVALID_ARGUMENT, "secretProviderClass is not set");
        entries[0].value = bytes("../web");
        refused(RPC_INVALID_ARGUMENT, "is no name");
}

Test(publish_request, everything_is_bounded)
{
        char *big = malloc(PUBLISH_VALUE_MAX + 2);

        memset(big, 'x', PUBLISH_VALUE_MAX + 1);
        big[PUBLISH_VALUE_MAX + 1] = '\0';
        add("objects", big);
        refused(RPC_INVALID_ARGUMENT, "is longer than 1048576 bytes");
        m.n_volume_context--;
        big[PUBLISH_KEY_MAX + 1] = '\0';
        add(big, "x");
        refused(RPC_INVALID_ARGUMENT, "is longer than 317 bytes");
        m.n_volume_context--;
        big[PUBLISH_VOLUME_ID_MAX + 1] = '\0';
        m.volume_id = bytes(big);
        refused(RPC_INVALID_ARGUMENT, "Volume ID is longer than 128 bytes");
        free(big);
        set_up();
        m.n_volume_context = PUBLISH_ENTRIES_MAX + 1;
        refused(RPC_INVALID_ARGUMENT, "too many volume attributes");
}
