"""Every net of MXNet's own model zoo, imported and held against what MXNet itself answers.

python3 -m venv /tmp/mx && /tmp/mx/bin/pip install mxnet==1.9.1 numpy==1.23.5
mkdir /tmp/zoo && /tmp/mx/bin/python tests/models/mxnet/make.py zoo /tmp/zoo
python bench/mxnet_zoo.py /tmp/zoo
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

from littoral.models.mxnet import import_model


def main(folder: Path) -> None:
    print("net                  MB  import s   largest difference, of the largest answer")
    for file in sorted(folder.glob("*-symbol.json")):
        name = file.name.removesuffix("-symbol.json")
        kept = np.load(folder / f"{name}.npz")
        params = (folder / f"{name}-0000.params").read_bytes()
        begun = time.perf_counter()
        model = import_model(file.read_bytes(), params, {"data": ("N", *kept["data"].shape[1:])})
        took = time.perf_counter() - begun
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (answer,) = session.run(None, {"data": kept["data"]})
        apart = np.abs(answer - kept["out0"]).max() / np.abs(kept["out0"]).max()
        print(
            f"{name:18} {len(params) / 1e6:5.0f} {took:9.2f}   {apart:.1e}{'' if apart < 1e-4 else '  APART'}",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
