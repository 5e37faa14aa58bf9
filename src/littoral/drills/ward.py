"""A ward for drills: a region and a core as processes, a link between them that can be cut, certificates of twenty
beds, two functions on the core. Everything is set up through public APIs, and all of it ends with ``cleanup``.

In life the region and the beds have machines of their own; here all share this one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from littoral.drills.beds import WARD
from littoral.tour import provision
from littoral.tour.link import Link
from littoral.tour.places import PlaceProcess
from littoral.tour.provision import BRIDGE, CORE, Cloud
from littoral.tour.steps import FREE_PORTS, credentials

BEDS = 20
NUCLEUS = "aws.greengrass.Nucleus"
PACKAGE = "littoral.drills"
FUNCTIONS = (("alarms", "vitals"), ("summaries", "waveform"))  # and what they hear


class Ward:
    """``start_region``, ``deploy``, ``start_core``; then ``core`` may be killed and ``again`` started."""

    def __init__(self, folder: Path, cleanup: ExitStack) -> None:
        self.core_folder = folder / "core"  # its log lies beside it
        self._folder = folder
        self._keys = folder / "keys"
        self._cleanup = cleanup
        self._deployment = ""
        self._core_ports: list[str] = []
        self.own_disk = False  # the core has one that may be filled

    def start_region(self) -> None:
        """With a thing, a certificate and a policy for everybody."""
        self.region = PlaceProcess(
            "region", "region", self._folder / "region", [*FREE_PORTS, "--mqtt-tls-profile", "mqtt"], {}
        )
        self._cleanup.callback(self.region.stop)
        self.region.wait_ready()
        self.cloud = cloud = Cloud(self.region.urls["api"], *credentials(self.region.folder))
        open_policy(cloud)
        keys = self._keys
        keys.mkdir(mode=0o700)
        region_ca = provision.authority(self.region.urls["api"], keys / "region-ca.pem")
        core_ca = keys / "core-ca.pem"
        self._core_identity = provision.thing(cloud, CORE, "all", keys, region_ca)
        self.checker = provision.thing(cloud, "checker", "all", keys, region_ca)
        self.beds = [provision.thing(cloud, f"bed{n + 1}", "all", keys, core_ca) for n in range(BEDS)]
        self.probe = provision.thing(cloud, "probe", "all", keys, core_ca)

    def deploy(self, spool: dict[str, Any]) -> None:
        """The functions, what the bridge carries up, and the spool's settings, as in the Nucleus's configuration."""
        greengrass = self.cloud.client("greengrassv2")
        for name, topic in FUNCTIONS:
            arn = provision.function(
                self.cloud, name, "python3.11", "index.lambda_handler", package=PACKAGE, Timeout=10
            )
            parameters = {
                "eventSources": [{"topic": f"{WARD}/bed/+/{topic}", "type": "PUB_SUB"}],
                "pinned": True,
                "maxInstancesCount": 1,
                "timeoutInSeconds": 10,
            }
            greengrass.create_component_version(
                lambdaFunction={
                    "lambdaArn": arn,
                    "componentName": f"ward.{name}",
                    "componentVersion": "1.0.0",
                    "componentLambdaParameters": parameters,
                }
            )
        mapping = {
            kind: {"topic": f"{WARD}/bed/+/{kind}", "source": "LocalMqtt", "target": "IotCore"}
            for kind in ("record", "summary")
        }
        merges = {BRIDGE: {"mqttTopicMapping": mapping}, NUCLEUS: {"mqtt": {"spooler": spool}}}
        components: dict[str, Any] = {f"ward.{name}": {"componentVersion": "1.0.0"} for name, _ in FUNCTIONS}
        for name, merge in merges.items():
            components[name] = {"componentVersion": "2.3.2", "configurationUpdate": {"merge": json.dumps(merge)}}
        target = f"arn:aws:iot:us-east-1:000000000000:thing/{CORE}"
        made = greengrass.create_deployment(targetArn=target, components=components)
        self._deployment = str(made["deploymentId"])

    def start_core(self, disk: int) -> None:
        """With a disk of that many bytes where root may mount one. What was deployed runs on return."""
        self.link = self._cleanup.enter_context(Link("127.0.0.1", self.region.port("mqtt-tls")))
        self._core_ports = [word for flag in FREE_PORTS[::2] for word in (flag, str(free_port()))]
        self.core_folder.mkdir()
        self._mount(disk)
        self.again({})
        self._cleanup.callback(self._stop_core)
        provision.wait_deployed(self.cloud, self._deployment, 120.0)
        provision.authority(self.core.urls["api"], self._keys / "core-ca.pem")

    def again(self, env: dict[str, str]) -> None:
        """Start the core on its ports and its folder."""
        identity = self._core_identity
        options = [
            *self._core_ports,
            *("--upstream", f"mqtts://127.0.0.1:{self.link.port}"),
            *("--certificate", str(identity.certificate)),
            *("--private-key", str(identity.private_key)),
            *("--ca", str(identity.ca)),
        ]
        self.core = PlaceProcess(CORE, "core", self.core_folder, options, env)
        self.core.wait_ready()

    def _stop_core(self) -> None:
        """The one that runs then."""
        self.core.stop()

    def check_alive(self) -> None:
        """Raises PlaceError."""
        self.region.check_alive()
        self.core.check_alive()

    def _mount(self, disk: int) -> None:
        if os.geteuid() != 0:
            return
        mount = ["mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", str(self.core_folder)]
        self.own_disk = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        if self.own_disk:
            self._cleanup.callback(subprocess.run, ["umount", "-l", str(self.core_folder)], check=False)


def open_policy(cloud: Cloud) -> None:
    """ "all" allows everything."""
    statement = {"Effect": "Allow", "Action": ["iot:*", "greengrass:*"], "Resource": ["*"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    cloud.client("iot").create_policy(policyName="all", policyDocument=document)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
