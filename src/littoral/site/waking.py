"""What the kernel of a virtual machine should be told so that processors wake up soon: advice for ``littoral doctor``.

Owns: which of the kernel's settings say so. A guest's processor that halts hands itself to the host, and an exit there
and back is paid whenever a process waits for another: a call of Lambda@Edge that is asked for now and then costs more
than twice as much (docs/decisions/2026-11-29-edge-again.md). Where it looks for work a little before it halts, it does
not.
"""

from __future__ import annotations

from pathlib import Path

from littoral.site.network import Advice

SYSTEM, PROCESSORS = Path("/sys"), Path("/proc/cpuinfo")
NAME = "processors asleep"
ENOUGH = 200_000  # nanoseconds: as measured
CHOSEN = Path("devices/system/cpu/cpuidle")
LOOKING = Path("module/haltpoll/parameters/guest_halt_poll_ns")


def advise(system: Path = SYSTEM, processors: Path = PROCESSORS) -> list[Advice]:
    """Nothing of a machine that is none of a hypervisor's, or whose idle processors are others' matter."""
    driver = _text(system / CHOSEN / "current_driver")
    if driver == "none" and _virtual(processors):
        return [Advice(NAME, False, "they halt at once: load cpuidle-haltpoll")]
    if driver != "haltpoll":
        return []
    if _text(system / CHOSEN / "current_governor_ro") != "haltpoll":
        return [Advice(NAME, False, f"they halt at once: haltpoll > /sys/{CHOSEN}/current_governor")]
    looking = _text(system / LOOKING)
    if not looking.isdecimal():
        return [Advice(NAME, None, f"/sys/{LOOKING} cannot be read")]
    if int(looking) == 0:
        return [Advice(NAME, False, f"they halt at once: {ENOUGH} > /sys/{LOOKING} for quick calls of functions")]
    return [Advice(NAME, True, f"they look {int(looking) / 1000:g} µs for work before they halt")]


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _virtual(processors: Path) -> bool:
    """As the processor itself says."""
    flags = next((line for line in _text(processors).splitlines() if line.startswith("flags")), "")
    return "hypervisor" in flags.split()
