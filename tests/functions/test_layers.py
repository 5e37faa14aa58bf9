"""Layers: published, listed and deleted; what Python and Node.js functions see of them; what is refused."""

from __future__ import annotations

import asyncio
import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from littoral.functions import code as code_module
from tests.functions.deploy import NODE, PYTHON, Place, call, place_in, zip_of
from tests.support.commits import held

ARN = "arn:aws:lambda:us-east-1:000000000000:layer:"
SITE = f"python/lib/{PYTHON}/site-packages"


def tree(files: dict[str, str], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, target)
    return buffer.getvalue()


async def layer(place: Place, name: str, files: dict[str, str], **more: Any) -> str:
    output = await place.api.publish_layer_version(
        call(), layer_name=name, content={"ZipFile": tree(files, more.pop("links", None))}, **more
    )
    return str(output["LayerVersionArn"])


async def refusal(work: Any) -> tuple[str, str]:
    with pytest.raises(ServiceError) as caught:
        await work
    return caught.value.code, caught.value.message


async def test_python_sees_layers_in_order_and_later_ones_win(place: Place) -> None:
    one = await layer(place, "one", {"python/a.py": "X = 1", "python/b.py": "X = 1", "data/t.txt": "one"})
    two = await layer(place, "two", {"python/b.py": "X = 2", f"{SITE}/a.py": "X = 3", "data/u.txt": "two"})
    source = "import a, b, os\ndef handler(e, c): return [a.X, b.X, sorted(os.listdir('/opt/data'))]\n"
    made = await place.python(source, layers=[one, two])
    assert [each["Arn"] for each in made["Layers"]] == [one, two]
    a, b, data = (await place.invoke()).result
    assert (a, b) == (3, 2)  # site-packages comes before python/, and the second layer over the first
    assert data == ["t.txt", "u.txt"]
    await place.api.update_function_configuration(call(), function_name="f", layers=[two, one])
    assert (await place.invoke()).result[:2] == [3, 1]


async def test_the_functions_own_code_comes_first_and_a_layer_may_bring_boto(place: Place) -> None:
    lib = await layer(place, "lib", {"python/own.py": "X = 'layer'", "python/botocore/__init__.py": "X = 'layer'"})
    archive = zip_of(own__py="X = 'own'", app__py="import own, botocore\ndef handler(e, c): return own.X, botocore.X\n")
    await place.create("f", archive, PYTHON, "app.handler", layers=[lib])
    assert (await place.invoke()).result == ["own", "layer"]


async def test_node_finds_modules_of_layers(place: Place) -> None:
    base = await layer(place, "base", {"nodejs/node_modules/a/index.js": "module.exports = 'any'"})
    major = await layer(place, "major", {"nodejs/node20/node_modules/a/index.js": "module.exports = 'twenty'"})
    await place.node("const a = require('a'); exports.handler = async () => a;", layers=[base])
    assert (await place.invoke()).result == "any"
    await place.api.update_function_configuration(call(), function_name="f", layers=[base, major])
    assert (await place.invoke()).result == "twenty"


async def test_es_modules_find_modules_of_layers(place: Place) -> None:
    base = await layer(place, "base", {"nodejs/node_modules/a/index.js": "module.exports = 'layer'"})
    source = "import a from 'a'; export const handler = async () => a;"
    await place.create("f", zip_of(index__mjs=source), NODE, "index.handler", layers=[base])
    assert (await place.invoke()).result == "layer"


