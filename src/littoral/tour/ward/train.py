"""Train the ward's model: a script as SageMaker's script mode runs it, or ``python -m littoral.tour.ward.train``.

It reads the recordings from SM_CHANNEL_TRAINING (or --training, or heartpy's own folder), learns for some minutes on a
CPU, and writes ``model.onnx`` and ``calibration.npz`` to SM_MODEL_DIR (or --model-dir). Needs ``littoral[tour,train]``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from littoral.models.export import export
from littoral.tour.ward.examples import Examples, examples
from littoral.tour.ward.lineage import made_by, made_from
from littoral.tour.ward.recorded import CHOOSING, TRAINING, part, shipped_folder

TOLERANCE = 1e-4  # between what PyTorch and ONNX Runtime answer; both are probabilities


def network() -> Any:
    """(n, 1, 256) to (n, 2) logits: four strided convolutions and two dense layers, 28,000 weights."""
    layers: list[Any] = []
    for before, after, width in ((1, 16, 9), (16, 24, 7), (24, 32, 5), (32, 32, 5)):
        layers += [nn.Conv1d(before, after, width, stride=2, padding=width // 2), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 2))


def learn(net: Any, learnt: Examples, kept: Examples, epochs: int, batch: int) -> float:
    """Adam with a rate that falls along a cosine. Returns the last loss on ``kept``."""
    shown, truth, weights = (torch.from_numpy(a) for a in (learnt.windows, learnt.truth, learnt.weights))
    descent = torch.optim.Adam(net.parameters(), lr=2e-3, weight_decay=1e-5)
    steps = epochs * (len(shown) // batch)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(descent, steps)
    held = 0.0
    for epoch in range(1, epochs + 1):
        net.train()
        total = 0.0
        order = torch.randperm(len(shown))
        for first in range(0, len(shown) - batch + 1, batch):
            some = order[first : first + batch]
            loss = _loss(net(shown[some]), truth[some], weights[some])
            descent.zero_grad()
            loss.backward()
            descent.step()
            falling.step()
            total += float(loss.detach()) * batch
        net.eval()
        with torch.no_grad():
            answers = net(torch.from_numpy(kept.windows))
            held = float(_loss(answers, torch.from_numpy(kept.truth), torch.from_numpy(kept.weights)))
        print(f"epoch={epoch} loss={total / len(shown):.4f} validation_loss={held:.4f}", flush=True)
    return held


def _loss(answers: Any, truth: Any, weights: Any) -> Any:
    each = nn.functional.binary_cross_entropy_with_logits(answers, truth, weight=weights, reduction="sum")
    return each / weights.sum()


def main(arguments: list[str]) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--training", type=Path, default=os.environ.get("SM_CHANNEL_TRAINING"))
    options.add_argument("--model-dir", type=Path, default=Path(os.environ.get("SM_MODEL_DIR", "model")))
    options.add_argument("--epochs", type=int, default=8)
    options.add_argument("--batch-size", type=int, default=128)
    options.add_argument("--examples", type=int, default=30_000)
    options.add_argument("--seed", type=int, default=8)
    told = options.parse_args(arguments)
    recordings = told.training or shipped_folder()
    torch.set_num_threads(1)  # the batches are small, and a sum's order is then the same wherever it runs
    torch.manual_seed(told.seed)
    chance = np.random.default_rng(told.seed)
    learnt = examples(part(recordings, *TRAINING), told.examples, chance)
    kept = examples(part(recordings, *CHOOSING), max(told.examples // 10, 100), chance)
    net = network()
    held = learn(net, learnt, kept, told.epochs, told.batch_size)
    told.model_dir.mkdir(parents=True, exist_ok=True)
    answering = nn.Sequential(net, nn.Sigmoid()).eval()
    file, example = told.model_dir / "model.onnx", {"pulse": learnt.windows[:8]}
    agreed = export(answering, example, file, answers=["probabilities"], tolerance=TOLERANCE)
    sure = kept.weights.min(axis=1) > 0
    np.savez_compressed(
        told.model_dir / "calibration.npz", pulse=kept.windows[sure][:2000], labels=kept.truth[sure][:2000]
    )
    lineage = {
        "job": os.environ.get("TRAINING_JOB_NAME", ""),
        "code": made_by(Path(__file__)),
        "data": made_from(recordings),
        "seed": told.seed,
        "epochs": told.epochs,
        "examples": told.examples,
        "validation_loss": round(held, 4),
        "export_difference": agreed.difference,
        "torch": torch.__version__,
    }
    (told.model_dir / "lineage.json").write_text(json.dumps(lineage, indent=1) + "\n")
    print(f"wrote {file}; it answers as PyTorch does within {agreed.difference:.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
