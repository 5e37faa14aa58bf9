"""``littoral models ls|show|diff|register|approve|reject``: the models of a running place, asked with its own keys."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from littoral.cli.asking import Failed, reached
from littoral.cli.flags import Parser, pair, settings_flags, settings_of
from littoral.cli.table import aligned
from littoral.site.settings import Loaded

if TYPE_CHECKING:
    from littoral.models.remote import Remote

OWN: Final = "littoral."
METRIC: Final = "metric."
BUCKET: Final = "sagemaker-{region}-{account}"  # as SageMaker's own SDK calls its default
STAGES: Final = {"approve": "Approved", "reject": "Rejected"}


def add(what: Any) -> None:
    """The verbs, to those of ``littoral models``."""
    listed = what.add_parser("ls", help="the models of a place, and their versions", description="List models.")
    listed.add_argument("model", nargs="?", help="one model")
    _verb(listed, _list)

    shown = what.add_parser("show", help="one version", description="What a version is and where it comes from.")
    shown.add_argument("version", metavar="MODEL[/VERSION]", help="without a number the newest that is approved")
    _verb(shown, _show)

    compared = what.add_parser("diff", help="two versions", description="What is different between two versions.")
    compared.add_argument("before", metavar="MODEL/VERSION")
    compared.add_argument("after", metavar="MODEL/VERSION")
    _verb(compared, _diff)

    registered = what.add_parser(
        "register",
        help="a file as the next version",
        description="Put an ONNX file (or a model.tar.gz with one) into the registry, as the next version of a model.",
        epilog="example: littoral models register ward ward.onnx --training-job ward-7 --metric recall=0.93",
    )
    registered.add_argument("model", help="its name; made where there is none")
    registered.add_argument("file", type=Path)
    registered.add_argument("--description", default="", metavar="TEXT")
    registered.add_argument("--approve", action="store_true", help="it is approved, and so served, at once")
    for key, meaning in (
        ("data", "what it was trained on"),
        ("code", "what trained it: a commit, a URI"),
        ("training-job", "the job that trained it"),
        ("parent", "the version that it was made of"),
    ):
        registered.add_argument(f"--{key}", metavar="TEXT", help=meaning)
    registered.add_argument("--metric", type=pair, action="append", default=[], metavar="NAME=NUMBER")
    registered.add_argument("--property", type=pair, action="append", default=[], metavar="NAME=TEXT")
    _verb(registered, _register)

    made = what.add_parser(
        "component",
        help="a version as a component that cores can be given",
        description="Make a component of an approved version: the model, and the registry's signature.",
        epilog="example: littoral models component ward/3   (makes model.ward 3.0.0)",
    )
    made.add_argument("version", metavar="MODEL[/VERSION]", help="without a number the newest that is approved")
    made.add_argument("--component", metavar="NAME", help="how it is called (default model.MODEL)")
    _verb(made, _component)

    for verb, meaning in (("approve", "let a version be served"), ("reject", "let it be served no more")):
        staged = what.add_parser(verb, help=meaning, description=f"{meaning.capitalize()}.")
        staged.add_argument("version", metavar="MODEL/VERSION")
        staged.add_argument("--because", default="", metavar="TEXT", help="why; it is kept")
        staged.set_defaults(stage=STAGES[verb])
        _verb(staged, _stage)


def _verb(parser: Parser, act: Callable[[argparse.Namespace, Loaded], str]) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")
    settings_flags(parser)
    parser.set_defaults(command=lambda options: _told(options, act))


def _told(options: argparse.Namespace, act: Callable[[argparse.Namespace, Loaded], str]) -> int:
    from littoral.models.registry.refusal import RegistryError

    try:
        print(act(options, settings_of(options)), end="")
    except (RegistryError, OSError) as problem:
        raise Failed(str(problem)) from problem
    return 0


def _remote(loaded: Loaded) -> Remote:
    from littoral.models.remote import Remote

    url, keys = reached(loaded)
    return Remote(url, *keys)


def _pages(remote: Remote, operation: str, member: str, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    while True:
        answer = remote.call(operation, MaxResults=100, **asked, **more)
        found += answer[member]
        if "NextToken" not in answer:
            return found
        more = {"NextToken": answer["NextToken"]}


def _list(options: argparse.Namespace, loaded: Loaded) -> str:
    remote = _remote(loaded)
    asked = {"ModelPackageGroupName": options.model} if options.model else {"ModelPackageType": "Versioned"}
    versions = _pages(remote, "ListModelPackages", "ModelPackageSummaryList", **asked)
    described = [remote.described(each["ModelPackageGroupName"], each["ModelPackageVersion"]) for each in versions]
    if options.json:
        return json.dumps([_document(each) for each in described], indent=2) + "\n"
    lines: list[tuple[str, ...]] = [("model", "version", "stage", "made", "metrics", "bytes")]
    for each in sorted(described, key=lambda each: (each["ModelPackageGroupName"], each["ModelPackageVersion"])):
        said = _document(each)
        metrics = " ".join(f"{name}={value}" for name, value in said["metrics"].items()) or "-"
        lines.append((said["model"], str(said["version"]), said["stage"], said["made"], metrics, f"{said['bytes']:,}"))
    return "".join(aligned(lines, 5)) if len(lines) > 1 else "there are no models yet: littoral models register\n"


def _document(described: dict[str, Any]) -> dict[str, Any]:
    """What people want to know of a version."""
    about: dict[str, str] = described["CustomerMetadataProperties"]
    plain = {key: value for key, value in about.items() if not key.startswith((OWN, METRIC))}
    metrics = {key.removeprefix(METRIC): float(value) for key, value in about.items() if key.startswith(METRIC)}
    own = {key.removeprefix(OWN): value for key, value in about.items() if key.startswith(OWN)}
    return {
        "model": described["ModelPackageGroupName"],
        "version": described["ModelPackageVersion"],
        "stage": described["ModelApprovalStatus"],
        "because": described.get("ApprovalDescription", ""),
        "made": datetime.fromtimestamp(described["CreationTime"], UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "description": described.get("ModelPackageDescription", ""),
        "metrics": metrics,
        "lineage": plain,
        "inputs": own["inputs"],
        "outputs": own["outputs"],
        "bytes": int(own["size"]),
        "sha256": own["sha256"],
        "signature": own["signature"],
        "key": own["key"],
    }


def _version(remote: Remote, text: str) -> dict[str, Any]:
    name, slash, number = text.partition("/")
    if slash and not number.isdigit():
        raise Failed(f"{text}: a version is written ward/3")
    return _document(remote.described(name, int(number) if slash else None))


def _flat(document: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            found |= {f"{key}.{name}" if key == "metrics" else name: str(each) for name, each in value.items()}
        elif value != "":
            found[key] = f"{value:,}" if key == "bytes" else str(value)
    return found


def _show(options: argparse.Namespace, loaded: Loaded) -> str:
    document = _version(_remote(loaded), options.version)
    if options.json:
        return json.dumps(document, indent=2) + "\n"
    return "".join(aligned([*_flat(document).items()], 2))


def _diff(options: argparse.Namespace, loaded: Loaded) -> str:
    remote = _remote(loaded)
    before, after = (_flat(_version(remote, each)) for each in (options.before, options.after))
    keys = [*before, *(key for key in after if key not in before)]
    other = {key: (before.get(key, "-"), after.get(key, "-")) for key in keys if before.get(key) != after.get(key)}
    if options.json:
        return json.dumps(other, indent=2) + "\n"
    return "".join(aligned([("", options.before, options.after), *((key, *each) for key, each in other.items())], 3))


def _register(options: argparse.Namespace, loaded: Loaded) -> str:
    from littoral.models.registry.container import model_in
    from littoral.models.registry.onnxfile import inspect
    from littoral.models.registry.refusal import NoSuch

    remote = _remote(loaded)
    data = options.file.read_bytes()
    inspect(model_in(data))  # what is no model is not sent
    settings = loaded.settings
    bucket = BUCKET.format(region=settings.region, account=settings.account)
    key = f"models/{options.model}/{hashlib.sha256(data).hexdigest()}{''.join(options.file.suffixes)}"
    lineage = {name: getattr(options, name.replace("-", "_")) for name in ("data", "code", "training-job", "parent")}
    about = {
        **dict(options.property),
        **{name: value for name, value in lineage.items() if value},
        **{METRIC + name: value for name, value in options.metric},
    }
    remote.put(bucket, key, data)
    try:
        remote.call("DescribeModelPackageGroup", ModelPackageGroupName=options.model)
    except NoSuch:
        remote.call("CreateModelPackageGroup", ModelPackageGroupName=options.model)
    made = remote.call(
        "CreateModelPackage",
        ModelPackageGroupName=options.model,
        InferenceSpecification={"Containers": [{"Image": "onnx", "ModelDataUrl": f"s3://{bucket}/{key}"}]},
        **({"ModelApprovalStatus": "Approved"} if options.approve else {}),
        **({"ModelPackageDescription": options.description} if options.description else {}),
        **({"CustomerMetadataProperties": about} if about else {}),
    )
    return _done(options, made["ModelPackageArn"])


def _component(options: argparse.Namespace, loaded: Loaded) -> str:
    from littoral.models.registry.signing import signature_file

    remote, settings = _remote(loaded), loaded.settings
    said = _version(remote, options.version)
    model, number = said["model"], said["version"]
    if said["stage"] != STAGES["approve"]:
        raise Failed(f"{model}/{number} is not approved: littoral models approve {model}/{number}")
    bucket, folder = BUCKET.format(region=settings.region, account=settings.account), f"components/{model}/{number}"
    signed = signature_file(model, number, said["sha256"], said["bytes"], said["signature"])
    files = {f"{model}.onnx": remote.data(said["sha256"]), f"{model}.onnx.signature": signed}
    for name, data in files.items():
        remote.put(bucket, f"{folder}/{name}", data)
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": options.component or f"model.{model}",
        "ComponentVersion": f"{number}.0.0",
        "ComponentDescription": f"{model}/{number} of the registry",
        "Manifests": [{"Artifacts": [{"URI": f"s3://{bucket}/{folder}/{name}"} for name in files]}],
    }
    shown = {
        "arn": remote.component(json.dumps(recipe).encode()),
        "component": recipe["ComponentName"],
        "version": recipe["ComponentVersion"],
    }
    return json.dumps(shown) + "\n" if options.json else f"{shown['component']} {shown['version']}\n"


def _stage(options: argparse.Namespace, loaded: Loaded) -> str:
    remote = _remote(loaded)
    name, slash, number = options.version.partition("/")
    if not slash or not number.isdigit():
        raise Failed(f"{options.version}: a version is written ward/3")
    arn = remote.described(name, int(number))["ModelPackageArn"]
    because = {"ApprovalDescription": options.because} if options.because else {}
    remote.call("UpdateModelPackage", ModelPackageArn=arn, ModelApprovalStatus=options.stage, **because)
    return _done(options, arn)


def _done(options: argparse.Namespace, arn: str) -> str:
    name = arn.partition(":model-package/")[2]
    return json.dumps({"arn": arn, "version": name}) + "\n" if options.json else f"{name}\n"
