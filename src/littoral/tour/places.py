"""Places as processes of the one ``littoral`` program: started on free ports, watched until ready, stopped cleanly."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LISTENER = re.compile(r"^(?:listening\s+)?(?P<name>[a-z-]+)\s+(?P<url>[a-z]+://\S+)$")


class PlaceError(Exception):
    """A place did not become ready, or ended by itself; the message holds the end of its log."""


def _ending_with_parent() -> list[str]:
    """What makes the child end by SIGTERM when whoever started it is gone, however that came (util-linux). Not a
    function of ours in the child: it may be started beside threads."""
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "TERM", "--"] if found else []


class PlaceProcess:
    """One running place. ``urls`` maps a listener's name (api, edge, mqtt-tls, …) to its address."""

    def __init__(self, name: str, kind: str, folder: Path, options: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = name
        self.folder = folder
        self.log = folder.with_suffix(".log")
        self.urls: dict[str, str] = {}
        self.started = time.monotonic()
        self.ready_after = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        place = [sys.executable, "-m", "littoral", "up", kind, "--name", name, "--data-dir", str(folder), *options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_ending_with_parent(), *place],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **env},
                start_new_session=True,  # Ctrl-C reaches the tour alone, which then stops its places in order
            )

    def wait_ready(self, timeout: float = 120.0) -> None:
        """Read the listener lines until ``ready``. Raises PlaceError."""
        late = threading.Event()
        watchdog = threading.Timer(timeout, self._give_up, (late,))
        watchdog.start()
        try:
            assert self._process.stdout is not None
            for line in self._process.stdout:
                if line.split()[:1] == ["ready"]:
                    self.ready_after = time.monotonic() - self.started
                    return
                if match := LISTENER.match(line.strip()):
                    self.urls[match["name"]] = match["url"]
        finally:
            watchdog.cancel()
        self._process.wait()
        why = f"within {timeout:.0f} s" if late.is_set() else f"(exit {self._process.returncode})"
        raise PlaceError(f"{self.name} did not become ready {why}:\n{self.log_end()}")

    def _give_up(self, late: threading.Event) -> None:
        late.set()
        self._process.kill()

    def port(self, listener: str) -> int:
        return int(self.urls[listener].rsplit(":", 1)[1].strip("/"))

    def check_alive(self) -> None:
        if self._process.poll() is not None:
            raise PlaceError(f"{self.name} ended by itself (exit {self._process.returncode}):\n{self.log_end()}")

    def log_end(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    @property
    def pid(self) -> int:
        return self._process.pid

    def memory_mib(self) -> float:
        """Resident memory of the place's own process."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0.0
        match = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(match[1]) / 1024 if match else 0.0

    def kill(self) -> None:
        """As a power cut does it: SIGKILL to it and all it started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self.stop()

    def stop(self, grace: float = 15.0) -> int:
        """SIGTERM, and SIGKILL to the whole group where that is not enough. Returns the exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return self._process.returncode
