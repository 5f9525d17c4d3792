#include "cli/commands.h"

#include "base/log.h"

/* Somebody who waits for an answer about a mount. */
struct waiter {
        struct waiter *next;
        struct control_conn *conn;
};

struct served {
        struct served *next;
        struct commands *commands;
        struct class_mount *mount;
        struct control_conn *mounter; /* until it is told how the mount went */
        struct waiter *unmounters;
        bool mounted; /* was, once */
};

/* One `refresh`: answers when every mount it covers has been polled. */
struct refresh {
        struct refresh *next;
        struct commands *commands;
        struct control_conn *conn;
        cJSON *answer, *mounts; /* mounts is within answer; both NULL after a lack of memory */
        struct refresh_part *parts;
        size_t waiting;
};
struct refresh_part {
        struct refresh_part *next;
        struct refresh *refresh;
        struct class_mount *mount; /* NULL once it has answered */
};

struct commands {
        struct commands_config config;
        struct control_server *server;
        struct served *list;
        struct refresh *refreshes;
        bool ending;
        bool making_way;
        bool used;
};

bool commands_are_idle(const struct commands *c)
{
        return !c->list && control_server_connections(c->server) == 0;
}

static void check_idle(struct commands *c)
{
        if (c->used || c->ending || c->making_way)
                c->config.idle(c->config.userdata);
}

static void send_error(struct control_conn *conn, const struct err *e)
{
        _cleanup_json_ cJSON *j = control_message("failed");

        control_conn_send(conn, j && control_add_error(j, e) == 0 ? TAKE_PTR(j) : NULL);
}

/* --- mount --- */

static void on_progress(void *userdata, size_t have, size_t of)
{
        struct served *s = userdata;
        _cleanup_json_ cJSON *j = NULL;

        if (!s->mounter)
                return;
        j = control_message("progress");
        if (cJSON_AddNumberToObject(j, "have", (double)have) &&
                cJSON_AddNumberToObject(j, "of", (double)of))
                control_conn_send(s->mounter, TAKE_PTR(j));
}

static void on_started(void *userdata, const struct err *errors, size_t n_errors)
{
        struct served *s = userdata;
        const char *where = class_mount_path(s->mount), *class = class_mount_name(s->mount);
        struct control_conn *conn = TAKE_PTR(s->mounter);

        if (n_errors == 0) {
                s->mounted = true;
                log_info("mounted class %s on %s", class, where);
                if (conn)
                        control_conn_send(conn, control_message("done"));
                return;
        }
        _cleanup_json_ cJSON *j = control_message("failed");
        bool ok = j;
        for (size_t i = 0; i < n_errors; i++) {
                /* with a worker of its own the command prints them to the same place */
                if (!s->commands->config.own)
                        log_error("class %s was not mounted on %s: %s", class, where,
                                err_text(&errors[i]));
                ok = ok && control_add_error(j, &errors[i]) == 0;
        }
        if (conn)
                control_conn_send(conn, ok ? TAKE_PTR(j) : NULL);
}

static void on_gone(void *userdata, const struct err *error)
{
        struct served *s = userdata;
        struct commands *c = s->commands;

        if (error)
                log_warning("unmounted %s: %s", class_mount_path(s->mount), err_text(error));
        else if (s->mounted)
                log_info("%s is gone", class_mount_path(s->mount));
        while (s->unmounters) {
                struct waiter *w = s->unmounters;

                s->unmounters = w->next;
                if (error)
                        send_error(w->conn, error);
                else
                        control_conn_send(w->conn, control_message("done"));
                free(w);
        }
        for (struct served **p = &c->list; *p; p = &(*p)->next)
                if (*p == s) {
                        *p = s->next;
                        break;
                }
        free(s);
        check_idle(c);
}

static struct served *find(const struct commands *c, const char *mountpoint)
{
        for (struct served *s = c->list; s; s = s->next)
                if (streq(class_mount_path(s->mount), mountpoint))
                        return s;
        return NULL;
}