@pytest.mark.parametrize("isolated", [True, False])
async def test_node_functions_find_what_the_machine_has_for_all(tmp_path: Path, isolated: bool) -> None:
    """As the SDK on Lambda, which no zip brings."""
    modules = tmp_path / "node_modules"
    for name in ("sdk", "part"):
        (modules / name).mkdir(parents=True)
        (modules / name / "index.js").write_text("exports.name = 'machine';")
    (modules / "sdk" / "index.js").write_text("exports.name = require('part').name;")
    async with place_in(tmp_path / "place", node_modules=modules, isolated=isolated) as place:
        await place.node("const sdk = require('sdk'); exports.handler = async () => sdk.name;")
        assert (await place.invoke()).result == "machine"
        if isolated:  # ES modules do not look at NODE_PATH, but upwards from the code
            source = "import { name } from 'sdk'; export const handler = async () => name;"
            await place.create("g", zip_of(index__mjs=source), NODE, "index.handler")
            assert (await place.invoke(name="g")).result == "machine"
        own = zip_of(**{"index__js": "exports.handler = async () => require('sdk').name;"})
        await place.create("h", own, NODE, "index.handler")
        assert (await place.invoke(name="h")).result == "machine"


async def test_versions_are_numbered_listed_filtered_and_never_numbered_again(place: Place) -> None:
    first = await layer(place, "n", {"x": "1"}, compatible_runtimes=[PYTHON], description="d", license_info="MIT")
    second = await layer(place, "n", {"x": "2"})
    assert (first, second) == (f"{ARN}n:1", f"{ARN}n:2")
    api = place.api
    got = await api.get_layer_version_by_arn(call(), arn=first)
    assert (got["Version"], got["Description"], got["LicenseInfo"]) == (1, "d", "MIT")
    assert got["CompatibleRuntimes"] == [PYTHON] and got["Content"]["CodeSize"] > 0
    page = await api.list_layer_versions(call(), layer_name="n", max_items=1)
    assert [each["Version"] for each in page["LayerVersions"]] == [2]
    page = await api.list_layer_versions(call(), layer_name=ARN + "n", marker=page["NextMarker"])
    assert [each["Version"] for each in page["LayerVersions"]] == [1] and "NextMarker" not in page
    listed = await api.list_layers(call(), compatible_runtime=PYTHON)
    assert listed["Layers"][0]["LatestMatchingVersion"]["LayerVersionArn"] == first
    await api.delete_layer_version(call(), layer_name="n", version_number=2)
    await api.delete_layer_version(call(), layer_name="n", version_number=1)
    assert (await api.list_layers(call()))["Layers"] == []
    assert (await refusal(api.get_layer_version(call(), layer_name="n", version_number=2)))[0] == (
        "ResourceNotFoundException"
    )
    assert await layer(place, "n", {"x": "3"}) == f"{ARN}n:3"


async def test_a_function_keeps_a_deleted_layer_also_after_a_restart(tmp_path: Path) -> None:
    async with place_in(tmp_path) as place:
        one = await layer(place, "one", {"python/a.py": "X = 1"})
        two = await layer(place, "two", {"python/b.py": "X = 2"})
        await place.python("import a, b\ndef handler(e, c): return a.X + b.X\n", layers=[one, two])
        for name in ("one", "two"):
            await place.api.delete_layer_version(call(), layer_name=name, version_number=1)
    async with place_in(tmp_path) as place:
        assert (await place.invoke()).result == 3
        updated = await place.api.update_function_configuration(call(), function_name="f", layers=[two])
        assert [each["Arn"] for each in updated["Layers"]] == [two]
        code, message = await refusal(place.api.update_function_configuration(call(), function_name="f", layers=[one]))
        assert (code, message) == ("InvalidParameterValueException", f"Layer version {one} does not exist.")
        await place.api.delete_function(call(), function_name="f")
    async with place_in(tmp_path):
        assert list((tmp_path / "functions" / "code").iterdir()) == []


