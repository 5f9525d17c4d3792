#include "fs/session_ops.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/log.h"
#include "fs/audit.h"
#include "fs/session.h"
#include "fs/session_xattr.h"

/* Ten years: the kernel is told of every change. Finite, as the kernel counts in jiffies. */
#define FOREVER 3.0e8

#define READDIR_BUFFER ((size_t)16 << 10)

_Thread_local struct session_turn session_turn;

static struct session_core *core_of(fuse_req_t req)
{
        return session_turn.core;
}

/* Nothing is ever written: counted, logged once a second at most, and what a write left in the page
 * cache is dropped. */
static void refuse(fuse_req_t req, fuse_ino_t id, const char *what)
{
        struct session_core *core = core_of(req);
        const struct fuse_ctx *ctx = fuse_req_ctx(req);
        int64_t now = time(NULL);

        core->on_refused(core, id);
        if (atomic_exchange(&core->refused_logged, now) != now) {
                char uid[16] = "unknown"; /* to a mount that may be id-mapped */
                if (ctx->uid != (uid_t)-1)
                        (void)snprintf(uid, sizeof uid, "%u", ctx->uid);
                log_warning("%s: %s refused (pid %d, uid %s): this file system is read-only; %llu "
                            "refused so far",
                        core->label, what, (int)ctx->pid, uid, (unsigned long long)core->refused);
        }
        fuse_reply_err(req, EROFS);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
        session_turn.core->on_init(session_turn.core, conn);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct session_core *core = core_of(req);
        struct fuse_entry_param e = {.attr_timeout = FOREVER, .entry_timeout = FOREVER};
        uint64_t id = 0;
        bool cacheable = false;

        int r = tree_lookup(core->tree, parent, name, &id, &e.attr, &cacheable);
        e.ino = id;
        if (r == -ENOENT && cacheable)
                r = 0; /* node 0 with a timeout: the absence is remembered */
        if (r < 0)
                fuse_reply_err(req, -r);
        else if (fuse_reply_entry(req, &e) == -ENOENT && id != 0)
                tree_forget(core->tree, id, 1); /* the caller is gone: the kernel counts nothing */
}

static void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t n)
{
        tree_forget(core_of(req)->tree, id, n);
        fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
        for (size_t i = 0; i < count; i++)
                tree_forget(core_of(req)->tree, forgets[i].ino, forgets[i].nlookup);
        fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
        struct stat st;

        int r = tree_getattr(core_of(req)->tree, id, &st);
        if (r < 0)
                fuse_reply_err(req, -r);
        else
                fuse_reply_attr(req, &st, FOREVER);
}

static void op_readlink(fuse_req_t req, fuse_ino_t id)
{
        char target[TREE_GENERATION_SIZE];

        int r = tree_readlink(core_of(req)->tree, id, target);
        if (r < 0)
                fuse_reply_err(req, -r);
        else
                fuse_reply_readlink(req, target);
}

static void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
        struct session_core *core = core_of(req);

        if (core->no_open) {
                fuse_reply_err(req, ENOSYS);
                return;
        }
        /* The superblock of an ordinary user's mount is writable. Refused here, a write never
         * reaches the page cache where others would see it. */
        if ((fi->flags & O_ACCMODE) != O_RDONLY) {
                refuse(req, id, "open for writing");
                return;
        }
        fi->noflush = 1;
        if (!core->audit) {
                fi->keep_cache = 1;
                fuse_reply_open(req, fi);
                return;
        }
        _cleanup_(view_file_unrefp) struct view_file *file = NULL;
        int r = tree_read(core->tree, id, &file);
        if (r < 0) {
                fuse_reply_err(req, -r);
                return;
        }
        const struct fuse_ctx *ctx = fuse_req_ctx(req);
        audit_open(core->label, file, ctx->pid, ctx->uid, ctx->gid);
        fi->direct_io = 1;
        fuse_reply_open(req, fi);
}

static void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
        fuse_reply_err(req, ENOSYS);
}

static void op_read(
        fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *fi)
{
        _cleanup_(view_file_unrefp) struct view_file *file = NULL;

        int r = tree_read(core_of(req)->tree, id, &file);
        if (r < 0) {
                fuse_reply_err(req, -r);
                return;
        }
        size_t len = sec_len(file->bytes);
        if (offset < 0 || (uint64_t)offset >= len) {
                fuse_reply_buf(req, NULL, 0);
                return;
        }
        const char *bytes = sec_bytes(file->bytes);
        size_t n = MIN(MIN(size, SESSION_READ_MAX), len - (size_t)offset);
        memcpy(session_turn.bounce, bytes + offset, n);
        fuse_reply_buf(req, session_turn.bounce, n);
        explicit_bzero(session_turn.bounce, n);
}