/* Those of commands, or those of the CSI driver: *ret is a list that the caller frees. */
static size_t list_mounts(const struct commands *c, struct class_mount ***ret)
{
        size_t n = 0;

        if (c->config.volumes)
                return volumes_mounts(c->config.volumes, ret);
        for (const struct served *s = c->list; s; s = s->next)
                n++;
        *ret = calloc(n + 1, sizeof(struct class_mount *));
        n = 0;
        for (const struct served *s = c->list; *ret && s; s = s->next)
                (*ret)[n++] = s->mount;
        return n;
}

static int mount_class(
        struct commands *c, struct control_conn *conn, const cJSON *message, struct err *e)
{
        static const struct class_mount_events events = {
                .progress = on_progress, .started = on_started, .gone = on_gone};
        _cleanup_mount_request_ struct mount_request q = {0};

        if (c->ending || c->config.volumes || (c->config.own && c->list))
                return err_set_cause(e, ERR_LOCAL, -ESHUTDOWN, "this worker takes no more mounts");
        int r = mount_request_parse(message, &q, e);
        if (r < 0)
                return r;
        if (find(c, q.mountpoint)) {
                err_set_cause(e, ERR_LOCAL, -EBUSY,
                        "%s is already mounted by akvfs, or about to be", q.mountpoint);
                err_hint(e, "akvfs unmount %s", q.mountpoint);
                return -EBUSY;
        }
        struct served *s = calloc(1, sizeof *s);
        if (!s)
                return err_set(e, -ENOMEM, "out of memory");
        *s = (struct served){.commands = c, .mounter = conn};
        r = class_mount_new(&c->config.parts, &q, &events, s, &s->mount, e);
        if (r < 0) {
                free(s);
                return r;
        }
        s->next = c->list;
        c->list = s;
        c->used = true;
        control_conn_send(conn, control_message("accepted"));
        return 0;
}

static void do_mount(struct commands *c, struct control_conn *conn, const cJSON *message)
{
        _cleanup_err_ struct err e = {0};

        if (mount_class(c, conn, message, &e) < 0) {
                c->used = true; /* a worker that was started for this mount has no reason to stay */
                send_error(conn, &e);
        }
}

/* A service that was restarted: is what is there what it would mount now? */
static void do_resume(struct commands *c, struct control_conn *conn, const cJSON *message)
{
        _cleanup_mount_request_ struct mount_request q = {0};
        _cleanup_err_ struct err e = {0};

        if (mount_request_parse(message, &q, &e) < 0) {
                send_error(conn, &e);
                return;
        }
        const struct served *s = find(c, q.mountpoint);
        control_conn_send(conn, control_message(!s                             ? "unknown"
                                                : class_mount_is(s->mount, &q) ? "done"
                                                                               : "different"));
}

/* What an earlier worker left goes on. */
static void adopt_one(struct commands *c, struct fs_mount *mount)
{
        static const struct class_mount_events events = {
                .progress = on_progress, .started = on_started, .gone = on_gone};
        _cleanup_err_ struct err e = {0};
        struct served *s = calloc(1, sizeof *s);

        if (s)
                s->commands = c;
        int r = s ? class_mount_adopt(&c->config.parts, mount, &events, s, &s->mount, &e)
                  : err_set(&e, -ENOMEM, "out of memory");
        if (r < 0) {
                log_error("a mount cannot be gone on with and is unmounted: %s", err_text(&e));
                free(s);
                fs_mount_end(mount);
                return;
        }
        s->next = c->list;
        c->list = s;
        c->used = true;
}

static void adopt(struct commands *c)
{
        size_t n = fs_adopted(c->config.parts.fs, NULL, 0);
        struct fs_mount **mounts = calloc(n + 1, sizeof(struct fs_mount *));

        if (!mounts) {
                log_error("out of memory: the mounts of the last worker stay as they are");
                return;
        }
        n = fs_adopted(c->config.parts.fs, mounts, n);
        for (size_t i = 0; i < n; i++)
                adopt_one(c, mounts[i]);
        free(mounts);
}

/* --- unmount --- */

static void do_unmount(struct commands *c, struct control_conn *conn, const cJSON *message)
{
        const char *mountpoint = json_string(message, "mountpoint");
        struct served *s = mountpoint ? find(c, mountpoint) : NULL;

        if (!s) {
                control_conn_send(conn, control_message("unknown"));
                return;
        }
        struct waiter *w = calloc(1, sizeof *w);
        if (!w) {
                control_conn_close(conn);
                return;
        }
        *w = (struct waiter){.next = s->unmounters, .conn = conn};
        s->unmounters = w;
        class_mount_end(s->mount);
}

