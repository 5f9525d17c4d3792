#include "fs/record.h"

enum flags { FLAG_DIR = 1, FLAG_LINKED = 2, FLAG_ENABLED = 4, FLAG_SYMLINK = 8 };

/* Then the strings, each NUL-terminated, in the order of `strings` below, then the bytes. */
struct node_head {
        uint64_t id, parent, source, serial, n_bytes;
        int64_t mtime, expires, parent_mtime;
        uint32_t ino, flags;
        int32_t mode;
        uint32_t kind;
        uint32_t n_strings; /* bytes of all of them */
        uint32_t reserved;
};

enum { S_NAME, S_TARGET, S_PATH, S_OBJECT, S_ID, S_VERSION, S_CONTENT_TYPE, STRINGS };

int record_put_node(
        struct journal *j, enum record_type type, uint64_t mount, const struct record_node *node)
{
        const struct view_file *f = node->source ? NULL : node->file;
        const char *strings[STRINGS] = {[S_NAME] = node->name,
                [S_TARGET] = node->target,
                [S_PATH] = f ? f->path : "",
                [S_OBJECT] = f ? f->object_name : "",
                [S_ID] = f ? f->object_id : "",
                [S_VERSION] = f ? f->version : "",
                [S_CONTENT_TYPE] = f ? f->content_type : ""};
        struct node_head head = {.id = node->id,
                .parent = node->parent,
                .source = node->source,
                .ino = node->ino,
                .mtime = node->mtime,
                .parent_mtime = node->parent_mtime,
                .flags = (node->dir ? (uint32_t)FLAG_DIR : 0) |
                         (node->symlink ? (uint32_t)FLAG_SYMLINK : 0) |
                         (node->linked ? (uint32_t)FLAG_LINKED : 0) |
                         (f && f->enabled ? (uint32_t)FLAG_ENABLED : 0)};
        struct iovec parts[STRINGS + 2] = {{&head, sizeof head}};

        for (size_t i = 0; i < STRINGS; i++) {
                size_t n = strlen(strings[i]) + 1;
                parts[1 + i] = (struct iovec){(void *)(uintptr_t)strings[i], n};
                head.n_strings += (uint32_t)n;
        }
        if (f) {
                head.serial = f->serial;
                head.n_bytes = sec_len(f->bytes);
                head.mtime = f->mtime;
                head.expires = f->expires;
                head.mode = f->mode;
                head.kind = f->kind;
                parts[STRINGS + 1] =
                        (struct iovec){(void *)(uintptr_t)sec_bytes(f->bytes), head.n_bytes};
        }
        return journal_append(j, type, mount, parts, f ? STRINGS + 2 : STRINGS + 1, false);
}

static int copy_name(char *out, const char *s)
{
        size_t n = strlen(s);

        if (n >= RECORD_NAME_SIZE || strchr(s, '/') || streq(s, ".") || streq(s, ".."))
                return -EBADMSG;
        memcpy(out, s, n + 1);
        return 0;
}

int record_get_node(const struct journal_record *r, struct record_node *ret)
{
        struct node_head head;
        const char *strings[STRINGS];

        if (r->len < sizeof head)
                return -EBADMSG;
        memcpy(&head, r->data, sizeof head);
        const char *p = (const char *)r->data + sizeof head;
        if (r->len - sizeof head < head.n_strings ||
                r->len - sizeof head - head.n_strings != head.n_bytes || head.kind > VAULT_CERT ||
                head.mode < -1 || head.mode > 07777)
                return -EBADMSG;
        const char *end = p + head.n_strings;
        for (size_t i = 0; i < STRINGS; i++) {
                const char *nul = memchr(p, '\0', (size_t)(end - p));
                if (!nul)
                        return -EBADMSG;
                strings[i] = p;
                p = nul + 1;
        }
        if (p != end || strlen(strings[S_PATH]) > SPC_PATH_MAX)
                return -EBADMSG;

        struct record_node node = {.id = head.id,
                .parent = head.parent,
                .ino = head.ino,
                .dir = head.flags & FLAG_DIR,
                .symlink = head.flags & FLAG_SYMLINK,
                .source = head.source,
                .mtime = head.mtime,
                .parent_mtime = head.parent_mtime,
                .linked = head.flags & FLAG_LINKED};
        int e = copy_name(node.name, strings[S_NAME]);
        if (e == 0)
                e = copy_name(node.target, strings[S_TARGET]);
        if (e < 0)
                return e;
        if (!node.dir && !node.symlink && !node.source) {
                _cleanup_sec_ struct sec *bytes = NULL;
                e = sec_new(p, head.n_bytes, &bytes);
                if (e < 0)
                        return e;
                struct view_file proto = {.path = strings[S_PATH],
                        .mode = head.mode,
                        .bytes = bytes,
                        .mtime = head.mtime,
                        .kind = (enum vault_kind)head.kind,
                        .object_name = strings[S_OBJECT],
                        .object_id = strings[S_ID],
                        .version = strings[S_VERSION],
                        .content_type = strings[S_CONTENT_TYPE],
                        .enabled = head.flags & FLAG_ENABLED,
                        .expires = head.expires,
                        .serial = head.serial};
                e = view_file_make(&proto, &node.file);
                if (e < 0)
                        return e;
        }
        *ret = node;
        return 0;
}

int record_put_event(struct journal *j, enum record_type type, uint64_t mount,
        const struct record_event *event, bool reserved)
{
        struct iovec part = {(void *)(uintptr_t)event, sizeof *event};

        return journal_append(j, type, mount, &part, 1, reserved);
}

int record_get_event(const struct journal_record *r, struct record_event *ret)
{
        if (r->len != sizeof *ret)
                return -EBADMSG;
        memcpy(ret, r->data, sizeof *ret);
        return 0;
}
