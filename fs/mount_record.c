/* A mount in the journal, and a mount out of the journal. */
#include "base/log.h"
#include "fs/mount_private.h"

enum record_flags {
        FLAG_ALLOW_OTHER = 1,
        FLAG_PRIVILEGED = 2,
        FLAG_XATTR = 4,
        FLAG_AUDIT = 8,
        FLAG_WARM = 16
};

/* Followed by the mount point, NUL-terminated, and the owner's state. */
struct mount_head {
        uint32_t uid, gid, mode, flags;
        uint32_t n_mountpoint;
        uint32_t grace; /* microseconds; 0: the longest */
        uint64_t n_state;
};

/* --- writing --- */

size_t fs_mount_record_size(const struct fs_mount *m)
{
        return sizeof(struct mount_head) + strlen(m->mountpoint) + 1 +
               (m->state_blob ? sec_len(m->state_blob) : 0) + 64;
}

static size_t mount_parts(const struct fs_mount *m, struct mount_head *head, struct iovec parts[3])
{
        *head = (struct mount_head){.uid = m->cfg.uid,
                .gid = m->cfg.gid,
                .mode = m->cfg.mode,
                .flags = (m->cfg.allow_other ? (uint32_t)FLAG_ALLOW_OTHER : 0) |
                         (m->cfg.privileged ? (uint32_t)FLAG_PRIVILEGED : 0) |
                         (m->cfg.xattr ? (uint32_t)FLAG_XATTR : 0) |
                         (m->cfg.audit ? (uint32_t)FLAG_AUDIT : 0) |
                         (m->cfg.warm ? (uint32_t)FLAG_WARM : 0),
                .n_mountpoint = (uint32_t)strlen(m->mountpoint) + 1,
                .grace = (uint32_t)m->cfg.grace,
                .n_state = m->state_blob ? sec_len(m->state_blob) : 0};
        parts[0] = (struct iovec){head, sizeof *head};
        parts[1] = (struct iovec){m->mountpoint, head->n_mountpoint};
        if (!m->state_blob)
                return 2;
        parts[2] = (struct iovec){(void *)(uintptr_t)sec_bytes(m->state_blob), head->n_state};
        return 3;
}

void fs_mount_write_mount(struct fs_mount *m)
{
        struct mount_head head;
        struct iovec parts[3];
        size_t n = mount_parts(m, &head, parts);

        tree_write_raw(m->tree, RECORD_MOUNT, parts, n);
}

void fs_mount_write_init(struct fs_mount *m)
{
        struct iovec part = {m->init, m->init_len};

        if (m->init_len > 0)
                tree_write_raw(m->tree, RECORD_INIT, &part, 1);
}

void fs_mount_dump(void *userdata, struct snapshot_mount *s)
{
        struct fs_mount *m = userdata;
        struct mount_head head;
        struct iovec parts[3], init = {m->init, m->init_len};
        size_t n = mount_parts(m, &head, parts);

        snapshot_put_raw(s, RECORD_MOUNT, parts, n);
        if (m->init_len > 0)
                snapshot_put_raw(s, RECORD_INIT, &init, 1);
}

/* --- reading --- */

int fs_mount_restore(
        struct fs *fs, uint64_t id, const struct journal_record *record, struct fs_mount **ret)
{
        struct mount_head head;
        _cleanup_sec_ struct sec *state = NULL;

        if (record->len < sizeof head)
                return -EBADMSG;
        memcpy(&head, record->data, sizeof head);
        const char *mountpoint = (const char *)record->data + sizeof head;
        size_t rest = record->len - sizeof head;
        if (head.n_mountpoint == 0 || rest < head.n_mountpoint ||
                rest - head.n_mountpoint != head.n_state || mountpoint[0] != '/' ||
                mountpoint[head.n_mountpoint - 1] != '\0' || (head.mode & ~07777U))
                return -EBADMSG;
        if (head.n_state > 0) {
                int r = sec_new(mountpoint + head.n_mountpoint, head.n_state, &state);
                if (r < 0)
                        return r;
        }
        struct fs_mount_config cfg = {.mountpoint = mountpoint,
                .uid = head.uid,
                .gid = head.gid,
                .mode = head.mode,
                .allow_other = head.flags & FLAG_ALLOW_OTHER,
                .privileged = head.flags & FLAG_PRIVILEGED,
                .xattr = head.flags & FLAG_XATTR,
                .audit = head.flags & FLAG_AUDIT,
                .warm = head.flags & FLAG_WARM,
                .grace = head.grace,
                .state = state};
        return fs_mount_make(fs, id, &cfg, ret);
}

