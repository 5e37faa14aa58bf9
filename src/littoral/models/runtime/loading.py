"""``load``: where a model comes from, and how it is called."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from littoral.models.registry.container import MOST_BYTES, model_in
from littoral.models.registry.onnxfile import Tensor
from littoral.models.registry.refusal import BadModel, BadName, Untrue
from littoral.models.registry.signing import check, statement
from littoral.models.registry.version import NAME
from littoral.models.remote import PREFIX, Remote
from littoral.models.runtime.refusal import BadInput
from littoral.models.runtime.session import Array, Session

CACHE: Final = "LITTORAL_MODELS_CACHE"
KEY: Final = "LITTORAL_MODELS_KEY"


class Model:
    """Call it with an array (or nested lists) for its one input, or with arrays by name. Another dtype, another shape,
    a NaN or too many rows raise BadInput; nothing is converted in silence."""

    def __init__(self, session: Session, version: str = "") -> None:
        self._session = session
        self.version = version  # "ward/3" of a registry's, else ""
        self._only = session.inputs[0].name if len(session.inputs) == 1 else ""
        self._answer = session.outputs[0].name if len(session.outputs) == 1 else ""
        self._names = [each.name for each in session.outputs]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return self._session.inputs

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return self._session.outputs

    @property
    def providers(self) -> list[str]:
        """What it runs on, as ONNX Runtime calls it."""
        return self._session.providers

    def __call__(self, value: Any = None, /, **named: Any) -> Any:
        """The array that it answers; a dict of arrays by name where it has several outputs. Raises BadInput,
        ModelFailed."""
        if value is None:
            answer = self._session.run(named)
            return answer[self._answer] if self._answer else answer
        if named or not self._only:
            raise BadInput(f"the inputs are given by name: {', '.join(each.name for each in self.inputs)}")
        found = self._session.of_one(value)
        return found[0] if self._answer else dict(zip(self._names, found, strict=True))

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Array]:
        """Every output by its name. Raises BadInput, ModelFailed."""
        return self._session.run(feeds)


def opened(source: str | Path, *, threads: int, gpu: bool | None, key: str | None, most_rows: int) -> Model:
    """See ``littoral.models.load``."""
    data, version = _found(source, os.environ.get(KEY, "") if key is None else key)
    return Model(Session(data, threads=threads, gpu=gpu, most_rows=most_rows), version)


def _found(source: str | Path, key: str) -> tuple[bytes, str]:
    text = str(source)
    if text.startswith("s3://"):
        _unsigned(text, key)
        bucket, _, name = text.removeprefix("s3://").partition("/")
        return model_in(Remote.of_environment().get(bucket, name)), ""
    name, _, number = text.partition("/")
    if (
        isinstance(source, str)
        and NAME.fullmatch(name)
        and (not number or number.isdigit())
        and not Path(text).exists()
    ):
        return _registered(name, int(number) if number else None, key)
    _unsigned(text, key)
    with Path(source).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return model_in(file.read(min(size, MOST_BYTES) + 1)), ""  # read takes all the memory that it is asked for


def _unsigned(source: str, key: str) -> None:
    if key:
        raise Untrue(f"{source} is not signed: only versions of a registry are, and a key is asked for")


def _registered(name: str, number: int | None, key: str) -> tuple[bytes, str]:
    remote = Remote.of_environment()
    described = remote.described(name, number)
    about = described["CustomerMetadataProperties"]
    sha256, version = str(about[PREFIX + "sha256"]), int(described["ModelPackageVersion"])
    if not (len(sha256) == 64 and sha256.isalnum()):
        raise BadName(f"{sha256[:80]!r} is no digest")
    if key:
        said = statement(name, version, sha256, int(about[PREFIX + "size"]))
        check(said, str(about[PREFIX + "signature"]), key)
    return _cached(remote, sha256), f"{name}/{version}"


def _cached(remote: Remote, sha256: str) -> bytes:
    """Of the cache, where it is what it should be; else fetched, and kept for the next. Raises Untrue, Unreachable."""
    folder = Path(os.environ.get(CACHE) or Path(tempfile.gettempdir()) / "littoral-models")
    file = folder / f"{sha256}.onnx"
    try:
        data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    except OSError:
        pass
    data = remote.data(sha256)
    if len(data) > MOST_BYTES:
        raise BadModel(f"a model is at most {MOST_BYTES} bytes")
    _keep(file, data)
    return data


def _keep(file: Path, data: bytes) -> None:
    """Whole or not at all; a disk without room keeps nothing, which the next load makes up for."""
    new = ""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, new = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(descriptor, "wb") as into:
            into.write(data)
        Path(new).replace(file)
    except OSError:
        if new:
            Path(new).unlink(missing_ok=True)
