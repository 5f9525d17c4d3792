#include "csi/services.h"

#include <criterion/criterion.h>

#include "csi/proto/csi.pb-c.h"
#include "csi/proto/health.pb-c.h"
#include "csi/proto/registration.pb-c.h"
#include "grpc_client.h"

static bool well;

static bool is_ready(void *userdata)
{
        return well;
}

static struct csi_services services = {
        .driver_name = CSI_DRIVER_NAME,
        .endpoint = "/var/lib/kubelet/plugins/akvfs/csi.sock",
        .is_ready = is_ready,
};

#define METHOD(name)                                              \
        static void on_##name(void *userdata, struct rpc_call *c) \
        {                                                         \
                name(&services, c);                               \
        }
METHOD(csi_get_plugin_info)
METHOD(csi_get_plugin_capabilities)
METHOD(csi_probe)
METHOD(registration_get_info)
METHOD(registration_notify)
METHOD(health_check)

static const struct rpc_method methods[] = {
        {.path = "/csi.v1.Identity/GetPluginInfo", .fn = on_csi_get_plugin_info},
        {.path = "/csi.v1.Identity/GetPluginCapabilities", .fn = on_csi_get_plugin_capabilities},
        {.path = "/csi.v1.Identity/Probe", .fn = on_csi_probe},
        {.path = "/pluginregistration.Registration/GetInfo", .fn = on_registration_get_info},
        {.path = "/pluginregistration.Registration/NotifyRegistrationStatus",
                .fn = on_registration_notify},
        {.path = "/grpc.health.v1.Health/Check", .fn = on_health_check},
};

static struct rpc_pair pair;

static void set_up(void)
{
        well = true;
        rpc_pair_open(&pair, methods, ELEMENTSOF(methods), NULL);
}

static void tear_down(void)
{
        rpc_pair_close(&pair);
}

TestSuite(services, .init = set_up, .fini = tear_down, .timeout = 60);

static void *unpack(const struct answer *a, const ProtobufCMessageDescriptor *type)
{
        cr_assert_eq(a->code, RPC_OK, "%s", a->text);
        void *m = protobuf_c_message_unpack(type, NULL, a->length, (const uint8_t *)a->body);
        cr_assert_not_null(m);
        return m;
}

Test(services, the_plugin_says_its_name_and_version)
{
        _cleanup_answer_ struct answer a =
                client_ask(pair.client, "/csi.v1.Identity/GetPluginInfo", "", 0);
        Csi__V1__GetPluginInfoResponse *info =
                unpack(&a, &csi__v1__get_plugin_info_response__descriptor);

        cr_expect_str_eq(info->name, "secrets.akvfs.io");
        cr_expect_str_eq(info->vendor_version, AKVFS_VERSION);
        csi__v1__get_plugin_info_response__free_unpacked(info, NULL);
}

Test(services, the_plugin_has_no_controller)
{
        _cleanup_answer_ struct answer a =
                client_ask(pair.client, "/csi.v1.Identity/GetPluginCapabilities", "", 0);

        cr_expect_eq(a.code, RPC_OK);
        cr_expect_eq(a.length, 0);
}

Test(services, a_probe_tells_the_process_s_health)
{
        for (int i = 0; i < 2; i++) {
                well = i == 0;
                _cleanup_answer_ struct answer a =
                        client_ask(pair.client, "/csi.v1.Identity/Probe", "", 0);
                Csi__V1__ProbeResponse *probe = unpack(&a, &csi__v1__probe_response__descriptor);

                cr_assert_not_null(probe->ready);
                cr_expect_eq((bool)probe->ready->value, well);
                csi__v1__probe_response__free_unpacked(probe, NULL);
        }
}

Test(services, kubelet_learns_where_the_driver_is)
{
        _cleanup_answer_ struct answer a =
                client_ask(pair.client, "/pluginregistration.Registration/GetInfo", "", 0);
        Pluginregistration__PluginInfo *info =
                unpack(&a, &pluginregistration__plugin_info__descriptor);

        cr_expect_str_eq(info->type, "CSIPlugin");
        cr_expect_str_eq(info->name, "secrets.akvfs.io");
        cr_expect_str_eq(info->endpoint, services.endpoint);
        cr_assert_eq(info->n_supported_versions, 1);
        cr_expect_str_eq(info->supported_versions[0], "1.0.0");
        pluginregistration__plugin_info__free_unpacked(info, NULL);
}

Test(services, what_kubelet_says_of_the_registration_is_kept)
{
        static const char *const method =
                "/pluginregistration.Registration/NotifyRegistrationStatus";
        _cleanup_answer_ struct answer yes = client_ask(pair.client, method, "\x08\x01", 2);

        cr_expect_eq(yes.code, RPC_OK);
        cr_expect(services.registered);
        _cleanup_answer_ struct answer no = client_ask(pair.client, method, "\x12\x02no", 4);
        cr_expect_eq(no.code, RPC_OK);
        cr_expect_not(services.registered);
}

Test(services, health_is_told_by_service)
{
        static const char request[] = "\x0a\x0b"
                                      "csi.v1.Node";
        static const char *const method = "/grpc.health.v1.Health/Check";

        for (int i = 0; i < 2; i++) {
                well = i == 0;
                _cleanup_answer_ struct answer a =
                        client_ask(pair.client, method, request, sizeof request - 1);
                Grpc__Health__V1__HealthCheckResponse *health =
                        unpack(&a, &grpc__health__v1__health_check_response__descriptor);
                cr_expect_eq(health->status, well ? 1 : 2);
                grpc__health__v1__health_check_response__free_unpacked(health, NULL);
        }
        _cleanup_answer_ struct answer unknown = client_ask(pair.client, method, "\x0a\x01x", 3);
        cr_expect_eq(unknown.code, RPC_NOT_FOUND);
        _cleanup_answer_ struct answer watch =
                client_ask(pair.client, "/grpc.health.v1.Health/Watch", "", 0);
        cr_expect_eq(watch.code, RPC_UNIMPLEMENTED);
}

Test(services, a_driver_s_name_follows_the_specification)
{
        static const char *const bad[] = {"", "-a", "a-", ".a", "a_b", "a/b",
                "a234567890123456789012345678901234567890123456789012345678901234"};
        _cleanup_err_ struct err e = {0};

        cr_expect_eq(csi_driver_name_check(CSI_DRIVER_NAME, &e), 0);
        cr_expect_eq(csi_driver_name_check(CSI_DRIVER_NAME_UPSTREAM, &e), 0);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                cr_expect_eq(csi_driver_name_check(bad[i], &e), -EINVAL, "\"%s\"", bad[i]);
}
