"""``littoral core …`` on the command line: which commands there are, and their flags."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from littoral.cli import bundle, core, deploying, install
from littoral.cli.flags import pair, settings_flags, settings_of, shows, times


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "core",
        help="a core on this device: its state, its components",
        description="Ask the core that runs on this device, over its Unix socket: it answers with the link down, too.",
    )
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _core_setup(parts)
    shown = parts.add_parser(
        "status",
        help="link, spool, deployment, components",
        description="Print how the core is. Exit code 0; 1 when it does not answer; 3 when a component is broken or "
        "the last deployment failed.",
    )
    listed = parts.add_parser("components", help="components and their states", description="Print the components.")
    for each, command in ((shown, core.status), (listed, core.components)):
        shows(each, command)
    read = parts.add_parser("logs", help="what a component said", description="Print a component's last lines.")
    read.add_argument("component", help="its name")
    read.add_argument("--lines", type=times, default=100, metavar="N", help="the last so many (default: 100)")
    settings_flags(read)
    read.set_defaults(command=lambda options: core.logs(settings_of(options), options.component, options.lines))
    _core_rejected(parts)
    for action, words in (("restart", "end a component and run it again"), ("stop", "end a component")):
        done = parts.add_parser(action, help=words, description=f"{words.capitalize()}.")
        done.add_argument("component", help="its name")
        settings_flags(done)
        done.set_defaults(command=lambda options, what=action: core.act(settings_of(options), options.component, what))

    _core_deployments(parts)


def _core_deployments(parts: Any) -> None:
    made = parts.add_parser(
        "deploy",
        help="deploy from this device, link or no link",
        description="Make a local deployment, as greengrass-cli's deployment create does, and wait for its end. Exit "
        "code 0; 3 where it failed.",
    )
    made.add_argument("--recipe-dir", type=Path, metavar="DIR", help="of recipes, JSON or YAML")
    made.add_argument("--artifact-dir", type=Path, metavar="DIR", help="of artifacts: DIR/COMPONENT/VERSION/…")
    many: dict[str, Any] = {"action": "append", "default": []}
    made.add_argument("--merge", type=pair, metavar="COMPONENT=VERSION", help="add, or change its version", **many)
    made.add_argument("--remove", metavar="COMPONENT,…", help="take away", **many)
    made.add_argument(
        "--update-config", default="", metavar="JSON", help='{"COMPONENT": {"MERGE": {…}, "RESET": [pointer, …]}}'
    )
    made.add_argument("--run-with", type=pair, metavar="COMPONENT:posixUser=USER", help="its user", **many)
    made.add_argument(
        "--system-limits", default="", metavar="JSON", help='{"COMPONENT": {"cpus": 0.5, "memory": kilobytes}}'
    )
    made.add_argument("--group", default="", metavar="NAME", help="change the deployment to this thing group")
    made.add_argument("--failure-handling-policy", choices=("ROLLBACK", "DO_NOTHING"), default="ROLLBACK")
    made.add_argument("--no-wait", action="store_true", help="print its id and end")
    settings_flags(made)
    made.set_defaults(command=_deploy)
    listed = parts.add_parser("deployments", help="the last ten made here", description="Print local deployments.")
    shows(listed, deploying.deployments)
    ended = parts.add_parser("cancel", help="a local deployment that waits", description="Cancel one that waits.")
    ended.add_argument("deployment", help="its id")
    settings_flags(ended)
    ended.set_defaults(command=lambda options: deploying.cancel(settings_of(options), options.deployment))


def _deploy(options: argparse.Namespace) -> int:
    typed = deploying.Deploying(
        options.recipe_dir,
        options.artifact_dir,
        options.merge,
        options.remove,
        options.update_config,
        options.run_with,
        options.system_limits,
        options.group,
        options.failure_handling_policy,
    )
    return deploying.deploy(settings_of(options), typed, wait=not options.no_wait)


def _core_rejected(parts: Any) -> None:
    parser = parts.add_parser(
        "rejected",
        help="messages that the place above did not take",
        description="List what the place above refused and the core set aside, or send it again, or drop it.",
    )
    parser.add_argument("--topic", default="#", metavar="FILTER", help="those of these topics (default: #)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--retry", action="store_const", dest="action", const="retry", help="send them again")
    what.add_argument("--drop", action="store_const", dest="action", const="drop", help="forget them")
    what.add_argument("--payload", type=times, metavar="NUMBER", help="write that message's payload")
    what.add_argument("--json", action="store_true", help="as JSON")
    settings_flags(parser)
    parser.set_defaults(command=_rejected)


def _rejected(options: Any) -> int:
    if options.action is not None:
        return core.rejected_act(settings_of(options), options.topic, options.action)
    if options.payload is not None:
        return core.rejected_payload(settings_of(options), options.payload)
    return core.rejected(settings_of(options), options.topic, as_json=options.json)


def _core_setup(parts: Any) -> None:
    packed = parts.add_parser(
        "bundle",
        help="in the region: a new core's identity in one file",
        description="In the region: make a thing, its certificate and its policy, and pack them into one file for the "
        "device, which installs it once.",
    )
    packed.add_argument("core", help="its name, and its thing's")
    packed.add_argument("--group", metavar="NAME", help="thing group that it joins, to get that group's deployments")
    packed.add_argument("--endpoint", metavar="URL", help="the region as the device reaches it: mqtts://HOST:8883")
    packed.add_argument("--out", type=Path, metavar="FILE", help="the file (default: NAME.bundle)")
    settings_flags(packed)
    packed.set_defaults(
        command=lambda options: bundle.run(
            settings_of(options), options.core, group=options.group, endpoint=options.endpoint, out=options.out
        )
    )
    done = parts.add_parser(
        "install",
        help="on the device: make it a core",
        description="On the device: take a bundle, or make a key and claim a certificate with --upstream and --claim; "
        "write the configuration (0600) and a systemd unit. Other settings that are given stay the core's.",
    )
    who = done.add_mutually_exclusive_group()
    who.add_argument("--bundle", type=Path, metavar="FILE", help="of littoral core bundle; removed once it is used")
    who.add_argument(
        "--claim", type=Path, metavar="PATH", help="folder with claim.crt and claim.key, or a claim's JSON"
    )
    done.add_argument("--template", default="", metavar="NAME", help="the provisioning template that the claim is for")
    done.add_argument(
        "--parameter", type=pair, action="append", default=[], metavar="KEY=VALUE", help="of the template; repeatable"
    )
    done.add_argument("--no-unit", action="store_true", help="write no systemd unit")
    done.add_argument("--unit-folder", type=Path, metavar="DIR", help="where units are (default: systemd's own)")
    settings_flags(done)
    done.set_defaults(command=_install)


def _install(options: argparse.Namespace) -> int:
    typed = install.Installing(
        options.bundle,
        options.claim,
        options.template,
        dict(options.parameter),
        unit=not options.no_unit,
        unit_folder=options.unit_folder,
    )
    return install.run(settings_of(options), typed, os.environ, Path.home())
