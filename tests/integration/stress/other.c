/* Programs that `akvfs upgrade` must not put in place; the keeper starts them as it would start
 * akvfs itself, as the next keeper or as the next worker. Which one is chosen at compile time:
 *
 *     OTHER_PROTOCOL  speaks the next version of the keeper's protocol
 *     OTHER_JOURNAL   writes journals of the next version
 *     OTHER_DIES      the keeper is killed when the first mount is handed over; the worker at once
 *     OTHER_LATE      the worker is killed when it is told to take over
 */
#include <signal.h>

#include "fs/journal.h"
#include "fs/keeper_proto.h"
#include "tests/integration/stress/common.h"

static int say(enum keeper_op op)
{
        struct keeper_msg m;

        keeper_msg_init(&m, op, 0);
        m.seq = JOURNAL_VERSION;
#ifdef OTHER_PROTOCOL
        m.version++;
#endif
#ifdef OTHER_JOURNAL
        m.seq++;
#endif
        return keeper_send(KEEPER_WORKER_FD, &m, -EBADF);
}

/* Until one of that kind came; false at the end of the conversation. */
static bool hear(enum keeper_op op)
{
        struct keeper_msg m;
        int fd = -EBADF, r;

        do {
                r = keeper_recv(KEEPER_WORKER_FD, &m, &fd);
                fd = safe_close(fd);
        } while (r == 1 && m.op != (uint32_t)op);
        return r == 1;
}

static int worker_main(void)
{
#ifdef OTHER_DIES
        raise(SIGKILL);
#endif
        if (say(KEEPER_READY) < 0 || !hear(KEEPER_HELLO))
                return 1;
#ifdef OTHER_LATE
        raise(SIGKILL);
#endif
        return hear(KEEPER_STAY);
}

static int keeper_main(void)
{
#ifdef OTHER_JOURNAL
        const char *const words[] = {"stress-other", "worker", NULL};
        return stress_next_keeper(words, NULL);
#else
        if (say(KEEPER_TAKE) < 0 || !hear(KEEPER_PREPARE) || say(KEEPER_READY) < 0 ||
                !hear(KEEPER_GIVE))
                return 1;
        raise(SIGKILL);
        return 1;
#endif
}

int main(int argc, char **argv)
{
        if (argc < 2)
                return 2;
        return streq(argv[1], "worker") ? worker_main() : keeper_main();
}
