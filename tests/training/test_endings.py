"""How jobs end: by themselves, by failing, by being stopped, by their time, by giving way and going on."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from botocore.exceptions import WaiterError

from tests.site.conftest import up

from .conftest import Lab, lab_of, until

WAITS = """
import os, signal, sys, time

def leave(*_):
    open(os.environ["SM_MODEL_DIR"] + "/told.json", "w").write('"saved"')
    sys.exit(0)

signal.signal(signal.SIGTERM, leave)
print("ready")
while True:
    time.sleep(0.05)
"""

# Goes three steps in each of its lives but the last, of which hyperparameter ``lives`` says which it is.
STEPS = """
import json, os, time
from pathlib import Path

lives = int(json.loads(os.environ["SM_HPS"])["lives"])
kept = Path("/opt/ml/checkpoints/deep/state.json")
state = json.loads(kept.read_text()) if kept.exists() else {"step": 0, "lives": []}
print("begins at", state["step"])
state["lives"].append(state["step"])
for step in range(state["step"] + 1, 3 * lives + 1):
    state["step"] = step
    kept.parent.mkdir(exist_ok=True)
    new = kept.with_suffix(".new")
    new.write_text(json.dumps(state))
    new.rename(kept)
    if step == 3 * len(state["lives"]) and len(state["lives"]) < lives:
        while True:
            time.sleep(0.05)
Path(os.environ["SM_MODEL_DIR"], "told.json").write_text(json.dumps(state))
"""
SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200},
}


def checkpointed(lab: Lab, name: str, step: int) -> None:
    """When that step has come to the bucket."""

    def there() -> bool:
        try:
            body = lab.s3.get_object(Bucket="lab", Key=f"kept/{name}/deep/state.json")["Body"].read()
        except lab.s3.exceptions.NoSuchKey:
            return False
        return bool(json.loads(body)["step"] == step)

    until(there)


def resumable(lab: Lab, name: str, lives: int, **further: object) -> None:
    lab.create(
        name,
        STEPS,
        HyperParameters={"lives": str(lives)},
        CheckpointConfig={"S3Uri": f"s3://lab/kept/{name}"},
        **further,
    )


def test_a_stopped_job_may_save_its_model(lab: Lab) -> None:
    lab.create("stopped", WAITS)
    lab.says("stopped", "ready")
    assert lab.describe("stopped")["SecondaryStatus"] == "Training"
    lab.sagemaker.stop_training_job(TrainingJobName="stopped")
    job = lab.ended("stopped")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert lab.told("stopped") == "saved"
    steps = [each["Status"] for each in job["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    with pytest.raises(lab.sagemaker.exceptions.ClientError, match=r"ValidationException.*in status Stopped"):
        lab.sagemaker.stop_training_job(TrainingJobName="stopped")


def test_time_that_is_over_ends_a_job(lab: Lab) -> None:
    lab.create("late", WAITS, StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = lab.ended("late")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_what_failed_says_why(lab: Lab) -> None:
    lab.create("raises", "print('first')\nraise KeyError('no such column')")
    lab.create("tells", "open('/opt/ml/output/failure', 'w').write('the data is empty')\nraise SystemExit(3)")
    lab.create("nothing", {"other.py": "print(1)"})
    raised = lab.ended("raises")
    assert raised["TrainingJobStatus"] == "Failed" and raised["ModelArtifacts"]["S3ModelArtifacts"] == ""
    assert raised["FailureReason"].startswith("AlgorithmError: ExecuteUserScriptError: ExitCode 1")
    assert "KeyError: 'no such column'" in raised["FailureReason"]
    assert lab.ended("tells")["FailureReason"] == "AlgorithmError: the data is empty, ExitCode 3"
    assert "there is no train.py in sagemaker_submit_directory" in lab.ended("nothing")["FailureReason"]
    waiter = lab.sagemaker.get_waiter("training_job_completed_or_stopped")
    with pytest.raises(WaiterError, match="Failed"):
        waiter.wait(TrainingJobName="raises")


def test_data_that_is_not_there_fails_the_job(lab: Lab) -> None:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://lab/nowhere"}}
    lab.create("empty", "", InputDataConfig=[{"ChannelName": "train", "DataSource": source}])
    assert lab.ended("empty")["FailureReason"] == (
        "ClientError: Data download failed: there is nothing at s3://lab/nowhere"
    )


def test_a_spot_job_gives_way_and_goes_on_from_its_checkpoint(lab: Lab) -> None:
    lab.create("holds", WAITS)
    lab.says("holds", "ready")
    resumable(lab, "spot", 2, **SPOT)
    checkpointed(lab, "spot", 3)
    lab.create("needs", "print('short')")
    assert lab.ended("needs")["TrainingJobStatus"] == "Completed"
    job = lab.ended("spot")
    assert job["TrainingJobStatus"] == "Completed", job
    assert lab.told("spot") == {"step": 6, "lives": [0, 3]}
    steps = [each["Status"] for each in job["SecondaryStatusTransitions"]]
    assert steps == [
        *("Starting", "Downloading", "Training", "Interrupted"),
        *("Downloading", "Training", "Uploading", "Completed"),
    ]
    lab.sagemaker.stop_training_job(TrainingJobName="holds")
    lab.ended("holds")


def test_a_spot_job_that_is_killed_goes_on_another_fails(lab: Lab) -> None:
    kills = "import os\nif os.path.exists('/opt/ml/checkpoints/been'): raise SystemExit(0)\n"
    kills += "open('/opt/ml/checkpoints/been', 'w').close()\nos.kill(os.getpid(), 9)"
    where = {"CheckpointConfig": {"S3Uri": "s3://lab/kept/killed"}}
    lab.create("killed", kills, **where, **SPOT)
    assert lab.ended("killed")["TrainingJobStatus"] == "Completed"
    lab.create("killed-too", kills.replace("been", "seen"), **where)
    job = lab.ended("killed-too")
    assert job["TrainingJobStatus"] == "Failed" and "ExitCode -9" in job["FailureReason"]


def test_waiting_too_long_ends_a_spot_job(lab: Lab) -> None:
    for name in ("holds-1", "holds-2"):
        lab.create(name, WAITS)
    lab.create("waits", WAITS, **{**SPOT, "StoppingCondition": {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 1}})
    job = lab.ended("waits")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    lab.create("never", WAITS)
    for name in ("never", "holds-1", "holds-2"):
        lab.sagemaker.stop_training_job(TrainingJobName=name)
        assert lab.ended(name)["TrainingJobStatus"] == "Stopped"
    steps = [each["Status"] for each in lab.describe("never")["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Stopping", "Stopped"]


def test_a_place_that_is_killed_and_one_that_is_stopped_lose_no_job(tmp_path: Path) -> None:
    folder = tmp_path / "place"
    running = up(folder, "--train-workers", "1")
    try:
        lab = lab_of(running, folder)
        resumable(lab, "long", 3)
        checkpointed(lab, "long", 3)
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.stop()
        running = up(folder, "--train-workers", "1")
        lab = Lab(running, folder)
        checkpointed(lab, "long", 6)
        assert running.process.stop() == 0
        running = up(folder, "--train-workers", "1")
        lab = Lab(running, folder)
        job = lab.ended("long")
        assert job["TrainingJobStatus"] == "Completed", job
        assert lab.told("long") == {"step": 9, "lives": [0, 3, 6]}
        steps = [each["Status"] for each in job["SecondaryStatusTransitions"]]
        assert steps.count("Interrupted") == 2 and steps[-1] == "Completed"
    finally:
        running.process.stop()
