#include "cli/service.h"

#include "base/log.h"
#include "base/loop.h"

#define TIMEOUT_USEC (3 * USEC_PER_SEC)
#define MANAGER "org.freedesktop.systemd1"

/* org.freedesktop.systemd1(5) */
static int job_restarts(sd_bus *bus)
{
        sd_bus_message *unit = NULL, *answer = NULL;
        const char *path = NULL, *job = NULL;
        _cleanup_free_ char *type = NULL;
        uint32_t id = 0;

        int r = sd_bus_call_method(bus, MANAGER, "/org/freedesktop/systemd1", MANAGER ".Manager",
                "GetUnitByPID", NULL, &unit, "u", (uint32_t)getpid());
        if (r >= 0)
                r = sd_bus_message_read(unit, "o", &path);
        if (r >= 0)
                r = sd_bus_get_property(
                        bus, MANAGER, path, MANAGER ".Unit", "Job", NULL, &answer, "(uo)");
        if (r >= 0)
                r = sd_bus_message_read(answer, "(uo)", &id, &job);
        if (r >= 0 && id != 0)
                r = sd_bus_get_property_string(
                        bus, MANAGER, job, MANAGER ".Job", "JobType", NULL, &type);
        sd_bus_message_unref(unit);
        sd_bus_message_unref(answer);
        if (r < 0)
                return r;
        return type && (streq(type, "restart") || streq(type, "try-restart"));
}

bool service_is_restarting(void)
{
        sd_bus *bus = NULL;

        int r = geteuid() == 0 ? sd_bus_open_system(&bus) : sd_bus_open_user(&bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, TIMEOUT_USEC);
        if (r >= 0)
                r = job_restarts(bus);
        sd_bus_close_unref(bus);
        if (r < 0)
                log_warning("the service manager does not say whether this is a restart (%s): it "
                            "is taken for a stop",
                        strerror(-r));
        return r > 0;
}
