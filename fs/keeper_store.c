#include "fs/keeper_store.h"

#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include "base/log.h"
#include "base/notify.h"
#include "fs/keeper_private.h"

#define STORE_RETRY_MS 1000

void keeper_store_init(struct keeper_store *s, const char *address)
{
        *s = (struct keeper_store){.address = address, .record = -EBADF};
}

void keeper_store_release(struct keeper_store *s)
{
        safe_close(s->record);
        keeper_store_init(s, s->address);
}

void keeper_store_inherit(struct keeper_store *s)
{
        struct keeper_msg m;

        s->area_stored = false;
        s->dirty = true;
        s->retry_at = 0;
        if (s->record >= 0 && pread(s->record, &m, sizeof m, 0) == (ssize_t)sizeof m &&
                memchr(m.name, '\0', sizeof m.name))
                memcpy(s->area, m.name, sizeof m.name);
}

void keeper_store_changed(struct keeper_store *s, bool area)
{
        if (area)
                s->area_stored = false;
        s->dirty = true;
        s->retry_at = 0;
}

static int put(const struct keeper_store *s, const char *name, int fd)
{
        char message[KEEPER_NAME_SIZE + 64];

        (void)snprintf(message, sizeof message, "FDSTORE=1\nFDNAME=%s", name);
        return notify_send(s->address, message, fd);
}

static int take_back(const struct keeper_store *s, const char *name)
{
        char message[KEEPER_NAME_SIZE + 64];

        if (!s->address || !*name)
                return 0;
        (void)snprintf(message, sizeof message, "FDSTOREREMOVE=1\nFDNAME=%s", name);
        int r = notify_send(s->address, message, -EBADF);
        if (r < 0)
                log_debug("the service manager keeps %s: %s", name, strerror(-r));
        return r;
}

static void name_of_mount(uint64_t id, char name[KEEPER_NAME_SIZE])
{
        (void)snprintf(name, KEEPER_NAME_SIZE, "akvfs-fuse-%llu", (unsigned long long)id);
}

static int write_slot(int fd, size_t slot, const struct keeper_msg *m)
{
        ssize_t n = pwrite(fd, m, sizeof *m, (off_t)(slot * sizeof *m));

        return n < 0 ? -errno : n == (ssize_t)sizeof *m ? 0 : -EIO;
}

/* Each slot before the one that counts it. */
static int write_record(struct keeper *k)
{
        struct keeper_msg m;
        int32_t count = 0;
        int r = 0;

        for (size_t i = 0; r == 0 && i < k->n_volumes && count < KEEPER_STORE_MOUNTS_MAX; i++) {
                const struct volume *v = &k->volumes[i];
                if (!v->stored)
                        continue;
                keeper_msg_init(&m, KEEPER_GIVE, v->id);
                m.flags = v->mount.privileged ? (uint32_t)KEEPER_PRIVILEGED : 0;
                m.seq = v->mount.dev_minor;
                m.result = v->mount.mnt_id;
                name_of_mount(v->id, m.name);
                r = keeper_msg_set(m.path, sizeof m.path, v->mount.mountpoint);
                if (r == 0)
                        r = write_slot(k->store.record, (size_t)++count, &m);
        }
        keeper_msg_init(&m, KEEPER_HELLO, 0);
        m.seq = k->worker.starts;
        m.result = count;
        memcpy(m.name, k->store.area, sizeof m.name);
        /* The journal's version, where an ordinary HELLO has none. */
        m.mount = k->area_version;
        return r < 0 ? r : write_slot(k->store.record, 0, &m);
}

/* What no record names any more. */
static int take_replaced_back(struct keeper_store *s)
{
        int r = take_back(s, s->replaced);

        if (r == 0)
                s->replaced[0] = '\0';
        return r;
}

static int store_area(struct keeper *k)
{
        struct keeper_store *s = &k->store;
        char name[KEEPER_NAME_SIZE];
        struct timespec ts;

        if (s->area_stored || k->area_fd < 0)
                return 0;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        (void)snprintf(name, sizeof name, "akvfs-area-%lld%09ld", (long long)ts.tv_sec, ts.tv_nsec);
        int r = put(s, name, k->area_fd);
        if (r < 0)
                return r;
        memcpy(s->replaced, s->area, sizeof s->replaced);
        memcpy(s->area, name, sizeof name);
        s->area_stored = true;
        return 0;
}

static int store(struct keeper *k)
{
        struct keeper_store *s = &k->store;
        char name[KEEPER_NAME_SIZE];
        int r = 0;

        if (s->record < 0) {
                s->record = memfd_create(KEEPER_STORE_RECORD, MFD_CLOEXEC);
                if (s->record < 0)
                        return -errno;
        }
        for (size_t i = 0; i < k->n_volumes; i++) {
                struct volume *v = &k->volumes[i];
                if (v->stored || v->mount.fuse_fd < 0)
                        continue;
                name_of_mount(v->id, name);
                (void)take_back(s, name); /* that of a keeper that was killed */
                r = put(s, name, v->mount.fuse_fd);
                if (r < 0)
                        return r;
                v->stored = true;
        }
        /* One journal after the other, or nobody would know of the one between. */
        if (*s->replaced) {
                r = write_record(k);
                if (r == 0)
                        r = take_replaced_back(s);
        }
        if (r == 0)
                r = store_area(k);
        if (r == 0)
                r = write_record(k);
        if (r == 0 && !s->record_stored) {
                r = put(s, KEEPER_STORE_RECORD, s->record);
                s->record_stored = r == 0;
        }
        return r < 0 ? r : take_replaced_back(s);
}

void keeper_store_sync(struct keeper *k)
{
        struct keeper_store *s = &k->store;

        if (!s->address || !s->dirty || keeper_store_timeout(k) > 0)
                return;
        int r = store(k);
        s->dirty = r < 0;
        s->retry_at = r < 0 ? monotonic_ms() + STORE_RETRY_MS : 0;
        if (r < 0 && r != -EAGAIN)
                log_warning("the service manager does not store descriptors: %s", strerror(-r));
}

int keeper_store_timeout(const struct keeper *k)
{
        const struct keeper_store *s = &k->store;

        if (!s->address || !s->dirty)
                return -1;
        return s->retry_at ? (int)MAX(s->retry_at - monotonic_ms(), (int64_t)0) : 0;
}

void keeper_store_forget(struct keeper_store *s, uint64_t mount)
{
        char name[KEEPER_NAME_SIZE];

        name_of_mount(mount, name);
        (void)take_back(s, name); /* of a connection that is over */
        keeper_store_changed(s, false);
}

void keeper_store_clear(struct keeper_store *s)
{
        if (s->record < 0)
                return;
        (void)take_back(s, KEEPER_STORE_RECORD);
        (void)take_back(s, s->area);
        (void)take_replaced_back(s);
        keeper_store_release(s);
}