struct listing {
        fuse_req_t req;
        char buf[READDIR_BUFFER];
        size_t used, size;
};

static bool add_name(void *userdata, const char *name, const struct stat *st, off_t next)
{
        struct listing *l = userdata;
        size_t n = fuse_add_direntry(l->req, l->buf + l->used, l->size - l->used, name, st, next);

        if (n > l->size - l->used)
                return false;
        l->used += n;
        return true;
}

static void op_readdir(
        fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *fi)
{
        struct listing l = {.req = req, .size = MIN(size, sizeof l.buf)};

        int r = tree_readdir(core_of(req)->tree, id, offset, add_name, &l);
        if (r < 0)
                fuse_reply_err(req, -r);
        else
                fuse_reply_buf(req, l.buf, l.used);
}

/* Never remembered by the kernel, so df and find ask each time: constants and a count. */
static void op_statfs(fuse_req_t req, fuse_ino_t id)
{
        struct tree_stats stats;

        tree_get_stats(core_of(req)->tree, &stats);
        struct statvfs st = {.f_bsize = 4096,
                .f_frsize = 4096,
                .f_blocks = (stats.bytes + 4095) / 4096,
                .f_files = stats.files,
                .f_namemax = 255,
                .f_flag = ST_RDONLY | ST_NOSUID};
        fuse_reply_statfs(req, &st);
}

/* --- nothing is ever written --- */

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
        const char *new_name, unsigned flags)
{
        struct session_core *core = core_of(req);

        int r = -EROFS;
        if (flags == 0)
                r = tree_rename(core->tree, parent, name, new_parent, new_name);
        else if (flags == RENAME_EXCHANGE)
                r = tree_exchange(core->tree, parent, name, new_parent, new_name);
        if (r == -EINTR) {
                fuse_reply_err(req, EINTR);
                return;
        }
        if (r < 0) {
                refuse(req, parent, "rename");
                return;
        }
        fuse_reply_err(req, 0);
        core->on_renamed(core);
}

static void op_setattr(
        fuse_req_t req, fuse_ino_t id, struct stat *st, int set, struct fuse_file_info *fi)
{
        refuse(req, id, "setattr");
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
        refuse(req, parent, "mknod");
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
        refuse(req, parent, "mkdir");
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        if (tree_unlink(core_of(req)->tree, parent, name) < 0)
                refuse(req, parent, "unlink");
        else
                fuse_reply_err(req, 0);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        refuse(req, parent, "rmdir");
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
        refuse(req, parent, "symlink");
}

static void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t new_parent, const char *new_name)
{
        refuse(req, id, "link");
}

static void op_write(fuse_req_t req, fuse_ino_t id, const char *buf, size_t size, off_t offset,
        struct fuse_file_info *fi)
{
        refuse(req, id, "write");
}

static void op_create(
        fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
        refuse(req, parent, "create");
}

static void op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length,
        struct fuse_file_info *fi)
{
        refuse(req, id, "fallocate");
}

static void op_setxattr(
        fuse_req_t req, fuse_ino_t id, const char *name, const char *value, size_t size, int flags)
{
        refuse(req, id, "setxattr");
}

static void op_removexattr(fuse_req_t req, fuse_ino_t id, const char *name)
{
        refuse(req, id, "removexattr");
}

/* Terminals are asked for by python's open(), perl and bash: say what a plain file says. */
static void op_ioctl(fuse_req_t req, fuse_ino_t id, unsigned cmd, void *arg,
        struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size, size_t out_size)
{
        fuse_reply_err(req, ENOTTY);
}

/* Unset on purpose, so that libfuse answers ENOSYS and the kernel never asks again: flush, access,
 * lseek, poll, fsync. */
void session_ops_fill(struct fuse_lowlevel_ops *ops)
{
        *ops = (struct fuse_lowlevel_ops){
                .init = op_init,
                .lookup = op_lookup,
                .forget = op_forget,
                .forget_multi = op_forget_multi,
                .getattr = op_getattr,
                .readlink = op_readlink,
                .open = op_open,
                .opendir = op_opendir,
                .read = op_read,
                .readdir = op_readdir,
                .statfs = op_statfs,
                .rename = op_rename,
                .setattr = op_setattr,
                .mknod = op_mknod,
                .mkdir = op_mkdir,
                .unlink = op_unlink,
                .rmdir = op_rmdir,
                .symlink = op_symlink,
                .link = op_link,
                .write = op_write,
                .create = op_create,
                .fallocate = op_fallocate,
                .ioctl = op_ioctl,
                .setxattr = op_setxattr,
                .removexattr = op_removexattr,
                .getxattr = session_op_getxattr,
                .listxattr = session_op_listxattr,
        };
}
