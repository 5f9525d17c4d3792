#include "cli/worker_user.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#define CANDIDATES 64

/* user_namespaces(7): lines of "first-inside first-outside length". */
static bool mapped(const char *map, unsigned id)
{
        FILE *f = fopen(map, "re");
        unsigned long first, length;
        bool found = false;

        if (!f)
                return true; /* a kernel without user namespaces */
        while (!found && fscanf(f, "%lu %*u %lu", &first, &length) == 2)
                found = id >= first && id - first < length;
        (void)fclose(f);
        return found;
}

bool worker_user_find(char ret[static WORKER_USER_SIZE])
{
        if (geteuid() != 0)
                return false;

        const struct passwd *named = getpwnam(WORKER_USER_NAME);
        unsigned uid = WORKER_USER_ID, gid = WORKER_USER_ID;
        if (named && named->pw_uid != 0 && named->pw_gid != 0) {
                uid = named->pw_uid;
                gid = named->pw_gid;
        } else
                for (unsigned i = 0; i < CANDIDATES; i++) {
                        uid = gid = WORKER_USER_ID - i;
                        if (!getpwuid(uid) && !getgrgid(gid))
                                break;
                }
        if (!mapped("/proc/self/uid_map", uid) || !mapped("/proc/self/gid_map", gid))
                return false;
        snprintf(ret, WORKER_USER_SIZE, "%u:%u", uid, gid);
        return true;
}

int worker_user_parse(const char *text, uid_t *ret_uid, gid_t *ret_gid)
{
        char uid_text[WORKER_USER_SIZE];
        const char *colon = strchr(text, ':');
        uint64_t uid, gid;

        if (!colon || (size_t)(colon - text) >= sizeof uid_text)
                return -EINVAL;
        memcpy(uid_text, text, (size_t)(colon - text));
        uid_text[colon - text] = '\0';
        if (parse_u64(uid_text, UINT32_MAX - 1, &uid) < 0 ||
                parse_u64(colon + 1, UINT32_MAX - 1, &gid) < 0 || uid == 0 || gid == 0)
                return -EINVAL;
        *ret_uid = (uid_t)uid;
        *ret_gid = (gid_t)gid;
        return 0;
}
