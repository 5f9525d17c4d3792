/* Bind mounts of a file: kubelet's `subPath`.
 *
 * A bind mount pins the inode that it was made of, and with it a version. Such an inode, and only
 * such a one, goes on with the bytes that its name has now: a descriptor that was opened by name is
 * of another inode from the next rotation on, and keeps its version. Who has that very inode open
 * while it is bound may see one short or mixed read at a rotation.
 */
#include "fs/tree_private.h"

uint64_t tree_bind(struct tree *t, uint64_t ino, bool bound)
{
        LOCKED(t);

        for (size_t i = 0; i < t->nodes.n_buckets; i++)
                for (struct node *n = t->nodes.buckets[i]; n; n = n->next) {
                        if (n->ino != ino || !n->file)
                                continue;
                        if (bound) {
                                n->bound++;
                                t->n_bound++;
                        } else if (n->bound > 0) {
                                n->bound--;
                                t->n_bound--;
                        }
                        return bound && n->inherited ? n->id : 0;
                }
        return 0;
}

void tree_unbind(struct tree *t)
{
        LOCKED(t);

        for (size_t i = 0; i < t->nodes.n_buckets; i++)
                for (struct node *n = t->nodes.buckets[i]; n; n = n->next)
                        n->bound = 0;
        t->n_bound = 0;
}

size_t tree_adopt(struct tree *t, uint64_t *ids, size_t n)
{
        bool any;
        {
                LOCKED(t);
                any = t->n_bound > 0;
        }
        if (any)
                tree_make_room(t, n * TREE_ADOPTED_SIZE);

        LOCKED(t);
        size_t count = 0;

        for (size_t i = 0; t->n_bound > 0 && i < t->nodes.n_buckets; i++)
                for (struct node *node = t->nodes.buckets[i]; node; node = node->next) {
                        struct node *dir;
                        const char *name;

                        if (node->bound == 0 || count == n ||
                                tree_walk(t, node->file->path, false, &dir, &name, NULL) < 0)
                                continue;
                        /* What was removed keeps its last bytes. */
                        const struct entry *e = node_entry(dir, name);
                        if (!e || !e->node->file || e->node->file == node->file)
                                continue;
                        struct view_file *old = node->file;
                        node->file = view_file_ref(e->node->file);
                        view_file_unref(old);
                        /* Or what a bind mount shows would go back when a worker dies. */
                        tree_record_adopted(t, node->id, e->node->id);
                        ids[count++] = node->id;
                }
        return count;
}
