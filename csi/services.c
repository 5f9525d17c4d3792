#include "csi/services.h"

#include "base/log.h"
#include "csi/proto/csi.pb-c.h"
#include "csi/proto/health.pb-c.h"
#include "csi/proto/registration.pb-c.h"

/* grpc.health.v1.HealthCheckResponse.ServingStatus */
#define HEALTH_SERVING 1
#define HEALTH_NOT_SERVING 2

static bool is_alnum(char c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int csi_driver_name_check(const char *name, struct err *e)
{
        size_t n = strlen(name);
        bool good = n > 0 && n <= CSI_DRIVER_NAME_MAX && is_alnum(name[0]) && is_alnum(name[n - 1]);

        for (size_t i = 0; good && i < n; i++)
                good = is_alnum(name[i]) || name[i] == '-' || name[i] == '.';
        if (good)
                return 0;
        err_set_cause(e, ERR_USAGE, -EINVAL, "\"%.80s\" is no name for a CSI driver", name);
        err_hint(e,
                "at most %d letters, digits, '-' and '.', beginning and ending with a letter or "
                "a digit, as %s",
                CSI_DRIVER_NAME_MAX, CSI_DRIVER_NAME);
        return -EINVAL;
}

/* --- csi.v1.Identity --- */

void csi_get_plugin_info(struct csi_services *s, struct rpc_call *call)
{
        Csi__V1__GetPluginInfoResponse answer = CSI__V1__GET_PLUGIN_INFO_RESPONSE__INIT;

        answer.name = rpc_borrow(s->driver_name);
        answer.vendor_version = rpc_borrow(AKVFS_VERSION);
        rpc_reply(call, &answer.base);
}

/* None: there is no controller, and volumes do not grow. */
void csi_get_plugin_capabilities(struct csi_services *s, struct rpc_call *call)
{
        Csi__V1__Nothing answer = CSI__V1__NOTHING__INIT;

        rpc_reply(call, &answer.base);
}

void csi_probe(struct csi_services *s, struct rpc_call *call)
{
        Csi__V1__ProbeResponse answer = CSI__V1__PROBE_RESPONSE__INIT;
        Csi__V1__BoolValue ready = CSI__V1__BOOL_VALUE__INIT;

        ready.value = s->is_ready(s->userdata);
        answer.ready = &ready;
        rpc_reply(call, &answer.base);
}

/* --- pluginregistration.Registration --- */

void registration_get_info(struct csi_services *s, struct rpc_call *call)
{
        Pluginregistration__PluginInfo answer = PLUGINREGISTRATION__PLUGIN_INFO__INIT;
        char *versions[] = {(char[]){"1.0.0"}};

        answer.type = (char[]){"CSIPlugin"};
        answer.name = rpc_borrow(s->driver_name);
        answer.endpoint = rpc_borrow(s->endpoint);
        answer.n_supported_versions = ELEMENTSOF(versions);
        answer.supported_versions = versions;
        rpc_reply(call, &answer.base);
}

/* Kubelet tries again by itself when the socket is made anew, so a refusal is told and no more:
 * volumes that are published go on. */
void registration_notify(struct csi_services *s, struct rpc_call *call)
{
        Pluginregistration__RegistrationStatus *status =
                rpc_call_message(call, &pluginregistration__registration_status__descriptor);
        Csi__V1__Nothing answer = CSI__V1__NOTHING__INIT;

        if (!status)
                return;
        s->registered = status->plugin_registered;
        if (s->registered)
                log_info("kubelet has registered the driver %s", s->driver_name);
        else
                log_error("kubelet did not register the driver %s: %.*s", s->driver_name,
                        (int)MIN(status->error.len, (size_t)1024),
                        status->error.data ? (const char *)status->error.data : "");
        rpc_message_free(status);
        rpc_reply(call, &answer.base);
}

/* --- grpc.health.v1.Health --- */

static bool is_service(const ProtobufCBinaryData *name)
{
        static const char *const known[] = {
                "", "csi.v1.Identity", "csi.v1.Node", "pluginregistration.Registration"};

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (name->len == strlen(known[i]) &&
                        (name->len == 0 || memcmp(name->data, known[i], name->len) == 0))
                        return true;
        return false;
}

void health_check(struct csi_services *s, struct rpc_call *call)
{
        Grpc__Health__V1__HealthCheckRequest *request =
                rpc_call_message(call, &grpc__health__v1__health_check_request__descriptor);
        Grpc__Health__V1__HealthCheckResponse answer =
                GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

        if (!request)
                return;
        bool known = is_service(&request->service);
        rpc_message_free(request);
        if (!known) {
                rpc_fail(call, RPC_NOT_FOUND, "no such service here");
                return;
        }
        answer.status = s->is_ready(s->userdata) ? HEALTH_SERVING : HEALTH_NOT_SERVING;
        rpc_reply(call, &answer.base);
}
