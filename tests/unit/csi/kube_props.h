/* What the tests of csi/kube* share: a server that says what it is told to, and its client. */
#pragma once

#include "csi/kube.h"
#include "support/server.h"

extern struct loop *loop;
extern struct test_server *server;
extern struct kube *kube;

/* For TestSuite(.init = , .fini = ). The account's token is "first". */
void kube_set_up(void);
void kube_tear_down(void);
void kube_write_token(const char *token);
void kube_remove_token(void);
