"""The core's own log as a file beside those of its components, while it is to be uploaded."""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path
from typing import Final

FILE: Final = "greengrass"  # .log, as AWS's nucleus calls it; no component has a name without a dot
LARGEST: Final = 10 * 1024 * 1024  # bytes; then the file before goes, and this one takes its place


class SystemLog:
    def __init__(self, folder: Path, form: logging.Formatter) -> None:
        self._file = folder / f"{FILE}.log"
        self._form = form
        self._handler: logging.Handler | None = None

    def start(self) -> None:
        """Raises OSError."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._handler = logging.handlers.RotatingFileHandler(self._file, maxBytes=LARGEST, backupCount=1)
        self._handler.setFormatter(self._form)
        logging.getLogger("littoral").addHandler(self._handler)

    def close(self) -> None:
        if self._handler is not None:
            logging.getLogger("littoral").removeHandler(self._handler)
            self._handler.close()
            self._handler = None