/* --- refresh --- */

static void refresh_free(struct refresh *r)
{
        struct commands *c = r->commands;

        for (struct refresh **p = &c->refreshes; *p; p = &(*p)->next)
                if (*p == r) {
                        *p = r->next;
                        break;
                }
        while (r->parts) {
                struct refresh_part *p = r->parts;
                r->parts = p->next;
                if (p->mount)
                        class_mount_forget(p->mount, p);
                free(p);
        }
        json_free(r->answer);
        free(r);
}

static void refresh_check(struct refresh *r)
{
        if (r->waiting > 0)
                return;
        control_conn_send(r->conn, TAKE_PTR(r->answer));
        refresh_free(r);
}

static void refresh_note(struct refresh *r, const struct class_mount *s, const struct err *error)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();

        if (!r->answer)
                return;
        bool ok = cJSON_AddStringToObject(j, "mountpoint", class_mount_path(s)) &&
                  cJSON_AddStringToObject(j, "class", class_mount_name(s));
        if (ok && error) {
                cJSON *item = control_error(error);
                ok = item && cJSON_AddItemToObject(j, "error", item);
        }
        if (ok && cJSON_AddItemToArray(r->mounts, j))
                TAKE_PTR(j);
        else {
                json_free(r->answer);
                r->answer = r->mounts = NULL;
        }
}

static void on_refreshed(void *userdata, const struct err *error)
{
        struct refresh_part *p = userdata;
        struct refresh *r = p->refresh;

        refresh_note(r, TAKE_PTR(p->mount), error);
        r->waiting--;
        refresh_check(r);
}

static void refresh_add(struct refresh *r, struct class_mount *s)
{
        _cleanup_err_ struct err e = {0};
        struct refresh_part *p = NULL;

        if (!class_mount_is_mounted(s)) {
                err_set_cause(&e, ERR_LOCAL, -EAGAIN, "it is being mounted or unmounted");
                refresh_note(r, s, &e);
                return;
        }
        p = calloc(1, sizeof *p);
        if (p)
                *p = (struct refresh_part){.next = r->parts, .refresh = r, .mount = s};
        if (!p || class_mount_refresh(s, on_refreshed, p) < 0) {
                free(p);
                err_set(&e, -ENOMEM, "out of memory");
                refresh_note(r, s, &e);
                return;
        }
        r->parts = p;
        r->waiting++;
}

static void do_refresh(struct commands *c, struct control_conn *conn, const cJSON *message)
{
        const char *mountpoint = json_string(message, "mountpoint");
        struct refresh *r = calloc(1, sizeof *r);

        if (!r) {
                control_conn_close(conn);
                return;
        }
        *r = (struct refresh){.next = c->refreshes, .commands = c, .conn = conn};
        c->refreshes = r;
        r->answer = control_message("refreshed");
        r->mounts = cJSON_AddArrayToObject(r->answer, "mounts");
        if (!r->mounts) {
                json_free(r->answer);
                r->answer = NULL;
        }
        struct class_mount **all = NULL;
        size_t n = list_mounts(c, &all);
        for (size_t i = 0; i < n; i++)
                if (!mountpoint || streq(class_mount_path(all[i]), mountpoint))
                        refresh_add(r, all[i]);
        free(all);
        refresh_check(r);
}

static void on_hup_refreshed(void *userdata, const struct err *error)
{
        const struct class_mount *m = userdata;

        if (error)
                log_warning("polled %s: %s", class_mount_path(m), err_text(error));
        else
                log_info("polled %s", class_mount_path(m));
}

void commands_refresh_all(struct commands *c)
{
        struct class_mount **all = NULL;
        size_t n = list_mounts(c, &all);

        for (size_t i = 0; i < n; i++)
                if (class_mount_is_mounted(all[i]) &&
                        class_mount_refresh(all[i], on_hup_refreshed, all[i]) < 0)
                        log_error("could not poll %s: out of memory", class_mount_path(all[i]));
        free(all);
}

