"""``littoral doctor``: which layers keep functions apart on this machine and a core's programs in their fence, found by
running one of each, and what the kernel should be told before the place faces the network."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

from littoral.cli.flags import settings_flags, settings_of
from littoral.site.settings import Loaded


def run(loaded: Loaded, *, as_json: bool) -> int:
    """0 when every layer that is needed is active."""
    from littoral.functions.doctor import diagnose, report
    from littoral.functions.settings import FunctionSettings
    from littoral.site.fencing import tried
    from littoral.site.network import advise

    chosen = loaded.settings
    diagnosis = asyncio.run(diagnose(FunctionSettings(isolated=not chosen.insecure_no_sandbox, node=chosen.node)))
    off = chosen.insecure_no_sandbox
    fenced, met = (False, "switched off: --insecure-no-sandbox") if off else asyncio.run(tried())
    if as_json:
        findings = [asdict(each) for each in diagnosis.findings]
        advice = [asdict(each) for each in advise(chosen)]
        told: dict[str, object] = {
            "healthy": diagnosis.healthy,
            "refused": diagnosis.refused,
            "layers": findings,
            "network": advice,
        }
        told["components"] = {"fenced": fenced, "detail": met}
        print(json.dumps(told, indent=2))
    else:
        report(diagnosis)
        print(f"  {'fence of components':<22} {'active' if fenced else 'MISSING':<8} {met}")
        for each in advise(chosen):
            state = "unknown" if each.good is None else "good" if each.good else "ADVICE"
            print(f"  {each.name:<22} {state:<8} {each.detail}")
    return 0 if diagnosis.healthy else 1


def add(commands: Any) -> None:
    command = commands.add_parser(
        "doctor",
        help="what isolates functions here",
        description="Run a function and print which layers keep it apart from the place and from other functions; "
        "exit code 1 when one that is needed is missing.",
    )
    command.add_argument("--json", action="store_true", help="as JSON")
    settings_flags(command)
    command.set_defaults(command=lambda options: run(settings_of(options), as_json=options.json))
