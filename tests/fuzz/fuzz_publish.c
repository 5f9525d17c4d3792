/* NodePublishVolume as bytes from the socket: unpacked, then checked. */
#include "base/wipe.h"
#include "csi/publish_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *alloc(void *userdata, size_t n)
{
        return wipe_malloc(n);
}

static void release(void *userdata, void *p)
{
        erase_and_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char kubelet[] = "/var/lib/kubelet";
        ProtobufCAllocator allocator = {.alloc = alloc, .free = release};
        _cleanup_publish_request_ struct publish_request r = {0};
        _cleanup_err_ struct err e = {0};
        enum rpc_code code = RPC_OK;

        Csi__V1__NodePublishVolumeRequest *m =
                csi__v1__node_publish_volume_request__unpack(&allocator, size, data);
        if (!m)
                return 0;
        if (publish_request_parse(m, kubelet, &r, &code, &e) < 0) {
                if (code == RPC_OK || !e.code)
                        abort();
        } else if (!startswith(r.target_path, "/var/lib/kubelet/") ||
                   strstr(r.target_path, "/../") || strchr(r.class_name, '/') ||
                   strchr(r.pod_namespace, '/') || !*r.volume_id || !*r.service_account) {
                abort();
        }
        csi__v1__node_publish_volume_request__free_unpacked(m, &allocator);
        return 0;
}
