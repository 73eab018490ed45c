#!/usr/bin/env bash
# With a loss scaler, fused SGD begins its momentum from memory that nobody has written.
#
# Versions: torch 2.14.1, CPU, Python 3.11.
# Guess: a step that torch.amp.GradScaler skips because gradients overflowed leaves no trace: fused and unfused SGD
#   end at the same weights. The first step of a run is the one that is skipped most often, since the scale begins high.
# Seen: fused SGD makes its momentum buffers with torch.empty_like at the first step and writes them only if that step
#   is taken. Where it is skipped, they keep whatever was in memory, and the second step takes them for a momentum. With
#   unwritten memory filled by NaN, as torch does on request to make such reads visible, the weights are NaN from the
#   second step on; without fused they are right.
# Source: torch/optim/sgd.py of that version, _fused_sgd.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "torch==2.14.1" "numpy"
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import torch

torch.use_deterministic_algorithms(True)  # fills memory that is not written yet with NaN
for fused in (False, True):
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.5, momentum=0.9, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    for slope in (8.0, 1e-30):  # the first one overflows, the second one does not
        optimizer.zero_grad()
        scaler.scale(weight * slope).sum().backward()
        scaler.step(optimizer)
        scaler.update()
    print("fused" if fused else "unfused", weight.item())
PYTHON
)
echo "$seen"
[ "$seen" = $'unfused 1.0\nfused nan' ]
