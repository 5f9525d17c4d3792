/* The life of one mount: asked for, served, ready; ended by us or by somebody else; gone.
 *
 *   MOUNTING --MOUNTED--> STARTING --INIT answered--> READY
 *      |                     |                          |  fs_mount_end(), GONE, dead connection
 *      v                     v                          v
 *   (failed: mounted(error), freed)     UNMOUNTING (as umount does; EBUSY: files are open)
 *                                                       v
 *                                     WITHDRAWING (READ and LOOKUP answer EIO, then pages go)
 *                                                       v
 *                                     DETACHING (out of the namespace, whoever holds files)
 *                                                       v
 *                                     CLOSING (last reference to the connection) --> gone, freed
 *
 * EIO comes before the pages are dropped, or a reader that loops would bring them back; and both
 * before the connection ends, or an open descriptor would go on reading cached bytes.
 */
#include <stdio.h>
#include <sys/mount.h>

#include "base/log.h"
#include "fs/mount_private.h"

struct fs_mount *fs_mount_next(struct fs_mount *m)
{
        return m->next;
}

uint64_t fs_mount_id(const struct fs_mount *m)
{
        return m->id;
}

/* --- the end --- */

void fs_mount_free(struct fs_mount *m)
{
        if (m->tree)
                tree_drop_snapshot(m->tree);
        loop_timer_free(m->warm.timer);
        rotation_free(m->rotation);
        tree_free(m->tree);
        err_done(&m->error);
        sec_unref(m->state_blob);
        free(m->mountpoint);
        free(m);
}

/* Was never ready: mounted(error) is the one event. Else gone(). */
static void finish(void *userdata)
{
        struct fs_mount *m = userdata;
        bool was_ready = m->told_mounted;

        tree_drop_snapshot(m->tree);

        /* Off the list first: the event may be followed by fs_stop(). */
        for (struct fs_mount **p = &m->fs->mounts; *p; p = &(*p)->next)
                if (*p == m) {
                        *p = m->next;
                        break;
                }
        fs_mount_warm_end(m);
        if (was_ready) {
                if (m->events.gone)
                        m->events.gone(m->userdata, m->error.code ? &m->error : NULL);
        } else {
                if (!m->error.code)
                        err_set_cause(&m->error, ERR_LOCAL, -ECANCELED,
                                "%s was unmounted before it was ready", m->mountpoint);
                m->events.mounted(m->userdata, &m->error);
        }
        fs_mount_free(m);
}

static void post(struct fs_mount *m, loop_fn fn)
{
        if (loop_post(m->fs->loop, fn, m) < 0)
                log_error("%s: out of memory, an event is lost", m->mountpoint);
}

/* The last event is always posted: its receiver may stop the whole file system, which must not
 * happen below the keeper's own callback. */
static void close_session(struct fs_mount *m)
{
        m->state = CLOSING;
        if (!m->session) {
                post(m, finish);
                return;
        }
        m->requests = session_requests(m->session);
        m->refused = session_refused(m->session);
        /* freed() posts finish() when the last thread has let go of it. */
        server_remove(m->fs->server, m->session);
        m->session = session_unref(m->session);
}

