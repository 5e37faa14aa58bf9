"""A real box for tests: a folder prepared by the command, the place as a process, and its clients."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
import pytest
from botocore.config import Config

from littoral.cli.main import main
from littoral.tour.places import PlaceProcess
from tests.box.manifests import Issued, issue

PORTS = ("--port", "0", "--mqtt-port", "0", "--mqtt-tls-port", "0")


def littoral(*words: str, code: str = "", check: bool = True) -> str:
    """Run a command, here; its standard output, or with ``check`` off both."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("BOX_UNLOCK_CODE", code)
        status = main(words)
    if check:
        assert status == 0, out.getvalue() + err.getvalue()
        return out.getvalue()
    return out.getvalue() + err.getvalue()


@dataclass
class Box:
    """A prepared folder; ``start`` runs it."""

    folder: Path
    issued: Issued
    manifest: Path
    process: PlaceProcess | None = None
    urls: dict[str, str] = field(default_factory=dict)

    @classmethod
    def prepared(cls, base: Path) -> Box:
        issued = issue()
        manifest = base / "manifest.bin"
        manifest.write_bytes(issued.file)
        made = cls(base / "disk", issued, manifest)
        made.asks("prepare", "--manifest", str(manifest))
        return made

    def start(self, *options: str, env: Mapping[str, str] = MappingProxyType({})) -> None:
        self.process = PlaceProcess("box", "box", self.folder, options or PORTS, env)
        self.process.wait_ready()

    def asks(self, *words: str, check: bool = True) -> str:
        """``littoral box``, with the code at hand."""
        return littoral("box", *words, "--data-dir", str(self.folder), code=self.issued.code, check=check)

    def unlock(self) -> None:
        self.asks("unlock", "--manifest", str(self.manifest))
        self.urls = self.status()["listeners"]

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.asks("status", "--json"))
        return found

    def authority(self) -> Path:
        file = self.folder.parent / "ca.pem"
        file.write_text(self.asks("certificate"))
        return file

    def client(self, service: str) -> Any:
        held = self.issued.manifest
        return boto3.client(
            service,
            endpoint_url=self.urls["api"],
            region_name=held.region,
            aws_access_key_id=held.access_key,
            aws_secret_access_key=held.secret_key,
            verify=str(self.authority()),
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()
