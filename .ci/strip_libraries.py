"""Take the tables of symbols out of the shared libraries below a folder; leave alone what that would break.

`python strip_libraries.py FOLDER`, with binutils. A library whose paths were written anew when its wheel was made
may come out of `strip` with parts that no longer begin where a page does; the loader refuses such a file. So each
result is looked at before it takes the original's place.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

PAGE = 4096
LOADED = 1


def loads(content: bytes) -> bool:
    """Whether every part of a 64-bit library that is loaded lies in the file as it is to lie in memory."""
    if content[:5] != b"\x7fELF\x02":
        return False
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for entry in range(table, table + size * count, size):
        kind, _, offset, address, _, _, _, alignment = struct.unpack_from("<IIQQQQQQ", content, entry)
        if kind == LOADED and (offset - address) % max(alignment, PAGE):
            return False
    return True


def main() -> None:
    """Strip every library, and say how much it was."""
    saved, kept = 0, 0
    for path in sorted(Path(sys.argv[1]).rglob("*.so*")):
        if path.is_symlink() or not path.is_file():
            continue
        stripped = path.with_name(path.name + ".stripped")
        done = subprocess.run(["strip", "--strip-unneeded", "-o", stripped, path], capture_output=True, check=False)
        if done.returncode == 0 and loads(stripped.read_bytes()):
            saved += path.stat().st_size - stripped.stat().st_size
            shutil.copymode(path, stripped)
            stripped.replace(path)
        else:
            kept += 1
            stripped.unlink(missing_ok=True)
    print(f"{saved / 1e6:.0f} MB of symbols removed; {kept} libraries left as they were")


if __name__ == "__main__":
    main()
