/* As much of org.freedesktop.systemd1 as tells a restart from a stop: every unit has one job, whose
 * type stands in a file; an empty file, or none, means that there is none.
 *
 *     stress-systemd JOB-FILE
 *
 * Says "ready" once it is on the system bus, and serves until it is killed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <systemd/sd-bus.h>

#include "base/util.h"

#define MANAGER "org.freedesktop.systemd1"
#define JOB "/org/freedesktop/systemd1/job/7"

static const char *file;

static void job_type(char text[32])
{
        _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, 31);

        text[n < 0 ? 0 : n] = '\0';
}

static int get_job(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        char type[32];

        job_type(type);
        return sd_bus_message_append(reply, "(uo)", *type ? 7 : 0, *type ? JOB : "/");
}

static int get_type(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        char type[32];

        job_type(type);
        return sd_bus_message_append(reply, "s", type);
}

static int get_unit(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return sd_bus_reply_method_return(m, "o", "/org/freedesktop/systemd1/unit/x_2eservice");
}

static const sd_bus_vtable manager[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("GetUnitByPID", "u", "o", get_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};
static const sd_bus_vtable unit[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Job", "(uo)", get_job, 0, 0),
        SD_BUS_VTABLE_END,
};
static const sd_bus_vtable job[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("JobType", "s", get_type, 0, 0),
        SD_BUS_VTABLE_END,
};

static int any(sd_bus *bus, const char *path, const char *interface, void *userdata, void **found,
        sd_bus_error *error)
{
        *found = userdata;
        return 1;
}

int main(int argc, char **argv)
{
        sd_bus *bus = NULL;

        if (argc != 2)
                return 2;
        file = argv[1];
        if (sd_bus_open_system(&bus) < 0 ||
                sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1", MANAGER ".Manager",
                        manager, NULL) < 0 ||
                sd_bus_add_fallback_vtable(bus, NULL, "/org/freedesktop/systemd1/unit",
                        MANAGER ".Unit", unit, any, bus) < 0 ||
                sd_bus_add_object_vtable(bus, NULL, JOB, MANAGER ".Job", job, NULL) < 0 ||
                sd_bus_request_name(bus, MANAGER, 0) < 0)
                return 1;
        puts("ready");
        (void)fflush(stdout);
        for (;;) {
                int r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r < 0)
                        return 1;
        }
}
