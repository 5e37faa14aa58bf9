"""AWS's managed job templates: documents that AWS's device client understands, with parameters to fill in.

Source: https://docs.aws.amazon.com/iot/latest/developerguide/job-templates-managed.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

VERSION: Final = "1.0"
COMMON: Final = {
    "runAsUser": "the user that the handler is run as; that of the client if it is left out",
    "pathToHandler": "the folder of the handler; the client's own if it is left out",
}
_PACKAGES: Final = {"packages": "names of packages, separated by spaces"}
_SERVICES: Final = {"services": "names of services, separated by spaces"}


@dataclass(frozen=True, slots=True)
class ManagedTemplate:
    """``parameters``: those that must be given, by name, with what they mean."""

    action: str  # "Download-File"
    handler: str
    does: str
    parameters: dict[str, str]

    @property
    def name(self) -> str:
        return f"AWS-{self.action}"

    def arn(self, region: str) -> str:
        return f"arn:aws:iot:{region}::jobtemplate/{self.name}:{VERSION}"

    @property
    def document(self) -> str:
        given: dict[str, Any] = {"handler": self.handler}
        if self.parameters:
            given["args"] = [_placeholder(name) for name in self.parameters]
        given["path"] = _placeholder("pathToHandler")
        action = {"name": self.action, "type": "runHandler", "input": given, "runAsUser": _placeholder("runAsUser")}
        return json.dumps({"version": VERSION, "steps": [{"action": action}]})


def _placeholder(name: str) -> str:
    return f"${{aws:iot:parameter:{name}}}"


_ALL: Final = (
    ManagedTemplate("Reboot", "reboot.sh", "Reboots the device", {}),
    ManagedTemplate(
        "Download-File",
        "download-file.sh",
        "Downloads a file",
        {"downloadUrl": "where the file is: a URL that the device reaches", "filePath": "where it goes on the device"},
    ),
    ManagedTemplate("Install-Application", "install-packages.sh", "Installs packages", _PACKAGES),
    ManagedTemplate("Remove-Application", "remove-packages.sh", "Removes packages", _PACKAGES),
    ManagedTemplate("Start-Application", "start-services.sh", "Starts services", _SERVICES),
    ManagedTemplate("Stop-Application", "stop-services.sh", "Stops services", _SERVICES),
    ManagedTemplate("Restart-Application", "restart-services.sh", "Stops and starts services", _SERVICES),
)
MANAGED: Final = {template.name: template for template in sorted(_ALL, key=lambda one: one.name)}
