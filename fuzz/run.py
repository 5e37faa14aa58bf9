"""One target under atheris, guided by coverage: ``python -m fuzz.run NAME [FOLDER] [libFuzzer's flags]``."""

from __future__ import annotations

import importlib
import sys

import atheris


def main() -> None:
    watched = ["littoral.edge.waf", "littoral.net", "littoral.protocols.http1", "littoral.protocols.iotsql"]
    watched += ["littoral.protocols.mqtt", "littoral.things.broker"]
    with atheris.instrument_imports(include=watched):
        targets = importlib.import_module("fuzz.targets").TARGETS
    atheris.Setup(sys.argv, targets[sys.argv.pop(1)])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
