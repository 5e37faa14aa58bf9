"""Zips: what is taken, what is refused, and that nothing is left of what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import stat
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from littoral.aws.service import ServiceError
from littoral.functions.runtimes import Runtimes
from littoral.net.message import BytesBody, Headers, Peer, Request
from tests.functions.deploy import PYTHON, ROLE, Place, call, place_in, zip_of


def _entry(name: str, text: bytes, mode: int = 0o644, kind: int = stat.S_IFREG) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = (kind | mode) << 16
        archive.writestr(info, text)
    return buffer.getvalue()


@cache
def _bomb() -> bytes:  # which takes a second: only where it is thrown
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(260 * 1024 * 1024))
    return buffer.getvalue()


def _lying_bomb() -> bytes:
    """Says in its directory that it holds little."""
    size = (260 * 1024 * 1024).to_bytes(4, "little")
    return _bomb().replace(size, (100).to_bytes(4, "little"))


def _damaged() -> bytes:
    archive = bytearray(zip_of(app__py="x = 1  # " + "long " * 100))
    archive[60] ^= 0xFF
    return bytes(archive)


BROKEN = "Could not unzip uploaded file"
BAD: list[tuple[str, bytes | Callable[[], bytes], str]] = [
    ("empty", b"", "non-empty zip"),
    ("no zip", b"hello", BROKEN),
    ("cut", zip_of(app__py="x = 1")[:-8], BROKEN),
    ("damaged", _damaged(), BROKEN),
    ("no files", zip_of(), "non-empty zip"),
    ("only folders", zip_of(**{"a/": ""}), "non-empty zip"),
    ("above", zip_of(**{"../evil": "x"}), "leaves the folder"),
    ("absolute", zip_of(**{"/tmp/evil": "x"}), "leaves the folder"),
    ("backslash", zip_of(**{"..\\evil": "x"}), "leaves the folder"),
    ("link", _entry("link", b"/etc/passwd", 0o777, stat.S_IFLNK), "leaves the folder"),
    ("link above", _entry("a/link", b"../../../x", 0o777, stat.S_IFLNK), "leaves the folder"),
    ("file and folder", zip_of(**{"a": "x", "a/b": "y"}), BROKEN),
    ("bomb", _bomb, "Unzipped size must be smaller than 262144000 bytes"),
    ("lying bomb", _lying_bomb, BROKEN),
]


@pytest.mark.parametrize(("archive", "message"), [pytest.param(*each[1:], id=each[0]) for each in BAD])
async def test_a_bad_zip_is_refused_and_leaves_nothing(
    place: Place, tmp_path: Path, archive: bytes | Callable[[], bytes], message: str
) -> None:
    with pytest.raises(ServiceError) as caught:
        await place.create("f", archive() if callable(archive) else archive, PYTHON, "app.handler")
    assert caught.value.code == "InvalidParameterValueException"
    assert message in caught.value.message
    assert (await place.api.list_functions(call()))["Functions"] == []
    folder = tmp_path / "functions" / "code"
    assert not folder.exists() or list(folder.iterdir()) == []
    assert await place.store.blobs("functions-code").scan() == []


async def test_more_than_fifty_megabytes_are_too_large(place: Place) -> None:
    with pytest.raises(ServiceError) as caught:
        await place.create("f", bytes(50 * 1024 * 1024 + 1), PYTHON, "app.handler")
    assert caught.value.code == "RequestEntityTooLargeException"


async def test_links_inside_and_modes_are_kept(place: Place) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link, tool = zipfile.ZipInfo("app.py"), zipfile.ZipInfo("bin/tool")
        link.external_attr, tool.external_attr = (stat.S_IFLNK | 0o777) << 16, (stat.S_IFREG | 0o755) << 16
        archive.writestr(link, "src/real.py")
        archive.writestr(tool, "#!/bin/sh\necho ran\n")
        archive.writestr(
            "src/real.py",
            "import os, subprocess\ndef handler(e, c):\n"
            "    return subprocess.check_output([os.environ['LAMBDA_TASK_ROOT'] + '/bin/tool']).decode()\n",
        )
    await place.create("f", buffer.getvalue(), PYTHON, "app.handler")
    assert (await place.invoke()).result == "ran\n"


async def test_code_comes_back_from_the_address_that_get_function_gives(place: Place) -> None:
    archive = zip_of(app__py="def handler(e, c): return 1")
    created = await place.create("f", archive, PYTHON, "app.handler")
    assert created["CodeSha256"] == base64.b64encode(hashlib.sha256(archive).digest()).decode()
    assert created["CodeSize"] == len(archive)
    shown = await place.api.get_function(call("127.0.0.1:4566"), function_name="f")
    location = urlsplit(shown["Code"]["Location"])
    assert location.netloc == "127.0.0.1:4566" and shown["Code"]["RepositoryType"] == "S3"

    async def get(target: str) -> tuple[int, object]:
        prefix, handler = next(iter(place.functions.routes().items()))
        assert target.startswith(prefix)
        response = await handler(Request("GET", target, Headers(), BytesBody(), Peer("127.0.0.1", 1)))  # type: ignore[misc]
        return response.status, response.body  # type: ignore[union-attr]

    target = f"{location.path}?{location.query}"
    assert await get(target) == (200, archive)
    assert (await get(target[:-1] + ("0" if target[-1] != "0" else "1")))[0] == 403
    assert (await get(target.replace("Expires=", "Expires=9")))[0] == 403
    assert (await get(location.path))[0] == 403


async def test_an_old_code_address_is_refused(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    async with place_in(tmp_path, clock=lambda: now[0]) as place:
        await place.python("def handler(e, c): return 1")
        moment = call()
        moment.now = now[0]
        location = urlsplit((await place.api.get_function(moment, function_name="f"))["Code"]["Location"])
        handler = next(iter(place.functions.routes().values()))
        request = Request("GET", f"{location.path}?{location.query}", Headers(), BytesBody(), Peer("127.0.0.1", 1))
        assert (await handler(request)).status == 200  # type: ignore[misc,union-attr]
        now[0] += 601
        assert (await handler(request)).status == 403  # type: ignore[misc,union-attr]


async def test_code_that_nothing_refers_to_goes_at_the_next_start(tmp_path: Path) -> None:
    async with place_in(tmp_path) as place:
        await place.python("def handler(e, c): return 1", "one")
        await place.python("def handler(e, c): return 2", "two")
        await place.api.delete_function(call(), function_name="one")
    async with place_in(tmp_path) as place:
        assert len(await place.store.blobs("functions-code").scan()) == 1
        assert len(list((tmp_path / "functions" / "code").iterdir())) == 1
        assert (await place.invoke(name="two")).result == 2


async def test_a_folder_that_went_away_is_unpacked_again(tmp_path: Path) -> None:
    import shutil

    async with place_in(tmp_path) as place:
        await place.python("def handler(e, c): return 1")
    shutil.rmtree(tmp_path / "functions" / "code")
    async with place_in(tmp_path) as place:
        assert (await place.invoke()).result == 1


class Bucket:
    """Stands where the site hands in S3."""

    async def fetch(self, bucket: str, key: str, version: str | None) -> bytes:
        if (bucket, key, version) != ("code", "f.zip", None):
            raise ServiceError("NoSuchKey", "The specified key does not exist.")
        return zip_of(app__py="def handler(e, c): return 'from s3'")


async def test_code_by_bucket_and_key(place: Place) -> None:
    given = {"function_name": "f", "role": ROLE, "runtime": PYTHON, "handler": "app.handler"}
    with pytest.raises(ServiceError, match="no S3"):
        await place.api.create_function(call(), code={"S3Bucket": "code", "S3Key": "f.zip"}, **given)
    place.functions.api._parts.code_source = Bucket()
    with pytest.raises(ServiceError, match="S3 Error Code: NoSuchKey"):
        await place.api.create_function(call(), code={"S3Bucket": "code", "S3Key": "g.zip"}, **given)
    with pytest.raises(ServiceError, match="provide a source"):
        await place.api.create_function(call(), code={}, **given)
    await place.api.create_function(call(), code={"S3Bucket": "code", "S3Key": "f.zip"}, **given)
    assert (await place.invoke()).result == "from s3"


async def test_all_code_together_is_bounded(tmp_path: Path) -> None:
    archive = zip_of(app__py="def handler(e, c): return 1")
    async with place_in(tmp_path, code_storage=3 * len(archive) - 1) as place:
        await place.create("f", archive, PYTHON, "app.handler")
        await place.api.publish_layer_version(call(), layer_name="l", content={"ZipFile": archive})
        for refused in (
            place.create("g", archive, PYTHON, "app.handler"),
            place.api.publish_version(call(), function_name="f"),
            place.api.publish_layer_version(call(), layer_name="l", content={"ZipFile": archive}),
        ):
            with pytest.raises(ServiceError) as caught:
                await refused
            said = (caught.value.code, caught.value.status, caught.value.message)
            assert said == ("CodeStorageExceededException", 400, "Code storage limit exceeded.")
        settings = await place.api.get_account_settings(call())
        assert settings["AccountUsage"]["TotalCodeSize"] == 2 * len(archive)
        assert settings["AccountLimit"]["TotalCodeSize"] == 3 * len(archive) - 1


async def test_a_runtime_that_went_away_is_told_at_the_call(tmp_path: Path) -> None:
    async with place_in(tmp_path) as place:
        await place.node("exports.handler = async () => 1")
    nothing: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runtimes, "nodes", lambda _: nothing)
        async with place_in(tmp_path) as place:
            with pytest.raises(ServiceError) as caught:
                await place.invoke()
            assert (caught.value.code, caught.value.status) == ("InvalidRuntimeException", 502)
            assert "nodejs20.x is not served here" in caught.value.message
