"""``littoral box transfer`` as a process that may be killed, and what it says of its progress."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Running:
    def __init__(self, words: Sequence[str], env: dict[str, str], log: Path) -> None:
        self.said: list[tuple[float, dict[str, Any]]] = []
        self.other: list[str] = []
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "littoral", "box", "transfer", *words, "--json"],
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name="transfer", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._log.open("a") as log:
            for line in self._process.stderr:
                log.write(line)
                try:
                    self.said.append((time.monotonic(), json.loads(line)))
                except ValueError:
                    self.other.append(line.rstrip())

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def wait(self, timeout: float) -> int:
        """The exit code. Raises TimeoutExpired."""
        code = self._process.wait(timeout)
        self._end()
        return code

    def stop(self) -> None:
        if not self.ended:
            self.kill()

    def _end(self) -> None:
        self._process.wait()
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
