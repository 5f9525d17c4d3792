/* What a successor reads of a worker that may have been taken over: an area of any content, and
 * records of any content in an area that is whole. The table that comes of it is then used, written
 * down and read back. */
#include <sys/mman.h>

#include "fs/record.h"
#include "fs/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tree_config config = {.epoch = 2, .mode = 0644};

static bool count_names(void *userdata, const char *name, const struct stat *st, off_t next)
{
        if (strchr(name, '/') || (st->st_mode & S_IFMT) == 0)
                abort();
        return true;
}

static int hand_over(void *userdata, int fd)
{
        return 0;
}

static void use(struct tree *t)
{
        struct view_file **files;
        struct tree_stats stats;
        struct snapshot *s;
        struct snapshot_config cfg = {.hand_over = hand_over};
        uint64_t ids[64], id, parent;
        struct stat st;
        bool cacheable;

        size_t n = tree_known(t, ids, ELEMENTSOF(ids));
        for (size_t i = 0; i < MIN(n, ELEMENTSOF(ids)); i++) {
                struct view_file *f;
                if (tree_getattr(t, ids[i], &st) < 0)
                        abort();
                if ((st.st_mode & S_IFMT) != S_IFDIR && (st.st_mode & S_IFMT) != S_IFREG)
                        abort();
                (void)tree_readdir(t, ids[i], 0, count_names, NULL);
                if (tree_read(t, ids[i], &f) == 0)
                        view_file_unref(f);
        }
        n = tree_files(t, &files);
        for (size_t i = 0; files && i < n; i++) {
                struct tree_plan plan;
                if (i == 0 && tree_stage(t, files[i], &plan) == 0)
                        (void)tree_rename(t, plan.parent, plan.staged, plan.parent, plan.name);
                view_file_unref(files[i]);
        }
        free(files);
        view_file_unref(tree_pending(t));
        (void)tree_unstage(t);
        tree_get_stats(t, &stats);

        /* All of it fits into an area of its own. */
        if (snapshot_new(&cfg, &s) == 0) {
                if (tree_set_snapshot(t, s, 1) == 0) {
                        tree_make_room(t, 0);
                        (void)tree_remove(t, "a", &parent);
                        tree_drop_snapshot(t);
                }
                snapshot_free(s);
        }
        (void)tree_lookup(t, TREE_ROOT, "a", &id, &st, &cacheable);
        for (size_t i = 0; i < MIN(n, ELEMENTSOF(ids)); i++)
                tree_forget(t, ids[i], 1);
}

static void any_area(const uint8_t *data, size_t size)
{
        struct journal *j;
        struct journal_record r;
        size_t offset = 0, last = 0;
        int fd = memfd_create("fuzz", MFD_CLOEXEC);

        if (fd < 0 || ftruncate(fd, (off_t)JOURNAL_SIZE_MIN) < 0 ||
                pwrite(fd, data, size, 0) != (ssize_t)size)
                abort();
        if (journal_open(fd, &j) < 0)
                return;
        while (journal_next(j, &offset, &r)) {
                struct record_node node;
                if (offset <= last)
                        abort();
                last = offset;
                if (record_get_node(&r, &node) == 0)
                        view_file_unref(node.file);
        }
        journal_free(j);
}

/* A byte of type, two of length, the record; and so on. */
static void any_records(const uint8_t *data, size_t size)
{
        struct tree *t;

        if (tree_new(&config, &t) < 0)
                return;
        while (size >= 3) {
                size_t len = MIN((size_t)(data[1] | data[2] << 8), size - 3);
                struct journal_record r = {.type = data[0], .mount = 1, .len = len};
                void *copy = malloc(len + 1); /* its end is an end */
                if (!copy)
                        abort();
                memcpy(copy, data + 3, len);
                r.data = copy;
                /* A mount is given up at the first record that makes no sense. */
                int e = tree_restore(t, &r);
                free(copy);
                if (e < 0)
                        break;
                data += 3 + len;
                size -= 3 + len;
        }
        use(t);
        tree_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size > JOURNAL_SIZE_MIN)
                return 0;
        any_area(data, size);
        any_records(data, size);
        return 0;
}
