"""The box of a job that a region really has: ordered, prepared, unlocked, and carried by ``littoral box import`` and
``export``, as docs/ship-a-box.md has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from littoral.tour.places import PlaceProcess

ADDRESS = {
    "Name": "Bench",
    "Street1": "Quay 1",
    "City": "Bergen",
    "Country": "NO",
    "PostalCode": "5003",
    "PhoneNumber": "1",
}


class JobBox:
    """Unlocked; its process ends with ``cleanup``. ``env`` has the region's keys."""

    def __init__(
        self,
        region: PlaceProcess,
        kind: str,
        bucket: str,
        folder: Path,
        env: Mapping[str, str],
        ports: Sequence[str],
        cleanup: ExitStack,
    ) -> None:
        self._region, self._env = region, dict(env)
        self._manifest, self._disk = folder / "box.manifest", folder / "disk"
        self.ca = folder / "ca.pem"
        folder.mkdir()
        self._snowball: Any = boto3.client(
            "snowball",
            endpoint_url=region.urls["api"],
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            region_name=env["AWS_DEFAULT_REGION"],
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.job = self._ordered(kind, bucket)
        told = self._of_region("manifest", self.job, "--code", "--file", str(self._manifest))
        self._env["BOX_UNLOCK_CODE"] = told.split()[-1]
        self._of_box("prepare", "--manifest", str(self._manifest))
        self.place = PlaceProcess("box", "box", self._disk, ports, {})
        cleanup.callback(self.place.stop)
        self.place.wait_ready()
        self._of_box("unlock", "--manifest", str(self._manifest), "--allow-swap")
        self.url: str = json.loads(self._of_box("status", "--json"))["listeners"]["api"]
        self.ca.write_text(self._of_box("certificate"))
        self.keys = dict(
            line.split("=", 1) for line in self._of_box("credentials").splitlines() if line.startswith("AWS_")
        )

    def travels(self) -> None:
        """There and back."""
        self._of_region("manifest", self.job, "--ready")
        for state in ("RECEIVED", "RETURNED"):
            self._snowball.update_job_shipment_state(JobId=self.job, ShipmentState=state)

    def read(self, *words: str) -> None:
        self._of_region("import", self.job, "--from", self.url, *words)

    def fill(self, *words: str) -> None:
        self._of_region("export", self.job, "--to", self.url, *words)

    def _ordered(self, kind: str, bucket: str) -> str:
        address = self._snowball.create_address(Address=ADDRESS)["AddressId"]
        made = self._snowball.create_job(
            JobType=kind,
            Resources={"S3Resources": [{"BucketArn": f"arn:aws:s3:::{bucket}"}]},
            AddressId=address,
            SnowballType="EDGE",
            ShippingOption="STANDARD",
        )
        return str(made["JobId"])

    def _of_region(self, *words: str) -> str:
        return self._littoral(*words, "--data-dir", str(self._region.folder))

    def _of_box(self, *words: str) -> str:
        return self._littoral(*words, "--data-dir", str(self._disk))

    def _littoral(self, *words: str) -> str:
        command = [sys.executable, "-m", "littoral", "box", *words]
        done = subprocess.run(command, env=os.environ | self._env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"littoral box {words[0]} ended with {done.returncode}: {done.stderr}")
        return done.stdout
