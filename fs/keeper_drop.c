#include "fs/keeper_drop.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Linux has 41 of them; the call says EINVAL for the first that a kernel does not know. */
#define CAPABILITIES_MAX 64

/* Without CAP_SETPCAP the set stays as it is. It only bounds what execve(2) may give, and with
 * no_new_privs that is nothing. */
static int drop_bounding(void)
{
        for (int cap = 0; cap < CAPABILITIES_MAX; cap++) {
                if (cap == CAP_IPC_LOCK || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
                        continue;
                return errno == EINVAL || errno == EPERM ? 0 : -errno;
        }
        return 0;
}

static int change_user(uid_t uid, gid_t gid)
{
        if (uid == 0 || gid == 0)
                return -EINVAL;
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
                setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
                return -errno;
        return 0;
}

static int keep_ipc_lock_alone(void)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

        if (syscall(SYS_capget, &header, data) < 0)
                return -errno;
        /* In some containers root itself has it not. Then so be it: base/sec.h says at start what
         * could not be locked. */
        uint32_t kept = data[CAP_TO_INDEX(CAP_IPC_LOCK)].permitted & CAP_TO_MASK(CAP_IPC_LOCK);
        if (prctl(PR_CAPBSET_READ, CAP_IPC_LOCK, 0, 0, 0) != 1)
                kept = 0;
        memset(data, 0, sizeof data);
        data[CAP_TO_INDEX(CAP_IPC_LOCK)].permitted = kept;
        data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective = kept;
        data[CAP_TO_INDEX(CAP_IPC_LOCK)].inheritable = kept;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
                syscall(SYS_capset, &header, data) < 0 ||
                (kept && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_IPC_LOCK, 0, 0) < 0))
                return -errno;
        return 0;
}

int keeper_drop(uid_t uid, gid_t gid)
{
        int r = drop_bounding();

        if (r == 0 && uid != (uid_t)-1)
                r = change_user(uid, gid);
        if (r == 0)
                r = keep_ipc_lock_alone();
        if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                r = -errno;
        return r;
}
