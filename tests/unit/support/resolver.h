/* getaddrinfo(3) of the test's process, for names that must not depend on a network. */
#pragma once

/* Every name that ends with the suffix resolves to 127.0.0.1. */
void test_resolver_local(const char *suffix);
/* Look-ups of this name hang until test_resolver_release(). */
void test_resolver_hang(const char *name);
void test_resolver_release(void);
/* Look-ups that hang now. */
unsigned test_resolver_hanging(void);
/* Look-ups of this name fail with EAI_NONAME. */
void test_resolver_unknown(const char *name);
