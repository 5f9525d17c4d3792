#include "fs/request.h"

/* What follows the header: a struct, then strings. size 0 with strings 0 is a bare request. */
struct shape {
        bool known;
        uint16_t size;
        uint8_t strings;
};

#define SHAPE(size_, strings_)        \
        {                             \
                true, size_, strings_ \
        }

static const struct shape shapes[] = {
        [FUSE_LOOKUP] = SHAPE(0, 1),
        [FUSE_FORGET] = SHAPE(sizeof(struct fuse_forget_in), 0),
        [FUSE_GETATTR] = SHAPE(sizeof(struct fuse_getattr_in), 0),
        [FUSE_SETATTR] = SHAPE(sizeof(struct fuse_setattr_in), 0),
        [FUSE_READLINK] = SHAPE(0, 0),
        [FUSE_SYMLINK] = SHAPE(0, 2),
        [FUSE_MKNOD] = SHAPE(sizeof(struct fuse_mknod_in), 1),
        [FUSE_MKDIR] = SHAPE(sizeof(struct fuse_mkdir_in), 1),
        [FUSE_UNLINK] = SHAPE(0, 1),
        [FUSE_RMDIR] = SHAPE(0, 1),
        [FUSE_RENAME] = SHAPE(sizeof(struct fuse_rename_in), 2),
        [FUSE_LINK] = SHAPE(sizeof(struct fuse_link_in), 1),
        [FUSE_OPEN] = SHAPE(sizeof(struct fuse_open_in), 0),
        [FUSE_READ] = SHAPE(sizeof(struct fuse_read_in), 0),
        [FUSE_WRITE] = SHAPE(sizeof(struct fuse_write_in), 0),
        [FUSE_STATFS] = SHAPE(0, 0),
        [FUSE_RELEASE] = SHAPE(sizeof(struct fuse_release_in), 0),
        [FUSE_FSYNC] = SHAPE(sizeof(struct fuse_fsync_in), 0),
        [FUSE_SETXATTR] = SHAPE(FUSE_COMPAT_SETXATTR_IN_SIZE, 1),
        [FUSE_GETXATTR] = SHAPE(sizeof(struct fuse_getxattr_in), 1),
        [FUSE_LISTXATTR] = SHAPE(sizeof(struct fuse_getxattr_in), 0),
        [FUSE_REMOVEXATTR] = SHAPE(0, 1),
        [FUSE_FLUSH] = SHAPE(sizeof(struct fuse_flush_in), 0),
        [FUSE_INIT] = SHAPE(offsetof(struct fuse_init_in, flags2), 0),
        [FUSE_OPENDIR] = SHAPE(sizeof(struct fuse_open_in), 0),
        [FUSE_READDIR] = SHAPE(sizeof(struct fuse_read_in), 0),
        [FUSE_RELEASEDIR] = SHAPE(sizeof(struct fuse_release_in), 0),
        [FUSE_FSYNCDIR] = SHAPE(sizeof(struct fuse_fsync_in), 0),
        [FUSE_GETLK] = SHAPE(sizeof(struct fuse_lk_in), 0),
        [FUSE_SETLK] = SHAPE(sizeof(struct fuse_lk_in), 0),
        [FUSE_SETLKW] = SHAPE(sizeof(struct fuse_lk_in), 0),
        [FUSE_ACCESS] = SHAPE(sizeof(struct fuse_access_in), 0),
        [FUSE_CREATE] = SHAPE(sizeof(struct fuse_create_in), 1),
        [FUSE_BMAP] = SHAPE(sizeof(struct fuse_bmap_in), 0),
        [FUSE_DESTROY] = SHAPE(0, 0),
        [FUSE_IOCTL] = SHAPE(sizeof(struct fuse_ioctl_in), 0),
        [FUSE_POLL] = SHAPE(sizeof(struct fuse_poll_in), 0),
        [FUSE_BATCH_FORGET] = SHAPE(sizeof(struct fuse_batch_forget_in), 0),
        [FUSE_FALLOCATE] = SHAPE(sizeof(struct fuse_fallocate_in), 0),
        [FUSE_READDIRPLUS] = SHAPE(sizeof(struct fuse_read_in), 0),
        [FUSE_RENAME2] = SHAPE(sizeof(struct fuse_rename2_in), 2),
        [FUSE_LSEEK] = SHAPE(sizeof(struct fuse_lseek_in), 0),
        [FUSE_COPY_FILE_RANGE] = SHAPE(sizeof(struct fuse_copy_file_range_in), 0),
};

/* Bytes that a field of the struct promises behind struct and strings. */
static uint64_t promised(uint32_t opcode, const void *arg)
{
        switch (opcode) {
        case FUSE_WRITE:
                return ((const struct fuse_write_in *)arg)->size;
        case FUSE_SETXATTR:
                return ((const struct fuse_setxattr_in *)arg)->size;
        case FUSE_IOCTL:
                return ((const struct fuse_ioctl_in *)arg)->in_size;
        case FUSE_BATCH_FORGET:
                return (uint64_t)((const struct fuse_batch_forget_in *)arg)->count *
                       sizeof(struct fuse_forget_one);
        case FUSE_INIT:
                if (((const struct fuse_init_in *)arg)->flags & FUSE_INIT_EXT)
                        return sizeof(struct fuse_init_in) - offsetof(struct fuse_init_in, flags2);
                return 0;
        default:
                return 0;
        }
}

enum request_verdict request_check(const struct fuse_in_header *in, size_t n)
{
        /* Nothing here takes long enough to be interrupted, and libfuse would keep a late one in a
         * list for ever. We never ask the kernel for what NOTIFY_REPLY would bring. */
        if (in->opcode == FUSE_NOTIFY_REPLY)
                return REQUEST_DROP;
        if (in->opcode >= ELEMENTSOF(shapes) || !shapes[in->opcode].known)
                return REQUEST_UNKNOWN;

        const struct shape *shape = &shapes[in->opcode];
        const char *arg = (const char *)(in + 1);
        size_t left = n - sizeof *in;
        bool forget = in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET;
        enum request_verdict bad = forget ? REQUEST_DROP : REQUEST_MALFORMED;

        if (in->len != n || left < shape->size)
                return bad;
        const char *at = arg + shape->size;
        left -= shape->size;
        for (unsigned i = 0; i < shape->strings; i++) {
                const char *end = memchr(at, '\0', left);
                if (!end || end == at)
                        return bad;
                left -= (size_t)(end + 1 - at);
                at = end + 1;
        }
        return promised(in->opcode, arg) <= left ? REQUEST_SERVE : bad;
}