async def test_what_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await layer(place, "one", {"a": "1"})
    again = await layer(place, "one", {"a": "2"})
    more = [await layer(place, f"m{n}", {"a": "1"}) for n in range(5)]
    cases: list[tuple[list[str], str, str]] = [
        ([one, *more], "InvalidParameterValueException", "more than 5 layers"),
        ([one, again], "InvalidParameterValueException", "Two different versions of the same layer"),
        ([ARN + "none:1"], "InvalidParameterValueException", "does not exist"),
        ([one.replace("000000000000", "123456789012")], "AccessDeniedException", "lambda:GetLayerVersion"),
        ([ARN + "one"], "InvalidParameterValueException", "Invalid layer version ARN"),
    ]
    for layers, code, message in cases:
        got = await refusal(place.python("def handler(e, c): pass", layers=layers))
        assert got[0] == code and message in got[1]
    monkeypatch.setattr("littoral.functions.api.settings.MAX_UNPACKED", 40)
    got = await refusal(place.python("def handler(e, c): pass" + " " * 40, layers=[one]))
    assert got[0] == "InvalidParameterValueException" and "combined with layers" in got[1]
    assert place.functions.api._parts.catalog.names() == []
    assert code_module.MAX_UNPACKED > 40
    assert (await refusal(place.api.publish_layer_version(call(), layer_name="x", content={"ZipFile": b"no"})))[0] == (
        "InvalidParameterValueException"
    )


async def test_links_of_two_layers_cannot_lead_out_together(place: Place) -> None:
    one = await layer(place, "one", {"deep/er/f": "", "x": "1"}, links={"p": "deep/er/../../x"})
    two = await layer(place, "two", {"y/g": ""}, links={"deep/er": "../y"})
    code, message = await refusal(place.python("def handler(e, c): return 1", layers=[one, two]))
    assert code == "InvalidParameterValueException" and "would leave /opt" in message
    folder = Path(place.functions.api._parts.code._folder)
    assert not [each for each in folder.iterdir() if each.name.startswith(("opt-", ".merging"))]


async def test_the_policy_of_a_layer_version(place: Place) -> None:
    await layer(place, "one", {"a": "1"})
    api = place.api
    given: dict[str, Any] = {"layer_name": "one", "version_number": 1}
    added = await api.add_layer_version_permission(
        call(), **given, statement_id="all", action="lambda:GetLayerVersion", principal="*"
    )
    assert json.loads(added["Statement"])["Resource"] == ARN + "one:1"
    twice = api.add_layer_version_permission(
        call(), **given, statement_id="all", action="lambda:GetLayerVersion", principal="*"
    )
    assert (await refusal(twice))[0] == "ResourceConflictException"
    stale = api.remove_layer_version_permission(call(), **given, statement_id="all", revision_id="old")
    assert (await refusal(stale))[0] == "PreconditionFailedException"
    policy = await api.get_layer_version_policy(call(), **given)
    assert json.loads(policy["Policy"])["Statement"][0]["Principal"] == "*"
    await api.remove_layer_version_permission(call(), **given, statement_id="all", revision_id=policy["RevisionId"])
    for work in (
        api.get_layer_version_policy(call(), **given),
        api.remove_layer_version_permission(call(), **given, statement_id="all"),
    ):
        assert (await refusal(work))[0] == "ResourceNotFoundException"


async def test_what_came_since_the_last_sweep_survives_one(tmp_path: Path) -> None:
    """Who asked for it may not have written its name yet."""
    async with place_in(tmp_path) as place:
        code = place.functions.api._parts.code
        stored = await code.add(zip_of(app__py="X = 1"))
        await code.sweep(set())
        assert await code.archive(stored.code_key) is not None
        await code.sweep(set())
        assert await code.archive(stored.code_key) is None
        assert list((tmp_path / "functions" / "code").iterdir()) == []


async def test_what_is_asked_for_while_it_is_swept_is_there(tmp_path: Path) -> None:
    archive = zip_of(app__py="X = 1")
    async with place_in(tmp_path) as place:
        code = place.functions.api._parts.code
        stored = await code.add(archive)
        await code.sweep(set())
        with held(place.store._database) as commit:
            sweeping = asyncio.create_task(code.sweep(set()))
            while not commit.due:
                await asyncio.sleep(0)
            adding = asyncio.create_task(code.add(archive))
            while stored.code_key not in code._added:  # then it has looked, or waits
                await asyncio.sleep(0)
            commit.happen()
            await asyncio.gather(sweeping, adding)
        assert await code.archive(stored.code_key) == archive