/* --- status, hello --- */

static void do_status(struct commands *c, struct control_conn *conn, const cJSON *message)
{
        const char *mountpoint = json_string(message, "mountpoint");
        _cleanup_json_ cJSON *j = control_message("status");
        cJSON *mounts = cJSON_AddArrayToObject(j, "mounts");
        int64_t now = loop_wall(c->config.parts.loop);

        struct class_mount **all = NULL;
        size_t n = list_mounts(c, &all);
        for (size_t i = 0; mounts && i < n; i++) {
                if (mountpoint && !streq(class_mount_path(all[i]), mountpoint))
                        continue;
                cJSON *m = class_mount_status(all[i], getpid(), now);
                if (!m)
                        mounts = NULL;
                else
                        cJSON_AddItemToArray(mounts, m);
        }
        free(all);
        control_conn_send(conn, mounts ? TAKE_PTR(j) : NULL);
}

static void do_hello(struct commands *c, struct control_conn *conn, const cJSON *message)
{
        struct control_hello hello = c->config.hello;
        int64_t protocol;

        hello.keeper_pid = fs_keeper_pid(c->config.parts.fs); /* changes when one is killed */
        hello.accepts = !c->ending && !c->config.volumes && !(c->config.own && c->used);
        control_conn_send(conn, control_hello_format(&hello));
        if (json_int64(message, "protocol", &protocol) < 0 || protocol != CONTROL_PROTOCOL)
                control_conn_close(conn);
}

static void on_message(void *userdata, struct control_conn *conn, const cJSON *message)
{
        static const struct {
                const char *type;
                void (*fn)(struct commands *c, struct control_conn *conn, const cJSON *message);
        } table[] = {
                {"hello", do_hello},
                {"mount", do_mount},
                {"resume", do_resume},
                {"unmount", do_unmount},
                {"refresh", do_refresh},
                {"status", do_status},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (streq(control_type(message), table[i].type)) {
                        table[i].fn(userdata, conn, message);
                        return;
                }
        log_warning("unknown command on the control socket");
        control_conn_close(conn);
}

static void on_closed(void *userdata, struct control_conn *conn)
{
        struct commands *c = userdata;

        for (struct served *s = c->list; s; s = s->next) {
                /* whoever asked for it gave up before it was there */
                if (s->mounter == conn) {
                        s->mounter = NULL;
                        class_mount_end(s->mount);
                }
                for (struct waiter **p = &s->unmounters; *p;) {
                        struct waiter *w = *p;
                        if (w->conn != conn) {
                                p = &w->next;
                                continue;
                        }
                        *p = w->next;
                        free(w);
                }
        }
        for (struct refresh *r = c->refreshes, *next; r; r = next) {
                next = r->next;
                if (r->conn == conn)
                        refresh_free(r);
        }
        /* it still counts now; whoever is told looks again later */
        check_idle(c);
}

/* --- life --- */

int commands_new(int listen_fd, const struct commands_config *config, struct commands **ret)
{
        static const struct control_handler handler = {.message = on_message, .closed = on_closed};
        struct commands *c = calloc(1, sizeof *c);
        if (!c) {
                safe_close(listen_fd);
                return -ENOMEM;
        }
        c->config = *config;
        int r = control_server_new(config->parts.loop, listen_fd, &handler, c, &c->server);
        if (r < 0) {
                free(c);
                return r;
        }
        control_server_serve(c->server, config->hello.uid);
        if (!config->volumes)
                adopt(c);
        *ret = c;
        return 0;
}

void commands_free(struct commands *c)
{
        if (!c)
                return;
        control_server_free(c->server);
        free(c);
}

void commands_make_way(struct commands *c)
{
        c->making_way = true;
        control_server_stop_listening(c->server);
        check_idle(c);
}

bool commands_are_quiet(const struct commands *c)
{
        return control_server_connections(c->server) == 0;
}

void commands_end(struct commands *c)
{
        if (!c->ending) {
                c->ending = true;
                control_server_stop_listening(c->server);
                for (struct served *s = c->list; s; s = s->next)
                        class_mount_end(s->mount);
        }
        check_idle(c);
}
