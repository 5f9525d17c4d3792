/* Having the kernel remember a mount, so that no process is needed to read it.
 *
 * What the kernel has in its caches it answers by itself, whoever has died. So a child of the
 * keeper looks at what is new through the private mount, as root: names are looked up, folders
 * listed, attributes asked for, links read, and the bytes of files brought into the page cache.
 * They do not pass through this process: sendfile(2) to /dev/null moves references to pages.
 *
 * The worker could give the bytes to the kernel itself (FUSE_NOTIFY_STORE). It would wait for a
 * page that a reader's READ has locked, and a worker that is killed while it waits for what only it
 * would have answered never dies; a child that waits is nobody's problem. And there is one place
 * less where secrets pass.
 *
 * What is asked for here is told by the worker, which may be hostile: depth, number and size are
 * bounded, links are not followed, nothing but files and folders is opened. Whoever does it may
 * hang as any renamer: nobody waits for it without a limit.
 */
#pragma once

/* Larger files are left to their first reader: objects of a vault have some 100 KiB at most, and a
 * page cache full of a file that nobody reads helps nobody. */
#define WARM_FILE_MAX (1 << 20)
#define WARM_NAMES_MAX 65536 /* in one mount */
#define WARM_DEPTH_MAX 64

/* Everything in a mount. root may be an O_PATH descriptor. 0, or a negative errno of what could not
 * be looked at; the rest was. -E2BIG beyond a bound. */
int keeper_warm_all(int root);

/* One name, and all below it when it is a folder. The same. */
int keeper_warm_name(int dir, const char *name);

/* The attributes of a name and of its folder, which a rename makes the kernel forget. */
void keeper_warm_stat(int dir, const char *name);
