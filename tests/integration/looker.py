"""Looks at everything in a folder, in the way that asks the kernel for the least.

    looker.py FOLDER [SECONDS]

Lists it and all folders below, looks at each name, reads each file by its path and each link, walks
through `..data`, again and again for so many seconds (once without), and prints what it saw last as
JSON: {path: text}, for a folder its names, for a link its target. A process of its own, since who
looks where nobody answers may never return.
"""

import json
import os
import stat
import sys
import time


def look(path, seen):
    st = os.lstat(path)
    if stat.S_ISLNK(st.st_mode):
        seen[path] = os.readlink(path)
    elif stat.S_ISDIR(st.st_mode):
        seen[path] = sorted(os.listdir(path))
        for name in seen[path]:
            look(f"{path}/{name}", seen)
    else:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # open() of python would ask with an ioctl
        text = os.read(fd, st.st_size + 1)
        assert len(text) == st.st_size == os.fstat(fd).st_size
        os.close(fd)
        seen[path] = text.decode()


def main():
    os.chdir(sys.argv[1])
    until = time.monotonic() + float(sys.argv[2] if len(sys.argv) > 2 else 0)
    while True:
        seen = {}
        look(".", seen)
        look("..data/.", seen)
        if time.monotonic() >= until:
            break
    print(json.dumps(seen))


main()
