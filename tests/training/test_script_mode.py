"""Scripts as SageMaker runs them: what they are told, what they find, what is kept of them."""

from __future__ import annotations

from .conftest import Lab

LOOKS = """
import json, os, sys
from pathlib import Path

print("loss: 0.5; accuracy: 0.25")
print("loss: 0.125; accuracy: 0.75")
channel = Path(os.environ["SM_CHANNEL_TRAIN"])
told = {
    "arguments": sys.argv[1:],
    "env": dict(os.environ),
    "files": {str(each.relative_to(channel)): each.read_text() for each in channel.rglob("*") if each.is_file()},
    "uid": os.getuid(),
    "folder": os.getcwd(),
    "root": sorted(os.listdir("/opt/ml")),
}
Path(os.environ["SM_MODEL_DIR"], "told.json").write_text(json.dumps(told))
Path(os.environ["SM_OUTPUT_DATA_DIR"], "extra", "deep").mkdir(parents=True)
Path(os.environ["SM_OUTPUT_DATA_DIR"], "extra", "deep", "a.txt").write_text("more")
"""


def test_a_script_is_told_what_sagemaker_tells_it(lab: Lab) -> None:
    for key in ("data/train/a.csv", "data/train/deep/b.csv", "data/training/c.csv", "data/train/"):
        lab.s3.put_object(Bucket="lab", Key=key, Body=key.encode())
    definitions = [
        {"Name": "loss", "Regex": r"loss: ([0-9.]+)"},
        {"Name": "accuracy", "Regex": r"accuracy: ([0-9.]+)"},
        {"Name": "never", "Regex": "never: (.*)"},
    ]
    channel = {
        "ChannelName": "train",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://lab/data/train/"}},
    }
    arn = lab.create(
        "looks",
        LOOKS,
        HyperParameters={"epochs": "3", "lr": '"0.1"', "layers": "[1, 2]", "v": "x"},
        Algorithm={"MetricDefinitions": definitions},
        InputDataConfig=[channel],
        Environment={"MINE": "yes"},
    )
    assert arn == "arn:aws:sagemaker:us-east-1:000000000000:training-job/looks"
    job = lab.ended("looks")
    assert job["TrainingJobStatus"] == "Completed", job
    told = lab.told("looks")
    assert told["arguments"] == ["--epochs", "3", "--layers", "[1, 2]", "--lr", "0.1", "-v", "x"]
    assert told["files"] == {"a.csv": "data/train/a.csv", "deep/b.csv": "data/train/deep/b.csv"}
    assert told["folder"] == "/opt/ml/code" and told["uid"] == 993
    assert told["root"] == ["checkpoints", "code", "input", "model", "output"]
    env = told["env"]
    expected = {
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_CHANNEL_TRAIN": "/opt/ml/input/data/train",
        "SM_CHANNELS": '["train"]',
        "SM_HPS": '{"epochs": 3, "lr": "0.1", "layers": [1, 2], "v": "x"}',
        "SM_HP_EPOCHS": "3",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
        "SM_HOSTS": '["algo-1"]',
        "SM_NUM_GPUS": "0",
        "SM_USER_ENTRY_POINT": "train.py",
        "TRAINING_JOB_NAME": "looks",
        "TRAINING_JOB_ARN": arn,
        "MINE": "yes",
        "AWS_ENDPOINT_URL": lab.place.api,
    }
    assert {name: env.get(name) for name in expected} == expected
    metrics = {each["MetricName"]: each["Value"] for each in job["FinalMetricDataList"]}
    assert metrics == {"loss": 0.125, "accuracy": 0.75}
    steps = [each["Status"] for each in job["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all(each["EndTime"] >= each["StartTime"] for each in job["SecondaryStatusTransitions"])
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == "s3://lab/out/looks/output/model.tar.gz"
    assert lab.packed("s3://lab/out/looks/output/output.tar.gz") == {"extra/deep/a.txt": b"more"}
    assert "loss: 0.5; accuracy: 0.25" in lab.printed("looks")
    assert job["BillableTimeInSeconds"] >= 0 and job["TrainingEndTime"] >= job["TrainingStartTime"]
