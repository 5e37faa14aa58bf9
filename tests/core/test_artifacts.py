"""Artifacts of recipes: an object of the region's S3, on the core by way of the device port, for programs to use."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from botocore.exceptions import ClientError

from littoral.core.source import BLOCKS
from littoral.core.unpacking import BadArchive, unpack
from littoral.net.message import Request, json_response
from littoral.protocols.blocks import LARGEST
from littoral.tour.link import Link as Cable
from tests.core.world import CorePlace, RegionPlace, until

NAME = "com.example.Model"
RUN = "cp {artifacts:path}/run.sh {artifacts:decompressedPath}/model/deep/weights out/ && exec sleep 1000"


def digest(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def zipped(**files: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/"), data)
    return made.getvalue()


async def bucket(region: RegionPlace, **objects: bytes) -> None:
    await region.call("s3", "create_bucket", Bucket="parts")
    await put(region, **objects)


async def put(region: RegionPlace, **objects: bytes) -> None:
    for key, data in objects.items():
        await region.call("s3", "put_object", Bucket="parts", Key=key.replace("__", "."), Body=data)


async def component(region: RegionPlace, version: str, artifacts: list[dict[str, Any]], run: str = RUN) -> str:
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": NAME,
        "ComponentVersion": version,
        "Manifests": [{"Lifecycle": {"install": "mkdir -p out", "run": run}, "Artifacts": artifacts}],
    }
    made = await region.call("greengrassv2", "create_component_version", inlineRecipe=yaml.safe_dump(recipe).encode())
    return str(made["arn"])


async def deploy(region: RegionPlace, version: str) -> str:
    return await region.outcome(await region.deploy(com__example__Model={"componentVersion": version}))


def both() -> list[dict[str, Any]]:
    script = {"URI": "s3://parts/run.sh", "Permission": {"Read": "ALL", "Execute": "OWNER"}}
    return [script, {"Uri": "s3://parts/model.zip", "Unarchive": "ZIP"}]


def packages(core: CorePlace, kind: str) -> list[str]:
    return sorted(each.name.split("-")[0] for each in (core.folder / "components/packages" / kind).glob("*/*"))


async def test_artifacts_come_to_the_core_and_go_when_nothing_needs_them(region: RegionPlace, place: CorePlace) -> None:
    archive = zipped(deep__weights=b"1 2 3", readme=b"")
    await bucket(region, run__sh=b"#!/bin/sh\n", model__zip=archive)
    arn = await component(region, "1.0.0", both())
    shown = await region.call("greengrassv2", "get_component", arn=arn)
    noted = json.loads(shown["recipe"])["Manifests"][0]["Artifacts"]
    assert [(each["Algorithm"], each["Digest"]) for each in noted] == [
        ("SHA-256", digest(b"#!/bin/sh\n")),
        ("SHA-256", digest(archive)),
    ]
    found = await region.call("greengrassv2", "get_component_version_artifact", arn=arn, artifactName="parts/model.zip")
    assert await asyncio.to_thread(lambda: urlopen(found["preSignedUrl"]).read()) == archive

    assert await deploy(region, "1.0.0") == "SUCCEEDED"
    out = place.folder / "components/work" / NAME / "out"
    await until(lambda: (out / "weights").exists() and (out / "weights").read_text() == "1 2 3")
    (laid,) = (place.folder / "components/packages/artifacts" / NAME).iterdir()
    assert {each.name: stat.S_IMODE(each.stat().st_mode) for each in laid.iterdir()} == {
        "run.sh": 0o544,
        "model.zip": 0o400,
    }

    await put(region, run__sh=b"#!/bin/sh\n# other\n")
    await component(region, "2.0.0", [both()[0]], run="exec sleep 1000")
    assert await deploy(region, "2.0.0") == "SUCCEEDED"
    await until(lambda: packages(place, "artifacts") == packages(place, "artifacts-unarchived") == ["2.0.0"])
    kept = place.folder / "components/packages/kept"
    await until(lambda: [each.read_bytes() for each in kept.iterdir()] == [b"#!/bin/sh\n# other\n"])


async def test_an_object_that_changed_since_fails_the_deployment(region: RegionPlace, place: CorePlace) -> None:
    await bucket(region, run__sh=b"one")
    await component(region, "1.0.0", [both()[0]], run="exec sleep 1000")
    await put(region, run__sh=b"two")
    outcome = await deploy(region, "1.0.0")
    assert outcome.startswith("FAILED") and "SHA-256 differs" in outcome
    assert packages(place, "artifacts") == []


async def test_an_archive_that_leads_elsewhere_fails_the_deployment(region: RegionPlace, place: CorePlace) -> None:
    await bucket(region, model__zip=zipped(**{"..__..__escaped": b"x"}))
    await component(region, "1.0.0", [both()[1]], run="exec sleep 1000")
    outcome = await deploy(region, "1.0.0")
    assert outcome.startswith("FAILED") and "leads out of" in outcome
    assert not list(place.folder.rglob("escaped"))


async def test_a_download_goes_on_where_it_broke_off(region: RegionPlace, place: CorePlace) -> None:
    data = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(40_000))
    await bucket(region, run__sh=data)
    await component(region, "1.0.0", [both()[0]], run="exec sleep 1000")
    partial = place.folder / "components/packages/partial" / hashlib.sha256(data).hexdigest()
    partial.parent.mkdir(parents=True)
    partial.write_bytes(data[:500_000])
    ranges: list[str | None] = []
    handle = region.gateway.handle_device

    def noted(request: Request) -> Any:
        if request.raw_path.startswith("/parts/"):
            ranges.append(request.headers.get("range"))
        return handle(request)

    region.gateway.handle_device = noted  # type: ignore[method-assign]
    assert await deploy(region, "1.0.0") == "SUCCEEDED"
    assert ranges == ["bytes=500000-"]
    assert not partial.exists()


async def test_of_a_new_version_only_the_blocks_that_changed_come_and_go_on_where_they_broke_off(
    region: RegionPlace, place: CorePlace, cable: Cable
) -> None:
    data = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(40_000))
    changed = b"head" + data[:300_000] + bytes(1000) + data[301_000:900_000] + data[:100] + data[900_000:]
    await bucket(region, run__sh=data)
    await component(region, "1.0.0", [both()[0]], run="exec sleep 1000")
    assert await deploy(region, "1.0.0") == "SUCCEEDED"
    await put(region, run__sh=changed)
    await component(region, "2.0.0", [both()[0]], run="exec sleep 1000")
    came: list[int] = []
    handle = region.gateway.handle_device

    def noted(request: Request) -> Any:
        if request.raw_path.startswith("/parts/"):
            first, _, last = (request.headers.get("range") or "").removeprefix("bytes=").partition("-")
            came.append(int(last or len(changed)) + 1 - int(first or 0))
            if len(came) == 2:  # in the middle of it
                cable.cut()
                asyncio.get_running_loop().call_later(0.3, cable.restore)
        return handle(request)

    region.gateway.handle_device = noted  # type: ignore[method-assign]
    assert await deploy(region, "2.0.0") == "SUCCEEDED"
    (laid,) = (place.folder / "components/packages/artifacts" / NAME).iterdir()
    assert (laid / "run.sh").read_bytes() == changed
    assert len(came) > 3 and sum(came) - came[1] < 4 * LARGEST  # three changes


async def test_blocks_that_are_damaged_here_or_unknown_above_come_whole(region: RegionPlace, place: CorePlace) -> None:
    data = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(10_000))
    await bucket(region, run__sh=data)
    await component(region, "1.0.0", [both()[0]], run="exec sleep 1000")
    assert await deploy(region, "1.0.0") == "SUCCEEDED"
    for version, other in (("2.0.0", data + b"2"), ("3.0.0", data + b"3")):
        await put(region, run__sh=other)
        await component(region, version, [both()[0]], run="exec sleep 1000")
        (laid,) = (place.folder / "components/packages/artifacts" / NAME).iterdir()
        partial = place.folder / "components/packages/partial" / hashlib.sha256(other).hexdigest()
        if version == "2.0.0":
            partial.parent.mkdir(exist_ok=True)
            partial.write_bytes(b"wrong" + data[5:70_000])
        else:
            region.gateway.device_route(BLOCKS, lambda _: json_response(404, {"message": "no such thing"}))
        assert await deploy(region, version) == "SUCCEEDED"
        (laid,) = (place.folder / "components/packages/artifacts" / NAME).iterdir()
        assert (laid / "run.sh").read_bytes() == other


@pytest.mark.parametrize(
    ("artifact", "word"),
    [
        ({"URI": "greengrass:x.zip"}, "s3://"),
        ({"URI": "registry:ward/3"}, "littoral models component"),
        ({"URI": "s3://parts/none"}, "cannot be read"),
        ({"URI": "s3://elsewhere/none"}, "cannot be read"),
        ({"URI": "s3://parts/run.sh", "Unarchive": "TAR"}, "NONE or ZIP"),
        ({"URI": "s3://parts/run.sh", "Algorithm": "MD5"}, "SHA-256"),
        ({"URI": "s3://parts/run.sh", "Digest": "AAAA"}, "not that of the object"),
        ({"URI": "s3://parts/run.sh", "Permission": {"Read": "SOME"}}, "Permission"),
        ({"URI": "s3://parts/a/.."}, "no file name"),
    ],
)
async def test_artifacts_that_cannot_be_had_are_refused(
    region: RegionPlace, artifact: dict[str, Any], word: str
) -> None:
    await bucket(region, run__sh=b"x")
    with pytest.raises(ClientError, match=word) as refused:
        await component(region, "1.0.0", [artifact])
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def _entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    return made


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        ([(_entry("/etc/passwd"), b"x")], "leads out"),
        ([(_entry("a/../../b"), b"x")], "leads out"),
        ([(_entry("a\\..\\b"), b"x")], "leads out"),
        ([(_entry("link", stat.S_IFLNK | 0o777), b"/etc/passwd")], "neither a file"),
        ([(_entry("pipe", stat.S_IFIFO | 0o777), b"")], "neither a file"),
        ([(_entry("same"), b"x"), (_entry("same"), b"y")], "the same place"),
        ([(_entry("a"), b"x"), (_entry("a/b"), b"y")], "the same place"),
        ([(_entry("bomb"), bytes(2_000_000))], "more bytes"),
        (None, "not a zip"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_is_not_as_it_should_be_is_refused(
    tmp_path: Path, entries: list[tuple[zipfile.ZipInfo, bytes]] | None, word: str
) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"no zip at all")
    if entries is not None:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
            for entry, data in entries:
                made.writestr(entry, data, zipfile.ZIP_DEFLATED)
    with pytest.raises(BadArchive, match=word):
        unpack(archive, tmp_path / "out", 0o400, most_bytes=1_000_000)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.zip", "out"]
