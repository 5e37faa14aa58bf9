"""A spool file as the gzip file that is delivered. Also a program, for large ones: ``python -m … FILE OUT``.

Some microseconds of Python a line are nothing for a file of a quiet minute, and seconds for one of a busy minute: that
is done beside the place, not in it.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

from littoral.edge.accesslog.line import HEAD, line
from littoral.edge.accesslog.spool import Read, read


def gzipped(found: Read) -> bytes:
    text = HEAD + "".join(line(record, found.source) + "\n" for record in found.records)
    return gzip.compress(text.encode("ascii", "backslashreplace"), 6)


def main() -> None:
    try:
        found = read(Path(sys.argv[1]))
        Path(sys.argv[2]).write_bytes(gzipped(found) if found is not None else b"")
    except OSError as problem:
        sys.exit(str(problem))  # the place goes on from there, if it is there


if __name__ == "__main__":
    main()
