#include "base/mountinfo.h"

#include <stdio.h>

/* mountinfo writes space, tab, newline and backslash as \ooo. In place. */
static void unescape(char *s)
{
        char *out = s;

        while (*s) {
                if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
                        s[3] >= '0' && s[3] <= '7') {
                        *out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
                        s += 4;
                } else
                        *out++ = *s++;
        }
        *out = '\0';
}

static char *next_field(char **line)
{
        char *f = *line;

        if (!f)
                return NULL;
        char *space = strchr(f, ' ');
        if (space) {
                *space = '\0';
                *line = space + 1;
        } else
                *line = NULL;
        return f;
}

struct visitor {
        mountinfo_fn fn;
        mountinfo_root_fn root_fn; /* instead, when not NULL */
        void *userdata;
};

/* 36 35 98:0 /root /mnt/point rw,noatime shared:1 - type source options */
static int parse_line(char *line, const struct visitor *v)
{
        char *id = next_field(&line);
        char *parent = next_field(&line);
        char *dev = next_field(&line);
        char *root = next_field(&line);
        char *path = next_field(&line);
        char *dash = line ? strstr(line, " - ") : NULL;

        if (!parent || !dev || !root || !path || !dash)
                return 0;
        line = dash + 3;
        char *fstype = next_field(&line);
        char *source = next_field(&line);
        char *colon = strchr(dev, ':');
        uint64_t mnt_id, minor;
        if (!fstype || !source || !colon || parse_u64(id, INT32_MAX, &mnt_id) < 0 ||
                parse_u64(colon + 1, UINT32_MAX, &minor) < 0)
                return 0;
        unescape(path);
        unescape(source);
        if (!v->root_fn)
                return v->fn(v->userdata, (int)mnt_id, (unsigned)minor, path, fstype, source);
        unescape(root);
        return v->root_fn(v->userdata, (int)mnt_id, (unsigned)minor, root, path, fstype);
}

static int walk(const struct visitor *v)
{
        FILE *f = fopen("/proc/self/mountinfo", "re");
        if (!f)
                return -errno;

        _cleanup_free_ char *line = NULL;
        size_t size = 0;
        ssize_t n;
        int r = 0;
        while (r == 0 && (n = getline(&line, &size, f)) > 0) {
                if (line[n - 1] == '\n')
                        line[n - 1] = '\0';
                r = parse_line(line, v);
        }
        if (r == 0 && ferror(f))
                r = -EIO; /* half a table would tell of mounts that are gone */
        fclose(f);
        return r;
}

int mountinfo_walk(mountinfo_fn fn, void *userdata)
{
        return walk(&(struct visitor){.fn = fn, .userdata = userdata});
}

int mountinfo_walk_roots(mountinfo_root_fn fn, void *userdata)
{
        return walk(&(struct visitor){.root_fn = fn, .userdata = userdata});
}

int mountinfo_id_of_fd(int fd)
{
        char path[64], text[512];

        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
        FILE *f = fopen(path, "re");
        if (!f)
                return -errno;
        int r = -ENODATA;
        while (fgets(text, sizeof text, f)) {
                const char *v = startswith(text, "mnt_id:");
                if (v) {
                        uint64_t id;
                        v += strspn(v, " \t");
                        text[strcspn(text, "\n")] = '\0';
                        r = parse_u64(v, INT32_MAX, &id);
                        if (r == 0)
                                r = (int)id;
                        break;
                }
        }
        fclose(f);
        return r;
}

static int is_id(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source)
{
        return mnt_id == *(const int *)userdata;
}

int mountinfo_attached(int mnt_id)
{
        return mountinfo_walk(is_id, &mnt_id);
}
