#include "desk.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/log.h"

struct desk desk;

void desk_set_up(void)
{
        desk.log_fd = memfd_create("log", MFD_CLOEXEC);
        cr_assert_geq(desk.log_fd, 0);
        log_set_fd(desk.log_fd);
        desk.loop = simulated_loop();
        desk.fake = fake_new(desk.loop);
        cr_assert_eq(cache_new(desk.loop, &desk.cache), 0);
        desk.vault = fake_open(desk.fake, FAKE_URL, "alice");
        desk.other_identity = fake_open(desk.fake, FAKE_URL, "bob");
        desk.other_vault = fake_open(desk.fake, FAKE_URL_2, "alice");
        fake_set(desk.fake, "db", "hunter2");
        fake_set(desk.fake, "api", "key");
}

void desk_tear_down(void)
{
        cache_free(desk.cache);
        vault_unref(desk.vault);
        vault_unref(desk.other_identity);
        vault_unref(desk.other_vault);
        fake_free(desk.fake);
        loop_free(desk.loop);
        close(desk.log_fd);
}

void on_state(void *userdata, const struct cache_state *state)
{
        struct seen *s = userdata;

        s->calls++;
        s->last = *state;
        s->failed = state->error;
        s->value[0] = s->version[0] = s->error[0] = '\0';
        if (state->object) {
                memcpy(s->value, sec_bytes(state->object->value), sec_len(state->object->value));
                s->value[sec_len(state->object->value)] = '\0';
                strcpy(s->version, state->object->version);
        }
        if (state->error) {
                if (s->errors++ == 0)
                        s->first_error = loop_now(desk.loop);
                s->cause = state->error->cause;
                strncpy(s->error, err_text(state->error), sizeof s->error - 1);
        }
        if (s->then)
                s->then(s);
}

void sub_at(
        struct seen *s, struct vault *at, const char *name, const char *version, usec_t interval)
{
        unsigned calls = s->calls;

        cr_assert_eq(cache_subscribe(desk.cache, at, VAULT_SECRET, name, version, interval,
                             on_state, s, &s->sub),
                0);
        cr_assert_eq(s->calls, calls, "never from within cache_subscribe()");
}

void sub(struct seen *s, const char *name, usec_t interval)
{
        sub_at(s, desk.vault, name, "", interval);
}

void sub_all(struct seen *s, unsigned n, usec_t interval)
{
        char name[16];

        for (unsigned i = 0; i < n; i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(desk.fake, name, name);
                sub(&s[i], name, interval);
        }
}

void unsub(struct seen *s)
{
        s->sub = cache_unsubscribe(s->sub);
}

unsigned requests(const char *name)
{
        return fake_requests(desk.fake, NULL, NULL, name);
}
