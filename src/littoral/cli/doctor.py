"""``littoral doctor``: which layers keep functions apart on this machine, a core's programs in their fence, models in
their room and training jobs in their cells, found by running one of each, and what the kernel should be told before the
place faces the network, and of processors that sleep."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

from littoral.cli.flags import shows
from littoral.site.settings import Loaded

OFF = "switched off: --insecure-no-sandbox"


def run(loaded: Loaded, *, as_json: bool) -> int:
    """0 when every layer that is needed is active."""
    from littoral.functions.doctor import diagnose, report
    from littoral.functions.settings import FunctionSettings
    from littoral.site import fencing, trials, waking
    from littoral.site.network import advise

    chosen = loaded.settings
    diagnosis = asyncio.run(diagnose(FunctionSettings(isolated=not chosen.insecure_no_sandbox, node=chosen.node)))
    off = chosen.insecure_no_sandbox
    fenced, met = (False, OFF) if off else asyncio.run(fencing.tried())
    others = dict.fromkeys(trials.NAMES, (False, OFF)) if off else asyncio.run(trials.tried(chosen))
    if as_json:
        findings = [asdict(each) for each in diagnosis.findings]
        told: dict[str, object] = {
            "healthy": diagnosis.healthy,
            "refused": diagnosis.refused,
            "layers": findings,
            "network": [asdict(each) for each in advise(chosen)],
            "processors": [asdict(each) for each in waking.advise()],
        }
        told["components"] = {"fenced": fenced, "detail": met}
        told |= {name: {"apart": apart, "detail": detail} for name, (apart, detail) in others.items()}
        print(json.dumps(told, indent=2))
    else:
        report(diagnosis)
        rows = {"fence of components": (fenced, met), **{f"cells of {name}": each for name, each in others.items()}}
        for name, (active, detail) in rows.items():
            print(f"  {name:<22} {'active' if active else 'MISSING':<8} {detail}")
        for each in (*advise(chosen), *waking.advise()):
            state = "unknown" if each.good is None else "good" if each.good else "ADVICE"
            print(f"  {each.name:<22} {state:<8} {each.detail}")
    return 0 if diagnosis.healthy else 1


def add(commands: Any) -> None:
    command = commands.add_parser(
        "doctor",
        help="what isolates functions here",
        description="Run a function and print which layers keep it apart from the place and from other functions, and "
        "whether components, models and training jobs are kept apart; exit code 1 where a layer of functions is not.",
    )
    shows(command, run)
