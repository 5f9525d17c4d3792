/* A test server in a process of its own, for tests that search their own memory. */
#pragma once

#include <sys/types.h>

struct forked_server {
        pid_t pid;
        int alive; /* the server ends when this is closed */
        char url[128], ca_file[128];
};

/* Answers every request with the body that make_body writes (in the server's process). */
void forked_server_start(struct forked_server *s, void (*make_body)(char *out, size_t size));
void forked_server_stop(struct forked_server *s);
