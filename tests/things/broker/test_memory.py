"""What a test that was killed left in memory goes with the next one; what a living one has stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.things.broker.memory import own_folder

HOLDS = "from tests.things.broker.memory import own_folder; print(own_folder(), flush=True); input()"


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays() -> None:
    words = [sys.executable, "-c", HOLDS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": Path(__file__).parents[3]}
    with subprocess.Popen(words, **pipes) as killed, subprocess.Popen(words, **pipes) as living:
        left, held = (Path(each.stdout.readline().strip()) for each in (killed, living))
        assert left.is_dir() and held.is_dir()
        killed.kill()
        killed.wait()
        mine = own_folder()
        assert (left.exists(), held.exists(), mine.exists()) == (False, True, True)
        mine.rmdir()
        held.rmdir()
        living.kill()
