"""From the place's world into the keeper's: make the template root, give up every privilege, become the keeper.

Usage: ``python -I -S enter.py PLAN``, a JSON object: ``base`` (an empty folder), ``binds`` ([[outside, inside], …]),
``uid`` (whom to become when this is root), ``argv`` and ``env`` (what runs then, seen from inside); of a training
job its folder (``job``), what stands for /etc/hosts (``hosts``), whether it has the machine's ``network``, and of a
host that is alone in its network its ``tunnel``: ``address``, ``netmask``, the socket whom to give it (``control``).

Ends with status 70 and one line on standard error when a layer cannot be put on: nothing runs without.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from littoral.functions.isolation import cgroup, kernel, landlock, template, tunnel
else:

    def _package(folder: str) -> None:
        spec = importlib.util.spec_from_file_location(
            "_littoral_isolation", f"{folder}/__init__.py", submodule_search_locations=[folder]
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)

    _package(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    from _littoral_isolation import cgroup, kernel, landlock, template, tunnel

REFUSED = 70  # EX_SOFTWARE of sysexits.h


def enter(plan: dict[str, Any]) -> None:
    """Never returns unless something fails (OSError)."""
    if landlock.abi() < 1:
        raise OSError(38, "Landlock is not there (Linux 5.13, enabled by lsm=landlock,…)")
    privileged = os.geteuid() == 0
    group = cgroup.make(plan["uid"] if privileged else None)
    own(privileged=privileged, network=plan.get("network", True))
    if "tunnel" in plan:
        _tunnel(**plan["tunnel"])
    binds = [(source, target) for source, target in plan["binds"]]
    template.build(plan["base"], binds, group, plan.get("job"), plan.get("hosts", "/etc/hosts"))
    template.enter(plan["base"])
    if privileged:
        os.setgroups([])
        os.setresgid(plan["uid"], plan["uid"], plan["uid"])
        os.setresuid(plan["uid"], plan["uid"], plan["uid"])
    kernel.no_new_privileges()
    os.umask(0o022)
    os.execve(plan["argv"][0], plan["argv"], plan["env"])  # noqa: S606 - and capabilities end here


def _tunnel(control: str, address: str, netmask: str) -> None:
    try:
        tunnel.hand_out(int(control), tunnel.make(address, netmask))
    except OSError as error:
        raise OSError(error.errno, f"{tunnel.DEVICE}: {error.strerror}") from error


def own(*, privileged: bool, network: bool = True) -> None:
    """Namespaces in which mounting is allowed; without ``network``, one that ends at its own loopback."""
    further = 0 if network else kernel.CLONE_NEWNET
    if privileged:
        kernel.unshare(kernel.CLONE_NEWNS | further)
    else:
        uid, gid = os.geteuid(), os.getegid()
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | further)
        kernel.map_user(uid, gid, inside=(template.UID, template.GID))
    if not network:
        kernel.loopback_up()


if __name__ == "__main__":
    try:
        enter(json.loads(sys.argv[1]))
    except OSError as error:
        why = error.strerror or str(error)
        hint = "`littoral doctor` says more; --insecure-no-sandbox runs functions without isolation"
        print(f"functions cannot be isolated here: {why} ({hint})", file=sys.stderr)
        sys.exit(REFUSED)
