"""What programs of a core get and are allowed: bootstrap, limits, privilege, dependencies that fail, configurations."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from littoral.core.local.orders import LocalDeployment
from littoral.core.resolving import NUCLEUS
from littoral.functions.isolation import cgroup, landlock
from littoral.site.confining import ControlGroups
from littoral.site.fencing import fence_of
from littoral.site.settings import Settings
from littoral.tour.link import Link as Cable
from tests.core.programs import IDLE, create
from tests.core.test_groups import running
from tests.core.test_local_deployments import add, bring, made, work
from tests.core.world import CORE, CorePlace, RegionPlace, until

ONCE = "echo {configuration:/word} >> bootstrapped"


def state(place: CorePlace, name: str) -> str:
    return next(each["state"] for each in place.core.deployments.listed() if each["name"] == name)


async def test_bootstrap_runs_once_for_each_version_and_script(place: CorePlace, tmp_path: Path) -> None:
    def steps(version: str) -> Path:
        more = {"bootstrap": ONCE, "run": IDLE, "defaults": {"word": "x"}}
        return bring(tmp_path / version, "a", version, **more)

    def bootstrapped() -> list[str]:
        return work(place, "a", "bootstrapped").read_text().split()

    assert (await made(place, steps("1.0.0"), **add(a="1.0.0"))).status == "SUCCEEDED"
    assert (await made(place, steps("1.0.0"), **add(a="1.0.0"))).status == "SUCCEEDED"
    await place.stop()
    await place.start()
    await until(lambda: running(place) == {"a": "1.0.0"})
    assert bootstrapped() == ["x"]
    assert (await made(place, steps("1.1.0"), **add(a="1.1.0"))).status == "SUCCEEDED"
    assert bootstrapped() == ["x", "x"]
    changed = {"componentToConfiguration": {"a": {"MERGE": {"word": "y"}}}}
    assert (await made(place, **changed)).status == "SUCCEEDED"
    assert bootstrapped() == ["x", "x", "y"]


@pytest.mark.parametrize(("code", "word"), [("3", "ended with 3"), ("101", "reboot")])
async def test_a_bootstrap_that_does_not_end_well_fails_the_deployment(
    place: CorePlace, tmp_path: Path, code: str, word: str
) -> None:
    assert (await made(place, bring(tmp_path / "1", "a", run=IDLE), **add(a="1.0.0"))).status == "SUCCEEDED"
    bad = bring(tmp_path / "2", "a", "2.0.0", bootstrap=f"exit {code}", run=IDLE)
    done = await made(place, bad, **add(a="2.0.0"))
    assert (done.status, done.detail) == ("FAILED", "FAILED_ROLLBACK_COMPLETE") and word in done.reason
    assert done.stack == ("DEPLOYMENT_FAILURE", "COMPONENT_UPDATE_ERROR", "COMPONENT_BOOTSTRAP_ERROR")
    await until(lambda: running(place) == {"a": "1.0.0"} and state(place, "a") == "RUNNING")


async def test_100_restarts_the_core_and_the_deployment_goes_on(
    place: CorePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    orders = place.core.deployments.local
    monkeypatch.setattr(place.core.deployments, "_restart", lambda: asked.append(True))
    folder = bring(tmp_path, "a", bootstrap="echo x >> bootstrapped; exit 100", run=f"echo x > ran; {IDLE}")
    identifier = await orders.create({"recipeDirectoryPath": str(folder / "recipes"), **add(a="1.0.0")})
    await until(lambda: asked, 60)
    assert orders.get(identifier).status == "IN_PROGRESS" and not work(place, "a", "ran").exists()
    await place.stop()
    await place.start()
    await until(lambda: place.core.deployments.local.get(identifier).status == "SUCCEEDED")
    assert work(place, "a", "bootstrapped").read_text() == "x\n" and work(place, "a", "ran").exists()


async def test_a_log_stays_within_its_size_while_its_program_runs(
    place: CorePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("littoral.core.nucleus.process.LARGEST_LOG", 10_000)
    script = f"i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; {IDLE}"
    assert (await made(place, bring(tmp_path, "a", run=script), **add(a="1.0.0"))).status == "SUCCEEDED"
    newer, older = (place.folder / f"components/logs/a.log{more}" for more in ("", ".1"))
    await until(lambda: newer.exists() and newer.read_text().endswith("line 19999\n"))
    lines = (older.read_text() + newer.read_text()).splitlines()
    assert lines == [f"line {number}" for number in range(20_000 - len(lines), 20_000)]  # none lost, none doubled
    assert len(lines) < 20_000 and older.stat().st_size <= 10_000 + 65_536
    await place.core.deployments._nucleus.stop("a")
    assert state(place, "a") == "FINISHED"


async def test_a_core_with_a_broken_component_is_unhealthy_until_it_is_mended(
    region: RegionPlace, place: CorePlace, tmp_path: Path
) -> None:
    async def health() -> str:
        found = await region.call("greengrassv2", "get_core_device", coreDeviceThingName=CORE)
        return str(found["status"])

    async def is_(wanted: str) -> bool:
        return await health() == wanted

    await create(region, "a", run=f"test ! -e broken || exit 1; {IDLE}")
    await create(region, "a", "2.0.0", run="exit 1")
    assert await region.outcome(await region.deploy(a={"componentVersion": "1.0.0"})) == "SUCCEEDED"
    failed = await region.outcome(await region.deploy(a={"componentVersion": "2.0.0"}))
    assert failed.startswith("FAILED")
    await until(lambda: is_("HEALTHY"), 60)  # what was before runs again
    work(place, "a", "broken").touch()
    await place.core.deployments._nucleus.restart("a")
    await until(lambda: is_("UNHEALTHY"), 60)
    work(place, "a", "broken").unlink()
    await place.core.deployments._nucleus.restart("a")
    await until(lambda: is_("HEALTHY"), 60)


HOG = "import time; held = bytearray({}); open('held', 'a').write('x'); time.sleep(1000)"


async def test_memory_and_processors_are_limited(place: CorePlace, tmp_path: Path) -> None:
    def hog(version: str, size: int) -> Path:
        return bring(tmp_path / version, "a", version, startup=f'exec {sys.executable} -c "bytearray({size})"')

    limits = {"componentToRunWithInfo": {"a": {"systemResourceLimits": {"memory": 100 * 1024, "cpus": 1}}}}
    done = await made(place, hog("1.0.0", 1000), **limits, **add(a="1.0.0"))
    assert done.status == "SUCCEEDED", done.reason
    log = (place.folder / "components/logs/a.log").read_text()
    assert "littoral: memory is limited for each process" in log
    process = place.core.deployments._nucleus._components["a"]
    assert process.limits.memory == 100 * 1024 * 1024
    if len(os.sched_getaffinity(0)) > 1:
        assert process.limits.cpus == 1
    too_much = await made(place, hog("1.1.0", 200 * 1024 * 1024), **add(a="1.1.0"))
    assert too_much.detail == "FAILED_ROLLBACK_COMPLETE"  # the limits stay until they are said anew
    assert "MemoryError" in (place.folder / "components/logs/a.log").read_text()
    wide = {"componentToRunWithInfo": {"a": {"systemResourceLimits": {"memory": 400 * 1024}}}}
    assert (await made(place, hog("1.1.0", 200 * 1024 * 1024), **wide, **add(a="1.1.0"))).status == "SUCCEEDED"


@pytest.mark.skipif(cgroup.home() is None, reason="no control groups may be made here")
async def test_control_groups_limit_all_processes_together(place: CorePlace, tmp_path: Path) -> None:
    hog = f'{sys.executable} -c "{HOG.format(70 * 1024 * 1024)}"'
    alive = "sleep 0.1; kill -0 $a && kill -0 $b || exit 1"  # asked at the end, too: one may be killed for the other
    both = f": > held; {hog} & a=$!; {hog} & b=$!; until test $(wc -c < held) = 2; do {alive}; done; {alive}"
    one, two = bring(tmp_path / "1", "a", run=f"exec {hog}"), bring(tmp_path / "2", "a", "2.0.0", startup=both)
    await place.stop()
    place.confine = ControlGroups().confine
    await place.start()
    limits = {"componentToRunWithInfo": {"a": {"systemResourceLimits": {"memory": 110 * 1024}}}}
    assert (await made(place, one, **limits, **add(a="1.0.0"))).status == "SUCCEEDED"
    too_many = await made(place, two, **add(a="2.0.0"))
    assert too_many.detail == "FAILED_ROLLBACK_COMPLETE"
    assert "for each process" not in (place.folder / "components/logs/a.log").read_text()


@pytest.mark.parametrize(
    ("run_with", "word"),
    [
        ({"posixUser": "nobody"}, "this core's own user"),
        ({"posixUser": f"{os.geteuid()}:nogroup-at-all"}, "this core's own user"),
        ({"systemResourceLimits": {"memory": 0}}, "memory must be a number above 0"),
        ({"systemResourceLimits": {"disk": 1}}, "memory and cpus"),
        ({"colour": "red"}, "no colour"),
    ],
)
async def test_what_a_core_cannot_allow_is_refused(
    place: CorePlace, tmp_path: Path, run_with: dict[str, Any], word: str
) -> None:
    folder = bring(tmp_path, "a")
    done = await made(place, folder, componentToRunWithInfo={"a": run_with}, **add(a="1.0.0"))
    assert (done.status, done.detail) == ("FAILED", "FAILED_NO_STATE_CHANGE") and word in done.reason, done.reason
    assert done.stack == ("DEPLOYMENT_FAILURE", "RUN_WITH_CONFIG_NOT_VALID")
    own = {"componentToRunWithInfo": {"a": {"posixUser": str(os.geteuid())}}}
    assert (await made(place, folder, **own, **add(a="1.0.0"))).status == "SUCCEEDED"


async def test_programs_run_as_the_nucleus_says_where_their_deployment_does_not(
    place: CorePlace, tmp_path: Path
) -> None:
    folder = bring(tmp_path, "a")

    async def told(default: dict[str, Any], **more: Any) -> LocalDeployment:
        configuration = {NUCLEUS: {"RESET": [""], "MERGE": {"runWithDefault": default}}}
        return await made(place, folder, componentToConfiguration=configuration, **more)

    roots = add(a="1.0.0", aws__greengrass__Nucleus="2.12.0")
    for wrong, word in (
        ({"posixUser": "ggc_user:ggc_group"}, "this core's own user"),
        ({"posixShell": "bash"}, "posixShell is sh"),
        ({"systemResourceLimits": {"memory": -1}}, "memory must be a number above 0"),
    ):
        done = await told(wrong, **roots)
        assert (done.status, done.detail) == ("FAILED", "FAILED_NO_STATE_CHANGE") and word in done.reason, done.reason
    own = {"posixUser": str(os.geteuid()), "posixShell": "sh", "windowsUser": "ggc"}
    done = await told({**own, "systemResourceLimits": {"memory": 300 * 1024}}, **roots)
    assert done.status == "SUCCEEDED", done.reason
    components = place.core.deployments._nucleus._components
    assert components["a"].limits.memory == 300 * 1024 * 1024
    one = {"componentToRunWithInfo": {"a": {"systemResourceLimits": {"memory": 200 * 1024}}}}
    assert (await made(place, folder, **one)).status == "SUCCEEDED"
    assert components["a"].limits.memory == 200 * 1024 * 1024


async def test_privilege_is_for_a_core_that_runs_as_root(
    place: CorePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = {"Script": f"id -u > ran; {IDLE}", "RequiresPrivilege": True}
    monkeypatch.setattr("littoral.core.nucleus.limits.os.geteuid", lambda: 1000)
    done = await made(place, bring(tmp_path, "a", run=run), **add(a="1.0.0"))
    assert done.detail == "FAILED_NO_STATE_CHANGE" and "requires privilege" in done.reason
    monkeypatch.setattr("littoral.core.nucleus.limits.os.geteuid", lambda: 0)
    done = await made(place, bring(tmp_path, "a", run=run), **add(a="1.0.0"))
    assert done.status == "SUCCEEDED"


async def test_variables_reach_lists_own_dependencies_and_nothing_else(place: CorePlace, tmp_path: Path) -> None:
    words = {"list": ["zero", {"in": "one"}], "none": None, "a/b": "slash", "of": {"x": [1]}}
    texts = "{configuration:/list/1/in} {configuration:/none} {configuration:/a~1b} {configuration:/of}"
    others = "{part:configuration:/rate} {part:work:path} {stranger:configuration:/rate} {iot:thingName} {work:path}"
    folder = bring(
        tmp_path, "a", defaults=words, needs={"part": "*"}, run=f"cat > ran <<'END'\n{texts} {others}\nEND\n{IDLE}"
    )
    bring(folder, "part", defaults={"rate": 7})
    bring(folder, "stranger", defaults={"rate": 8})
    assert (await made(place, folder, **add(a="1.0.0", stranger="1.0.0"))).status == "SUCCEEDED"
    base = place.folder / "components/work"
    assert work(place, "a", "ran").read_text().strip() == (
        f'one null slash {{"x": [1]}} 7 {base}/part {{stranger:configuration:/rate}} ward7-core {base}/a'
    )


async def test_what_needs_a_component_waits_for_it_and_restarts(place: CorePlace, tmp_path: Path) -> None:
    folder = bring(tmp_path, "top", needs={"middle": "*"}, run=f"echo x >> ran; {IDLE}")
    bring(folder, "middle", needs={"base": "*"}, run=f"echo x >> ran; {IDLE}")
    bring(folder, "soft", needs={"base": ("*", "SOFT")}, run=f"echo x >> ran; {IDLE}")
    bring(folder, "base", run=IDLE)
    assert (await made(place, folder, **add(top="1.0.0", soft="1.0.0"))).status == "SUCCEEDED"

    def ran() -> list[int]:
        return [len(work(place, name, "ran").read_text().split()) for name in ("top", "middle", "soft")]

    assert ran() == [1, 1, 1]
    nucleus = place.core.deployments._nucleus
    await nucleus.stop("base")
    await until(
        lambda: [state(place, name) for name in ("top", "middle", "soft")] == ["FINISHED", "FINISHED", "RUNNING"]
    )
    await nucleus.restart("base")
    await until(lambda: ran() == [2, 2, 1] and state(place, "top") == "RUNNING")
    assert (await made(place, rootComponentsToRemove=["top"])).status == "SUCCEEDED"
    assert running(place) == {"soft": "1.0.0", "base": "1.0.0"}


async def test_configurations_of_awss_components_hold_over_revisions(region: RegionPlace, place: CorePlace) -> None:
    name = "aws.greengrass.Nucleus"

    async def deployed(**update: Any) -> dict[str, Any]:
        wanted = {"componentVersion": "2.12.0", **({"configurationUpdate": update} if update else {})}
        assert await region.outcome(await region.deploy(**{name.replace(".", "__"): wanted})) == "SUCCEEDED"
        return dict(place.core.deployments._applying.active.merged.get(name, {}))

    first = {"telemetry": {"enabled": "false"}, "platformOverride": {"com.example.Radio": "lora"}}
    assert await deployed(merge=json.dumps(first)) == first
    assert await deployed() == first
    telemetry = {"periodicAggregateMetricsIntervalSeconds": 60}
    both = {**first, "telemetry": {**first["telemetry"], **telemetry}}
    assert await deployed(merge=json.dumps({"telemetry": telemetry})) == both
    await create(region, "radio", "1.0.0")
    assert place.core.deployments._applying.active.platform["com.example.Radio"] == "lora"
    assert await deployed(reset=["/telemetry"]) == {"platformOverride": first["platformOverride"]}
    await place.stop()
    await place.start()
    assert place.core.deployments._applying.active.platform["com.example.Radio"] == "lora"


async def test_a_functions_environment_is_that_of_the_deployment_that_is_active(
    region: RegionPlace, place: CorePlace, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greeting(word: str) -> dict[str, Any]:
        merge = {"lambdaExecutionParameters": {"EnvironmentVariables": {"GREETING": word}}}
        return {"componentVersion": "1.0.0", "configurationUpdate": {"merge": json.dumps(merge)}}

    def environment() -> Any:
        found = place.functions.describe("notes", "1")
        return found and found["Environment"]["Variables"].get("GREETING")

    await region.component(await region.function(), "ward.notes", pinned=False)
    assert await region.outcome(await region.deploy(ward__notes=greeting("one"))) == "SUCCEEDED"
    assert environment() == "one"
    await create(region, "broken", run="exit 1")
    bad = await region.deploy(ward__notes=greeting("two"), broken={"componentVersion": "1.0.0"})
    assert (await region.outcome(bad)).startswith("FAILED")
    assert environment() == "one"

    async def for_ever(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(place.core.deployments._nucleus, "change", for_ever)
    await region.deploy(ward__notes=greeting("three"))
    await until(lambda: environment() == "three", 60)
    cable.cut()  # and the power with it
    await place.stop()
    await place.start()
    assert environment() == "one"
    cable.restore()
    await until(lambda: environment() == "three", 60)


@pytest.mark.skipif(not landlock.scopes(landlock.abi()), reason="no fence here")
async def test_steps_of_a_fenced_component_find_each_other(place: CorePlace, tmp_path: Path) -> None:
    await place.stop()
    place.fence = fence_of(Settings(kind="core", data_dir=place.folder))
    await place.start()
    steps: dict[str, Any] = {
        "install": "echo $AWS_IOT_THING_NAME > installed",
        "startup": "setsid sh -c 'echo $$ > pid; exec sleep 1000' & until test -s pid; do sleep 0.05; done",
        "shutdown": "kill $(cat pid) && echo $(cat pid) >> shut && rm pid",
        "recover": "echo once >> recovered; touch mended",
    }
    limits = {"componentToRunWithInfo": {"a": {"systemResourceLimits": {"memory": 500 * 1024}}}}
    done = await made(place, bring(tmp_path / "1", "a", **steps), **limits, **add(a="1.0.0"))
    assert done.status == "SUCCEEDED", done.reason
    assert work(place, "a", "installed").read_text() == f"{CORE}\n"
    assert "memory is limited for each process" in (place.folder / "components/logs/a.log").read_text()
    first = work(place, "a", "pid").read_text()
    nucleus = place.core.deployments._nucleus
    await nucleus.restart("a")
    await until(lambda: state(place, "a") == "RUNNING")
    second = work(place, "a", "pid").read_text()
    await nucleus.stop("a")
    assert work(place, "a", "shut").read_text() == first + second and state(place, "a") == "FINISHED"
    again = {**steps, "run": f"test -e mended || exit 3; {IDLE}"}
    del again["startup"]
    done = await made(place, bring(tmp_path / "2", "a", "2.0.0", **again), **add(a="2.0.0"))
    assert done.status == "SUCCEEDED" and work(place, "a", "recovered").read_text() == "once\n"


@pytest.mark.parametrize(
    ("steps", "code", "reason"),
    [
        ({"install": "exit 4", "run": IDLE}, "INSTALL_ERROR", "install ended with 4"),
        ({"startup": {"Script": IDLE, "Timeout": 1}}, "STARTUP_TIMEOUT", "startup took longer than 1 s"),
        ({"run": "kill -9 $$"}, "RUN_ERROR", "run was ended by SIGKILL"),
        (
            {"run": {"Script": "exit 0", "Timeout": "{configuration:/none}"}},
            "RUN_CONFIG_NOT_VALID",
            "run cannot be run",
        ),
    ],
)
async def test_a_broken_component_has_a_code_and_a_reason(
    place: CorePlace, tmp_path: Path, steps: dict[str, Any], code: str, reason: str
) -> None:
    done = await made(place, bring(tmp_path, "a", **steps), failureHandlingPolicy="DO_NOTHING", **add(a="1.0.0"))
    assert done.status == "FAILED"
    (told,) = place.core.deployments._health()
    assert (told.state, told.codes) == ("BROKEN", (code,)) and reason in told.reason, told
    await place.core.deployments._nucleus.stop("a")
