#include "resolver.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char local[256], hang[256], unknown[256];
static unsigned hanging;

static void set(char *where, const char *what)
{
        pthread_mutex_lock(&lock);
        snprintf(where, 256, "%s", what);
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
}

void test_resolver_local(const char *suffix)
{
        set(local, suffix);
}

void test_resolver_hang(const char *name)
{
        set(hang, name);
}

void test_resolver_release(void)
{
        set(hang, "");
}

void test_resolver_unknown(const char *name)
{
        set(unknown, name);
}

unsigned test_resolver_hanging(void)
{
        pthread_mutex_lock(&lock);
        unsigned n = hanging;
        pthread_mutex_unlock(&lock);
        return n;
}

/* Exported: libcurl finds this one before the C library's. */
__attribute__((visibility("default"))) int getaddrinfo(const char *restrict name,
        const char *restrict service, const struct addrinfo *restrict hints,
        struct addrinfo **restrict ret)
{
        static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
        bool fail = false;

        pthread_mutex_lock(&lock);
        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
        if (name) {
                size_t n = strlen(name), k = strlen(local);
                hanging++;
                while (*hang && strcmp(name, hang) == 0)
                        pthread_cond_wait(&changed, &lock);
                hanging--;
                fail = *unknown && strcmp(name, unknown) == 0;
                if (k > 0 && n >= k && strcmp(name + n - k, local) == 0)
                        name = "127.0.0.1";
        }
        pthread_mutex_unlock(&lock);
        return fail ? EAI_NONAME : real(name, service, hints, ret);
}
