"""What ``littoral doctor`` says of processors that sleep."""

from __future__ import annotations

from pathlib import Path

import pytest

from littoral.site.waking import CHOSEN, LOOKING, advise


def machine(
    folder: Path, driver: str, governor: str, looking: str | None = None, *, virtual: bool = True
) -> list[bool | None]:
    """What is thought of it."""
    for name, text in (("current_driver", driver), ("current_governor_ro", governor)):
        (folder / CHOSEN).mkdir(parents=True, exist_ok=True)
        (folder / CHOSEN / name).write_text(text + "\n")
    if looking is not None:
        (folder / LOOKING).parent.mkdir(parents=True)
        (folder / LOOKING).write_text(looking + "\n")
    processors = folder / "cpuinfo"
    processors.write_text(f"processor\t: 0\nflags\t\t: fpu vme{' hypervisor' if virtual else ''} sse\n")
    return [each.good for each in advise(folder, processors)]


@pytest.mark.parametrize(
    ("driver", "governor", "looking", "virtual", "good"),
    [
        ("haltpoll", "haltpoll", "0", True, [False]),
        ("haltpoll", "haltpoll", "200000", True, [True]),
        ("haltpoll", "haltpoll", None, True, [None]),
        ("haltpoll", "menu", "200000", True, [False]),
        ("none", "menu", None, True, [False]),
        ("none", "menu", None, False, []),
        ("intel_idle", "menu", None, False, []),
    ],
)
def test_a_guest_that_halts_at_once_is_told(
    tmp_path: Path, driver: str, governor: str, looking: str | None, virtual: bool, good: list[bool | None]
) -> None:
    assert machine(tmp_path, driver, governor, looking, virtual=virtual) == good


def test_a_machine_without_any_of_it_is_not_judged(tmp_path: Path) -> None:
    assert advise(tmp_path, tmp_path / "cpuinfo") == []


def test_how_long_they_look_is_said(tmp_path: Path) -> None:
    machine(tmp_path, "haltpoll", "haltpoll", "50000")
    assert "50 µs" in advise(tmp_path)[0].detail