int fs_mount_replay(struct fs_mount *m, const struct journal_record *record)
{
        /* Written twice when its own room took a new area, which has it already. */
        if (record->type == RECORD_MOUNT)
                return 0;
        if (record->type != RECORD_INIT)
                return tree_restore(m->tree, record);
        if (record->len > sizeof m->init)
                return -EBADMSG;
        memcpy(m->init, record->data, record->len);
        m->init_len = record->len;
        return 0;
}

int fs_mount_resume(struct fs_mount *m, int fd)
{
        if (m->init_len == 0) {
                safe_close(fd);
                return -ENODATA;
        }
        int r = fs_mount_open_session(m, fd);
        if (r < 0 && !m->session)
                return r;
        m->next = m->fs->mounts;
        m->fs->mounts = m;
        m->told_mounted = true;
        if (r < 0) {
                /* The session frees the mount when it goes; the caller has the keeper unmount it.
                 */
                m->state = CLOSING;
                m->session = session_unref(m->session);
                return 1;
        }
        m->state = READY;
        m->adopted = true;
        (void)tree_set_snapshot(m->tree, m->fs->snapshot, m->id);
        return 0;
}

void fs_mount_serve(struct fs_mount *m)
{
        _cleanup_(view_file_unrefp) struct view_file *pending = NULL;

        if (m->state != READY)
                return;
        pending = tree_pending(m->tree);
        /* Complete with the keeper before the kernel sees anything of ours. */
        tree_make_room(m->tree, 0);
        rotation_resume(m->rotation, pending);
        int r = server_add(m->fs->server, m->session);
        if (r == 0 && m->fs->resend)
                r = session_resend(m->session);
        if (r < 0 && r != -ENODEV)
                log_error("%s: requests that the last worker left cannot be asked for: %s",
                        m->mountpoint, strerror(-r));
        fs_mount_warm(m); /* the last worker may have died before it had asked for it */
}

void fs_mount_drop(struct fs_mount *m)
{
        fs_mount_free(m);
}

void fs_mount_leave(struct fs_mount *m)
{
        if (m->session)
                server_remove(m->fs->server, m->session);
}

/* --- for the owner --- */

bool fs_mount_is_adopted(const struct fs_mount *m)
{
        return m->adopted;
}

const struct sec *fs_mount_state(const struct fs_mount *m)
{
        return m->state_blob;
}

void fs_mount_attach(struct fs_mount *m, const struct fs_mount_events *events, void *userdata)
{
        m->adopted = false;
        m->events = *events;
        m->userdata = userdata;
}

static bool same(const struct view_file *a, const struct view_file *b)
{
        return a->mode == b->mode && a->mtime == b->mtime && a->enabled == b->enabled &&
               a->expires == b->expires && streq(a->object_id, b->object_id) &&
               streq(a->content_type, b->content_type) && sec_equal(a->bytes, b->bytes);
}

/* What went while no worker looked. */
static bool remove_others(struct fs_mount *m, struct view_file *const *files, size_t n_files)
{
        struct view_file **shown = NULL;
        size_t n = fs_mount_files(m, &shown);
        bool removed = false;

        for (size_t i = 0; i < n; i++) {
                const char *path = shown[i]->path;
                size_t k = 0;

                while (k < n_files && !streq(files[k]->path, path))
                        k++;
                if (k == n_files) {
                        fs_mount_remove(m, &path, 1);
                        removed = true;
                }
        }
        for (size_t i = 0; i < n; i++)
                view_file_unref(shown[i]);
        free(shown);
        return removed;
}

bool fs_mount_sync(struct fs_mount *m, struct view_file *const *files, size_t n_files)
{
        _cleanup_free_ struct view_file **changed = calloc(n_files + 1, sizeof *changed);
        size_t n = 0;
        bool differs = false;

        for (size_t i = 0; i < n_files; i++) {
                _cleanup_(view_file_unrefp) struct view_file *shown =
                        tree_shown(m->tree, files[i]->path);
                if (shown && same(shown, files[i]))
                        continue;
                differs = true;
                if (changed)
                        changed[n++] = files[i];
                else
                        fs_mount_update(m, &files[i], 1); /* no memory to keep them together */
        }
        if (n > 0)
                fs_mount_update(m, changed, n);
        return remove_others(m, files, n_files) || differs;
}

size_t fs_mount_files(const struct fs_mount *m, struct view_file ***ret)
{
        return tree_files(m->tree, ret);
}
