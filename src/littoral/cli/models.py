"""``littoral models``: models in files, and those of a running place. Files need ``littoral[models]``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from littoral.cli import quantising, registry
from littoral.cli.asking import Failed
from littoral.site.settings import SettingsError


def add(commands: Any) -> None:
    models = commands.add_parser(
        "models", help="models for functions and devices", description="Make models ready, and keep those of a place."
    )
    what = models.add_subparsers(title="commands", metavar="COMMAND", required=True)
    imported = what.add_parser(
        "import-mxnet",
        help="a model that MXNet saved, as ONNX",
        description="Read a model that MXNet saved, without MXNet, and write it as ONNX.",
        epilog="example: littoral models import-mxnet net-symbol.json net-0000.params --input data=N,1,250 -o net.onnx",
    )
    imported.add_argument("symbol", type=Path, help="NAME-symbol.json")
    imported.add_argument("params", type=Path, help="NAME-0000.params")
    imported.add_argument(
        "--input",
        action="append",
        required=True,
        metavar="NAME=SHAPE",
        help="an input and its shape; a length that is a word (N) is left open",
    )
    imported.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where the ONNX model goes")
    imported.set_defaults(command=_import_mxnet)
    quantising.add(what)
    registry.add(what)


def _import_mxnet(options: argparse.Namespace) -> int:
    """Nothing half-written stays: the file appears whole."""
    try:
        from littoral.models.mxnet import CannotImport, import_model
    except ModuleNotFoundError as missing:
        raise Failed(f"models need {missing.name}: pip install 'littoral[models]'") from missing
    inputs = dict(_shape(text) for text in options.input)
    try:
        model = import_model(options.symbol.read_bytes(), options.params.read_bytes(), inputs)
        new = options.output.with_name(options.output.name + ".new")
        new.write_bytes(model.SerializeToString())
    except (CannotImport, OSError) as problem:
        raise Failed(str(problem)) from problem
    new.replace(options.output)
    answers = ", ".join(output.name for output in model.graph.output)
    print(f"{options.output}: {options.output.stat().st_size} bytes, answers {answers}")
    return 0


def _shape(text: str) -> tuple[str, tuple[int | str, ...]]:
    name, equals, shape = text.partition("=")
    lengths = tuple(int(word) if word.isdigit() else word for word in shape.split(",") if word)
    if not equals or not name or not lengths:
        raise SettingsError(f"--input {text}: an input is written as data=N,3,224,224")
    return name, lengths
