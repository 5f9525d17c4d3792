#include "fs/server.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tests/unit/fs/support.h"
#include "tests/unit/fs/trees.h"

TestSuite(server, .timeout = 120);

static struct answer answer;

static bool silent(int kernel)
{
        struct pollfd p = {.fd = kernel, .events = POLLIN};

        return poll(&p, 1, 50) == 0;
}

static void begin(struct server *s, struct rig *r)
{
        rig_new(r, true, false);
        cr_assert_eq(server_add(s, r->session), 0);
        ask_init(r->kernel);
        cr_assert(get_answer(r->kernel, &answer));
        wait_for_count(NULL, &r->ready, 1);
}

static void end(struct server *s, struct rig *r)
{
        server_remove(s, r->session);
        r->session = session_unref(r->session);
        wait_for_count(NULL, &r->freed, 1);
        safe_close(r->kernel);
        tree_free(r->tree);
}

Test(server, starts_and_stops)
{
        struct server *s;

        cr_assert_eq(server_new(SERVER_THREADS, &s), 0);
        server_free(s);
        server_free(NULL);
}

Test(server, serves_several_connections)
{
        struct server *s;
        struct rig rigs[5];

        cr_assert_eq(server_new(SERVER_THREADS, &s), 0);
        for (size_t i = 0; i < ELEMENTSOF(rigs); i++)
                begin(s, &rigs[i]);
        for (size_t i = 0; i < ELEMENTSOF(rigs); i++) {
                put_text(rigs[i].tree, "f", "x");
                ask(rigs[i].kernel, FUSE_LOOKUP, TREE_ROOT, NULL, 0, "f", NULL);
        }
        for (size_t i = 0; i < ELEMENTSOF(rigs); i++) {
                cr_assert(get_answer(rigs[i].kernel, &answer));
                cr_assert_eq(answer.h.error, 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(rigs); i++)
                end(s, &rigs[i]);
        server_free(s);
}

Test(server, a_removed_session_is_served_no_more_and_its_place_is_used_again)
{
        struct server *s;
        struct rig a, b, c;

        cr_assert_eq(server_new(1, &s), 0);
        begin(s, &a);
        begin(s, &b);
        uint64_t number = session_number(a.session);
        struct session *held = session_ref(a.session);
        server_remove(s, a.session);
        server_remove(s, a.session); /* twice is once */
        ask(a.kernel, FUSE_STATFS, 1, NULL, 0, NULL, NULL);
        cr_assert(silent(a.kernel));
        begin(s, &c);
        cr_assert_neq(session_number(c.session), number);
        cr_assert_eq(session_number(c.session) & 0xffffff, number & 0xffffff, "the same place");
        ask(b.kernel, FUSE_STATFS, 1, NULL, 0, NULL, NULL);
        cr_assert(get_answer(b.kernel, &answer));
        cr_assert(silent(a.kernel));
        session_unref(held);
        end(s, &a);
        end(s, &b);
        end(s, &c);
        server_free(s);
}

Test(server, a_dead_connection_is_told_once)
{
        struct server *s;
        struct rig r;

        cr_assert_eq(server_new(SERVER_THREADS, &s), 0);
        begin(s, &r);
        cr_assert_eq(shutdown(r.kernel, SHUT_WR), 0);
        wait_for_count(NULL, &r.dead, 1);
        end(s, &r);
        cr_assert_eq(r.dead, 1);
        server_free(s);
}

Test(server, a_connection_that_cannot_be_waited_for_is_an_error)
{
        struct server *s;
        struct rig r;

        cr_assert_eq(server_new(1, &s), 0);
        rig_new(&r, true, false);
        /* The same descriptor twice in one set is what epoll refuses. */
        cr_assert_eq(server_add(s, r.session), 0);
        uint64_t number = session_number(r.session);
        cr_assert_eq(server_add(s, r.session), -EEXIST);
        session_set_number(r.session, number);
        end(s, &r);
        server_free(s);
}

/* --- interleaved: what the thread sanitizer is to look at --- */

#define READERS 3
#define ROUNDS 400

struct reader {
        struct rig *rig;
        pthread_t thread;
        _Atomic unsigned *done;
        unsigned versions_seen;
};

/* Each has a connection of its own; look-ups, reads and forgets beside rotations. */
static void *read_versions(void *userdata)
{
        struct reader *me = userdata;
        struct answer *a = malloc(sizeof *a);
        char last[32] = "";

        cr_assert_not_null(a);
        for (int i = 0; i < ROUNDS; i++) {
                ask(me->rig->kernel, FUSE_LOOKUP, TREE_ROOT, NULL, 0, "f", NULL);
                cr_assert(get_answer(me->rig->kernel, a));
                cr_assert_eq(a->h.error, 0);
                struct fuse_entry_out e;
                memcpy(&e, a->body, sizeof e);
                struct fuse_read_in in = {.size = 4096};
                ask(me->rig->kernel, FUSE_READ, e.nodeid, &in, sizeof in, NULL, NULL);
                cr_assert(get_answer(me->rig->kernel, a));
                cr_assert_eq(a->h.error, 0);
                cr_assert_eq(a->len, e.attr.size, "bytes and size of one version");
                cr_assert_lt(a->len, sizeof last);
                if (strlen(last) != a->len || memcmp(last, a->body, a->len) != 0) {
                        memcpy(last, a->body, a->len);
                        last[a->len] = '\0';
                        me->versions_seen++;
                }
                struct fuse_forget_in forget = {.nlookup = 1};
                ask(me->rig->kernel, FUSE_FORGET, e.nodeid, &forget, sizeof forget, NULL, NULL);
        }
        free(a);
        ++*me->done;
        return NULL;
}

Test(server, threads_beside_rotations_see_whole_versions)
{
        static struct rig rigs[READERS];
        struct reader readers[READERS];
        _Atomic unsigned done = 0;
        struct server *s;
        unsigned version = 0;

        cr_assert_eq(server_new(3, &s), 0);
        for (size_t i = 0; i < READERS; i++) {
                begin(s, &rigs[i]);
                put_text(rigs[i].tree, "f", "0");
                readers[i] = (struct reader){.rig = &rigs[i], .done = &done};
                cr_assert_eq(
                        pthread_create(&readers[i].thread, NULL, read_versions, &readers[i]), 0);
        }
        while (done < READERS)
                for (size_t i = 0; i < READERS; i++) {
                        struct tree_plan plan;
                        struct tree_stats stats;
                        char text[32];
                        (void)snprintf(text, sizeof text, "%0*u", (int)(1 + version % 20), version);
                        version++;
                        struct view_file *f = make_file("f", text);
                        cr_assert_eq(tree_stage(rigs[i].tree, f, &plan), 0);
                        cr_assert_eq(tree_rename(rigs[i].tree, TREE_ROOT, plan.staged, TREE_ROOT,
                                             plan.name),
                                0);
                        cr_assert(tree_applied(rigs[i].tree));
                        tree_get_stats(rigs[i].tree, &stats);
                        tree_set_state(rigs[i].tree, "f", version, "x");
                        view_file_unref(f);
                }
        for (size_t i = 0; i < READERS; i++) {
                cr_assert_eq(pthread_join(readers[i].thread, NULL), 0);
                cr_assert_gt(readers[i].versions_seen, 0);
                /* The last FORGET wants no answer: the next one tells that it was taken. */
                ask(rigs[i].kernel, FUSE_STATFS, 1, NULL, 0, NULL, NULL);
                cr_assert(get_answer(rigs[i].kernel, &answer));
                end(s, &rigs[i]);
        }
        server_free(s);
}
