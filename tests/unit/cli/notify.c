#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cli/notify.h"

static void listen_and_notify(const char *name, size_t len)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        char text[32] = "", shown[108] = "";

        memcpy(sa.sun_path, name, len);
        memcpy(shown, name, len);
        if (!shown[0])
                shown[0] = '@';
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(bind(fd, (const struct sockaddr *)&sa,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                0);
        setenv("NOTIFY_SOCKET", shown, 1);
        notify_service_manager("READY=1");
        cr_assert_eq(recv(fd, text, sizeof text - 1, MSG_DONTWAIT), 7);
        cr_assert_str_eq(text, "READY=1");
        safe_close(fd);
}

Test(notify, a_socket_in_the_file_system)
{
        char name[64];

        snprintf(name, sizeof name, "/tmp/akvfs-unit-notify-%d", (int)getpid());
        listen_and_notify(name, strlen(name));
        unlink(name);
}

Test(notify, an_abstract_socket)
{
        char name[64] = "";

        int n = snprintf(name + 1, sizeof name - 1, "akvfs-unit-notify-%d", (int)getpid());
        listen_and_notify(name, (size_t)n + 1);
}