static void ask_unmount(struct fs_mount *m, bool detach)
{
        struct keeper_msg msg;

        keeper_msg_init(&msg, KEEPER_UNMOUNT, m->id);
        msg.flags = detach ? KEEPER_DETACH : 0;
        m->state = detach ? DETACHING : UNMOUNTING;
        if (keeper_client_send(m->fs->keeper, &msg, -EBADF) == 0)
                return;
        /* Without a keeper we try ourselves: it works as root, and there is nobody else. */
        if (umount2(m->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL &&
                errno != ENOENT)
                err_set_cause(&m->error, ERR_LOCAL, -errno,
                        "%s could not be unmounted: %s; run: umount -l %s", m->mountpoint,
                        strerror(errno), m->mountpoint);
        close_session(m);
}

static void pages_gone(void *userdata)
{
        ask_unmount(userdata, true);
}

static void withdraw(struct fs_mount *m)
{
        m->state = WITHDRAWING;
        tree_withdraw(m->tree);

        size_t n = m->session && !session_is_over(m->session) ? tree_known(m->tree, NULL, 0) : 0;
        uint64_t *ids = calloc(n + 1, sizeof *ids);
        if (ids) {
                n = MIN(n, tree_known(m->tree, ids, n));
                for (size_t i = 0; i < n; i++)
                        (void)notifier_inval_inode(m->fs->notifier, m->session, ids[i]);
                free(ids);
        }
        if (!ids || notifier_flush(m->fs->notifier, NULL, pages_gone, m) < 0)
                pages_gone(m);
}

static void begin_end(struct fs_mount *m)
{
        rotation_free(m->rotation);
        m->rotation = NULL;
        ask_unmount(m, false);
}

void fs_mount_end(struct fs_mount *m)
{
        if (m->state == READY)
                begin_end(m);
        else if (m->state < READY)
                m->end_asked = true;
}

void fs_mount_on_keeper_gone(struct fs_mount *m)
{
        if (m->state == MOUNTING) {
                err_set_cause(&m->error, ERR_LOCAL, -EPIPE, "the keeper died while mounting %s",
                        m->mountpoint);
                close_session(m);
        } else if (m->state != CLOSING && m->state != WITHDRAWING) {
                err_set_cause(&m->error, ERR_LOCAL, -EPIPE, "%s: the keeper died", m->mountpoint);
                rotation_free(m->rotation);
                m->rotation = NULL;
                withdraw(m);
        }
}

int fs_mount_give_back(struct fs_mount *m)
{
        struct keeper_msg msg;

        m->keeper_lost = true;
        if (!m->session || m->state == CLOSING)
                return 0;
        keeper_msg_init(&msg, KEEPER_RETURN, m->id);
        msg.flags = m->cfg.privileged ? (uint32_t)KEEPER_PRIVILEGED : 0;
        int r = keeper_msg_set(msg.path, sizeof msg.path, m->mountpoint);
        if (r == 0)
                r = keeper_client_send(m->fs->keeper, &msg, session_fd(m->session));
        return r < 0 ? r : 1;
}

void fs_mount_on_heir(struct fs_mount *m)
{
        if (!m->keeper_lost) /* asked of the heir already */
                return;
        m->keeper_lost = false;
        switch (m->state) {
        case MOUNTING:
                err_set_cause(&m->error, ERR_LOCAL, -EPIPE,
                        "the keeper was killed while mounting %s", m->mountpoint);
                err_hint(&m->error, "mount again; if something is left there: umount -l %s",
                        m->mountpoint);
                close_session(m);
                break;
        case UNMOUNTING:
        case DETACHING:
                ask_unmount(m, m->state == DETACHING);
                break;
        default:
                tree_unbind(m->tree);
                if (m->rotation)
                        rotation_lost(m->rotation);
                fs_mount_warm_lost(m);
                break;
        }
}

/* --- what the serving threads report, brought to the loop --- */

static void ready_on_loop(void *userdata)
{
        struct fs_mount *m = userdata;

        if (m->state != STARTING)
                return;
        m->state = READY;
        if (m->end_asked) {
                begin_end(m);
                return;
        }
        fs_mount_warm(m); /* and then */
        if (!m->cfg.warm)
                fs_mount_is_ready(m);
}

void fs_mount_is_ready(struct fs_mount *m)
{
        if (m->told_mounted)
                return;
        log_info("%s is mounted", m->mountpoint);
        m->init_len = session_init_request(m->session, m->init, sizeof m->init);
        tree_make_room(m->tree, sizeof m->init);
        fs_mount_write_init(m);
        m->told_mounted = true;
        m->events.mounted(m->userdata, NULL);
}

static void renamed_on_loop(void *userdata)
{
        struct fs_mount *m = userdata;

        if (m->rotation)
                rotation_applied(m->rotation);
}

static void dead_on_loop(void *userdata)
{
        struct fs_mount *m = userdata;

        if (m->state != STARTING && m->state != READY)
                return;
        if (m->state == READY)
                log_info("%s was unmounted by somebody else", m->mountpoint);
        rotation_free(m->rotation);
        m->rotation = NULL;
        /* Who still has files open there (umount -l, another namespace) must not keep the bytes. */
        withdraw(m);
}

static void on_ready(void *userdata)
{
        post(userdata, ready_on_loop);
}

static void on_renamed(void *userdata)
{
        post(userdata, renamed_on_loop);
}

static void on_refused(void *userdata, struct session *s, uint64_t id)
{
        const struct fs_mount *m = userdata;

        (void)notifier_inval_inode(m->fs->notifier, s, id);
}

static void on_dead(void *userdata)
{
        post(userdata, dead_on_loop);
}

static void on_freed(void *userdata)
{
        post(userdata, finish);
}

static const struct session_events session_events = {
        .ready = on_ready,
        .renamed = on_renamed,
        .refused = on_refused,
        .dead = on_dead,
        .freed = on_freed,
};

/* --- the beginning --- */

static void mount_failed(struct fs_mount *m, const struct keeper_msg *answer)
{
        /* the label alone is what somebody asked for */
        bool label = m->labelled && answer->result == -EOPNOTSUPP;

        err_set_cause(&m->error, label ? ERR_USAGE : ERR_LOCAL, answer->result,
                "%s cannot be mounted: %s", m->mountpoint, answer->detail);
        switch (answer->result) {
        case -ENODEV:
                err_hint(&m->error, "the kernel has no FUSE: load the module with `modprobe fuse`");
                break;
        case -ENOENT:
                err_hint(&m->error,
                        m->cfg.privileged
                                ? "/dev/fuse is missing: `modprobe fuse`, or give the container the "
                                  "device"
                                : "install the package fuse3");
                break;
        case -EPERM:
        case -EACCES:
                err_hint(&m->error,
                        m->cfg.privileged
                                ? "mounting needs CAP_SYS_ADMIN"
                                : "the mount point must be a directory that you own; for "
                                  "allow_other, user_allow_other must be in /etc/fuse.conf");
                break;
        default:
                break;
        }
        if (label)
                err_hint(&m->error, "SELinux is off here, or its policy does not know the label: "
                                    "getenforce, dmesg");
        close_session(m);
}

int fs_mount_open_session(struct fs_mount *m, int fd)
{
        struct session_config cfg = {.tree = m->tree,
                .dialects = m->fs->dialects,
                .label = m->mountpoint,
                .no_open = m->cfg.privileged && !m->cfg.audit,
                .xattr = m->cfg.xattr,
                .audit = m->cfg.audit,
                .init = m->init_len ? m->init : NULL,
                .init_len = m->init_len,
                .events = &session_events,
                .userdata = m};
        int r = session_new(fd, &cfg, &m->session);
        return r < 0 ? r : fs_mount_new_rotation(m);
}

static void on_mounted(struct fs_mount *m, const struct keeper_msg *answer, int fd)
{
        if (answer->result < 0 || fd < 0) {
                safe_close(fd);
                mount_failed(m, answer);
                return;
        }

        m->state = STARTING;
        m->replaced = answer->flags & KEEPER_REPLACED;
        int r = fs_mount_open_session(m, fd);
        if (r == 0)
                r = server_add(m->fs->server, m->session);
        if (r < 0) {
                err_set_cause(&m->error, ERR_LOCAL, r, "%s cannot be served: %s", m->mountpoint,
                        strerror(-r));
                rotation_free(m->rotation);
                m->rotation = NULL;
                ask_unmount(m, true);
        }
}

static void on_unmounted(struct fs_mount *m, const struct keeper_msg *answer)
{
        if (m->state == UNMOUNTING) {
                /* Also when it went smoothly: another namespace may still hold the superblock. */
                if (answer->result < 0 && answer->result != -EBUSY)
                        log_warning("%s: %s", m->mountpoint, answer->detail);
                else if (answer->result == -EBUSY)
                        log_info("%s is in use: its files are withdrawn and it is detached",
                                m->mountpoint);
                withdraw(m);
                return;
        }
        if (m->state != DETACHING)
                return;
        if (answer->result < 0) {
                err_set_cause(&m->error, ERR_LOCAL, answer->result, "%s could not be unmounted: %s",
                        m->mountpoint, answer->detail);
                err_hint(&m->error, "run: umount -l %s", m->mountpoint);
        }
        close_session(m);
}

void fs_mount_on_answer(struct fs_mount *m, const struct keeper_msg *answer, int fd)
{
        if (answer->op == KEEPER_MOUNTED && m->state == MOUNTING) {
                on_mounted(m, answer, fd);
                return;
        }
        safe_close(fd);
        if (answer->op == KEEPER_RENAMED && m->rotation)
                rotation_ended(m->rotation, answer->seq, answer->result, answer->detail);
        else if (answer->op == KEEPER_WARMED)
                fs_mount_warmed(m, answer->seq, answer->result);
        else if (answer->op == KEEPER_BOUND) {
                uint64_t id = tree_bind(m->tree, answer->seq, answer->result > 0);
                if (id && m->session)
                        (void)notifier_inval_inode(m->fs->notifier, m->session, id);
                if (m->rotation)
                        rotation_adopt(m->rotation);
        } else if (answer->op == KEEPER_UNMOUNTED)
                on_unmounted(m, answer);
        else if (answer->op == KEEPER_GONE)
                dead_on_loop(m);
}

/* What a class may be called and an option string may not hold. It is only shown: cut and replaced
 * rather than refused. */
static void set_source(struct keeper_msg *msg, const char *name)
{
        snprintf(msg->name, sizeof msg->name, "%s", isempty(name) ? "akvfs" : name);
        for (char *c = msg->name; *c; c++)
                if (*c == ',' || *c == '\\' || (unsigned char)*c < ' ')
                        *c = '_';
}

int fs_mount_make(
        struct fs *fs, uint64_t id, const struct fs_mount_config *cfg, struct fs_mount **ret)
{
        struct fs_mount *m = calloc(1, sizeof *m);

        if (!m || !(m->mountpoint = strdup(cfg->mountpoint))) {
                free(m);
                return -ENOMEM;
        }
        m->fs = fs;
        m->id = id;
        m->cfg = *cfg;
        m->cfg.mountpoint = m->mountpoint;
        m->labelled = cfg->selinux_context != NULL;
        m->cfg.fsname = m->cfg.selinux_context = NULL;
        if (cfg->grace == 0 || cfg->grace > FS_GRACE_MAX)
                m->cfg.grace = FS_GRACE_MAX;
        m->state_blob = sec_ref(cfg->state);
        m->cfg.state = NULL;

        /* fusermount3 mounts with the user's own rights: the rotating child renames as that user,
         * so folders stay the user's whatever the files' owner is. */
        struct tree_config tree = {.epoch = fs->epoch,
                .uid = cfg->uid,
                .gid = cfg->gid,
                .mode = cfg->mode,
                .dir_uid = cfg->privileged ? cfg->uid : getuid(),
                .dir_gid = cfg->privileged ? cfg->gid : getgid(),
                .dump = fs_mount_dump,
                .userdata = m};
        int r = tree_new(&tree, &m->tree);
        if (r < 0) {
                fs_mount_free(m);
                return r;
        }
        *ret = m;
        return 0;
}

int fs_mount_new(struct fs *fs, const struct fs_mount_config *cfg, struct view_file *const *files,
        size_t n_files, const struct fs_mount_events *events, void *userdata, struct fs_mount **ret,
        struct err *e)
{
        struct keeper_msg msg;
        struct fs_mount *m = NULL;

        int r = fs_mount_make(fs, ++fs->last_id, cfg, &m);
        if (r < 0)
                return err_set(e, r, "out of memory");
        m->events = *events;
        m->userdata = userdata;
        r = tree_set_snapshot(m->tree, fs->snapshot, m->id);
        if (r == 0) {
                tree_make_room(m->tree, fs_mount_record_size(m));
                fs_mount_write_mount(m);
        }
        for (size_t i = 0; r == 0 && i < n_files; i++) {
                r = tree_put(m->tree, files[i]);
                if (r < 0)
                        err_set(e, r, "%s cannot be shown: %s", files[i]->path, strerror(-r));
        }
        if (r == 0) {
                r = fs_mount_show_generation(m);
                if (r < 0)
                        err_set(e, r, "out of memory");
        }
        keeper_msg_init(&msg, KEEPER_MOUNT, m->id);
        msg.flags = (cfg->privileged ? (uint32_t)KEEPER_PRIVILEGED : 0) |
                    (cfg->allow_other ? (uint32_t)KEEPER_ALLOW_OTHER : 0);
        if (r == 0) {
                r = keeper_msg_set(msg.path, sizeof msg.path, cfg->mountpoint);
                set_source(&msg, cfg->fsname);
                if (r == 0 && cfg->selinux_context)
                        r = keeper_msg_set(msg.context, sizeof msg.context, cfg->selinux_context);
                if (r == 0)
                        r = keeper_client_send(fs->keeper, &msg, -EBADF);
                if (r < 0)
                        err_set_cause(e, ERR_LOCAL, r, "%s cannot be mounted: %s", cfg->mountpoint,
                                strerror(-r));
        }
        if (r < 0) {
                fs_mount_free(m);
                return r;
        }
        m->next = fs->mounts;
        fs->mounts = m;
        *ret = m;
        return 0;
}

void fs_mount_set_state(
        struct fs_mount *m, const char *path, int64_t refreshed_at, const char *error)
{
        if (m->cfg.xattr)
                tree_set_state(m->tree, path, refreshed_at, error);
}

void fs_mount_get_stats(const struct fs_mount *m, struct fs_mount_stats *ret)
{
        struct tree_stats tree;

        tree_get_stats(m->tree, &tree);
        *ret = (struct fs_mount_stats){
                .requests = m->session ? session_requests(m->session) : m->requests,
                .refused = m->session ? session_refused(m->session) : m->refused,
                .generation = tree.generation,
                .keeper_pid = keeper_client_pid(m->fs->keeper),
                .worker_starts = m->fs->worker_starts,
                .replaced = m->replaced,
        };
}
