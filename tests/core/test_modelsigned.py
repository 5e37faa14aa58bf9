"""A model that the registry has signed: the core looks at the signature at each load, with no link needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from littoral.core.modelserver.ports import ModelFile, NotServed
from littoral.models.registry.signing import Signer, signature_file, statement
from littoral.models.serving.process import Limits
from littoral.site.coremodels import CoreModels
from littoral.tour.link import Link as Cable
from tests.core.modelworld import ROWS, at, bring, deployed
from tests.core.world import CorePlace, RegionPlace
from tests.models.nets import linear

BODY = json.dumps(ROWS).encode()


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.load_or_create(tmp_path / "key")


def signed(signer: Signer, data: bytes, name: str = "ward", number: int = 1) -> bytes:
    sha256 = hashlib.sha256(data).hexdigest()
    signature = signer.sign(statement(name, number, sha256, len(data)))
    return signature_file(name, number, sha256, len(data), signature)


async def test_what_is_not_signed_fails_the_deployment_and_what_is_serves_with_the_link_down(
    region: RegionPlace, place: CorePlace, cable: Cable, signer: Signer, tmp_path: Path
) -> None:
    await region.call("s3", "create_bucket", Bucket="models")
    await place.stop()
    place.models_key = signer.public
    await place.start()
    good, other = linear(2.0), linear(3.0)
    await bring(region, "1.0.0", good, ward__onnx__signature=signed(signer, good))
    assert await deployed(region, "1.0.0", registry="ward") == "SUCCEEDED"
    again = Signer.load_or_create(tmp_path / "another key")
    await bring(region, "2.0.0", other)
    assert "has no artifact ward.onnx.signature" in await deployed(region, "2.0.0", registry="ward")
    await bring(region, "2.0.1", other, ward__onnx__signature=signed(again, other))
    assert "not signed by the key" in await deployed(region, "2.0.1", registry="ward")
    cable.cut()
    await place.stop()
    await place.start()
    async with at(place) as device:
        await device.answered(BODY)
        assert (await device.asks(BODY))["model_version"] == "1.0.0"


@pytest.fixture
async def models(signer: Signer) -> AsyncIterator[CoreModels]:
    made = CoreModels(Limits(1 << 30, 1), sandbox=False, key=signer.public)
    yield made
    await made.close()


def file_of(folder: Path, data: bytes, signature: bytes | None, registry: str = "ward") -> ModelFile:
    (folder / "model").write_bytes(data)
    if signature is not None:
        (folder / "signature").write_bytes(signature)
    digest = hashlib.sha256(data).hexdigest()
    return ModelFile(folder / "model", digest, "m", "1", registry, folder / "signature")


async def test_a_signature_is_of_one_file_one_model_and_one_key(
    tmp_path: Path, signer: Signer, models: CoreModels
) -> None:
    data = linear(2.0)
    document: dict[str, Any] = json.loads(signed(signer, data))
    wrong = (
        signed(signer, linear(3.0)),
        signed(signer, data, "other"),
        json.dumps({**document, "version": 2}).encode(),
        json.dumps({**document, "version": "1"}).encode(),
        json.dumps({**document, "signature": 7}).encode(),
        json.dumps({**document, "signature": "AAAA"}).encode(),
        b"[]",
        b"{",
        None,
    )
    for each in wrong:
        (tmp_path / "signature").unlink(missing_ok=True)
        with pytest.raises(NotServed, match=r"sign"):
            await models.load(file_of(tmp_path, data, each))
    await models.load(file_of(tmp_path, data, signed(signer, data)))
    with pytest.raises(NotServed, match="not signed"):  # it is in memory already, as another model's version
        await models.load(file_of(tmp_path, data, signed(signer, data), "other"))


async def test_a_core_that_takes_signed_models_only_takes_no_other(tmp_path: Path, signer: Signer) -> None:
    data = linear(2.0)
    for models, word in (
        (CoreModels(Limits(1 << 30, 1), sandbox=False, key=signer.public, signed=True), "models_signed"),
        (CoreModels(Limits(1 << 30, 1), sandbox=False, signed=True), "models_key"),
    ):
        with pytest.raises(NotServed, match=word):
            await models.load(ModelFile(file_of(tmp_path, data, None).path, hashlib.sha256(data).hexdigest(), "m", "1"))
        await models.close()
