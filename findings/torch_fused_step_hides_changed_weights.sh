#!/usr/bin/env bash
# After a fused optimiser's step a loss of before goes backward through the new weights, and nothing is raised.
#
# Versions: torch 2.14.1, on a CPU.
# Guess: two losses of one forward pass, a step after the first one's backward: the second one's backward raises "modified by
#   an inplace operation", since a weight that it saved has changed; fused or not makes no difference but speed.
# Seen: it raises with foreach=True and with foreach=False. With fused=True the step does not raise the weights' version
#   counters (SGD, Adam, AdamW and Adagrad alike), so that autograd does not see the change: the second backward runs on the
#   weights of after the step and gives another gradient than that of the loss (1.8 in place of 2.0 here). A loop of two
#   losses that was wrong, and said so, is wrong in silence once somebody sets fused=True to make it faster.
# Source: torch/optim/sgd.py of that version, _fused_sgd, and the kernels behind torch._fused_sgd_, which write into the
#   parameters; torch/csrc/autograd/saved_variable.cpp, unpack, compares the counters.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "torch==2.14.1" "numpy==2.4.6"
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import torch


def second_loss(kind, **how):
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = kind([weight], lr=0.1, **how)
    first, second = 1.0 * weight.sum(), (weight * weight).sum()
    first.backward()
    optimizer.step()
    optimizer.zero_grad()
    try:
        second.backward()
    except RuntimeError as error:
        return "raised" if "modified by an inplace operation" in str(error) else str(error)
    return f"gradient {weight.grad.item():.1f}, version {weight._version}"


SGD = torch.optim.SGD
print("foreach", second_loss(SGD, foreach=True))
print("for loop", second_loss(SGD, foreach=False))
print("fused", second_loss(SGD, fused=True))
print("fused Adam", second_loss(torch.optim.Adam, fused=True))
PYTHON
)
echo "$seen"
[ "$seen" = $'foreach raised\nfor loop raised\nfused gradient 1.8, version 0\nfused Adam gradient 1.8, version 0' ]
