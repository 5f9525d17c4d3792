"""Looking through another process's memory, as whoever has stolen root would."""

import pathlib
import re

PIECE = 1 << 20
SHADOW = 1 << 36  # so much in one piece is a sanitizer's book-keeping, which holds no bytes of ours


class Mapping:
    def __init__(self, line):
        where, self.rights, _, _, _, *name = line.split(maxsplit=5)
        self.start, self.end = (int(x, 16) for x in where.split("-"))
        self.name = name[0].strip() if name else ""

    @property
    def is_constant(self):
        """What a file holds and nobody can write to: libraries have words of their own."""
        in_a_file = self.name.startswith("/") and not self.name.endswith("(deleted)")
        return in_a_file and "w" not in self.rights

    def __repr__(self):
        return f"{self.start:x}-{self.end:x} {self.rights} {self.name}"


def mappings(pid):
    lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [Mapping(line) for line in lines]


def scan(pid, needles):
    """({needle: [places]}, mappings that could not be read) over all that is mapped readable and could have been
    written."""
    found = {needle: [] for needle in needles}
    closed = []
    # Overlapping pieces: what lies across two of them is seen in the second.
    overlap = max(map(len, needles)) - 1
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for mapping in mappings(pid):
            if "r" not in mapping.rights or mapping.name in ("[vvar]", "[vsyscall]"):
                continue
            if mapping.end - mapping.start >= SHADOW or mapping.is_constant:
                continue
            tail = b""
            for start in range(mapping.start, mapping.end, PIECE):
                try:
                    memory.seek(start)
                    piece = tail + memory.read(min(PIECE, mapping.end - start))
                except OSError:
                    closed.append(mapping)
                    break
                for needle in needles:
                    for hit in re.finditer(re.escape(needle), piece):
                        at = start - len(tail) + hit.start()
                        found[needle].append(f"{at:x} in {mapping}")
                tail = piece[-overlap:] if overlap else b""
    return found, closed
