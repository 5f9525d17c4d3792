#include "cli/service.h"

#include <systemd/sd-login.h>

#include "base/log.h"
#include "base/loop.h"

#define TIMEOUT_USEC (3 * USEC_PER_SEC)
#define MANAGER "org.freedesktop.systemd1"

int service_job_restarts(sd_bus *bus, const char *unit)
{
        _cleanup_free_ char *path = NULL, *type = NULL;
        sd_bus_message *answer = NULL;
        const char *job = NULL;
        uint32_t id = 0;

        int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);
        if (r >= 0)
                r = sd_bus_get_property(
                        bus, MANAGER, path, MANAGER ".Unit", "Job", NULL, &answer, "(uo)");
        if (r >= 0)
                r = sd_bus_message_read(answer, "(uo)", &id, &job);
        if (r >= 0 && id != 0)
                r = sd_bus_get_property_string(
                        bus, MANAGER, job, MANAGER ".Job", "JobType", NULL, &type);
        sd_bus_message_unref(answer);
        if (r < 0)
                return r;
        return type && (streq(type, "restart") || streq(type, "try-restart"));
}

bool service_is_restarting(void)
{
        _cleanup_free_ char *unit = NULL;
        sd_bus *bus = NULL;

        int r = geteuid() == 0 ? sd_pid_get_unit(0, &unit) : sd_pid_get_user_unit(0, &unit);
        if (r >= 0)
                r = geteuid() == 0 ? sd_bus_open_system(&bus) : sd_bus_open_user(&bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, TIMEOUT_USEC);
        if (r >= 0)
                r = service_job_restarts(bus, unit);
        sd_bus_close_unref(bus);
        if (r < 0)
                log_warning("the service manager does not say whether this is a restart (%s): it "
                            "is taken for a stop",
                        strerror(-r));
        return r > 0;
}
