"""A reader: opens a file, reads it in pieces, and looks whether it saw one version only.

    reader.py PATH whole|held

The file's lines all begin with "NUMBER:", a number that grows with each version. `whole` opens the
file for each read; `held` keeps one descriptor and expects the same bytes for ever. Prints "ready",
reads until something comes on standard input, prints its counts as JSON.
"""

import json
import os
import select
import sys


def read_in_pieces(fd, size=4096):
    parts, offset = [], 0
    while True:
        part = os.pread(fd, size, offset)
        if not part:
            return b"".join(parts)
        parts.append(part)
        offset += len(part)


def number_of(text):
    """The one number of all lines, or None when there are several, or half a line."""
    numbers = {line.split(b":", 1)[0] for line in text.split(b"\n")}
    return int(numbers.pop()) if len(numbers) == 1 else None


def main():
    path, mode = sys.argv[1:]
    counts = {"reads": 0, "torn": 0, "errors": 0, "values": 0, "backwards": 0}
    held = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if mode == "held" else None
    first = read_in_pieces(held) if mode == "held" else None
    last = -1
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        counts["reads"] += 1
        try:
            if held is not None:
                counts["torn"] += read_in_pieces(held) != first
                continue
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                # fstat and the bytes have to be of one version, too.
                text = read_in_pieces(fd)
                number = number_of(text)
                if number is None or os.fstat(fd).st_size != len(text):
                    counts["torn"] += 1
                    continue
            finally:
                os.close(fd)
        except OSError:
            counts["errors"] += 1
            continue
        counts["values"] += number != last
        counts["backwards"] += number < last
        last = max(last, number)
    print(json.dumps(counts))


main()
