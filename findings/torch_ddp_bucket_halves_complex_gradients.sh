#!/usr/bin/env bash
# What a hook of DistributedDataParallel is given as a complex parameter's gradient is half of it.
#
# Versions: torch 2.14.1, CPU, gloo, Python 3.11.
# Guess: GradBucket.gradients() has, for a complex parameter, a complex tensor of its shape, or, since gloo and NCCL sum real
#   numbers, a real one with two numbers for each of its own.
# Seen: a real tensor of the *parameter's* shape. It holds real and imaginary parts in turn, of the first half of the
#   elements; those of the second half are in buffer() alone, where they are reduced, so that training is right. A hook that
#   takes a norm, clips, compresses or writes by gradients() and parameters(), which fit by shape, leaves half of each complex
#   parameter out, and nothing is raised. With torch 2.9.0 the bucket and the tensor are complex and whole.
# Source: torch/csrc/distributed/c10d/reducer.cpp of that version, where a bucket's views are made, and GradBucket.gradients.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "torch==2.14.1" "numpy==2.4.6"
seen=$("$folder/venv/bin/python" -W ignore - "$folder/meet" 2> "$folder/log" <<'PYTHON'
import sys

import torch
from torch import distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=0, world_size=1)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4, dtype=torch.complex64))

    def forward(self, inputs):
        return (inputs * self.weight).abs().sum()


def hook(group, bucket):
    (parameter,), (gradient,) = bucket.parameters(), bucket.gradients()
    print("parameter", parameter.dtype, list(parameter.shape))
    print("gradient", gradient.dtype, list(gradient.shape), gradient.tolist())
    print("buffer", bucket.buffer().tolist())
    return allreduce_hook(group, bucket)


net = torch.nn.parallel.DistributedDataParallel(Net())
net.register_comm_hook(dist.group.WORLD, hook)
net(torch.tensor([1.0, 2.0, 3.0, 4.0])).backward()
print("reduced", net.module.weight.grad.real.tolist())
dist.destroy_process_group()
PYTHON
)
echo "$seen"
expected='parameter torch.complex64 [4]
gradient torch.float32 [4] [1.0, 0.0, 2.0, 0.0]
buffer [1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 4.0, 0.0]
reduced [1.0, 2.0, 3.0, 4.0]'
[ "$seen" = "$expected" ]
