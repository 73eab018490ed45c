#!/usr/bin/env bash
# DistributedDataParallel refuses a communication hook for a line at the top of its file.
#
# Versions: torch 2.14.1, Python 3.11.
# Guess: a hook (state, bucket) -> Future[Tensor] is taken if it returns a future; annotations are for people and type
#   checkers, and `from __future__ import annotations` changes nothing that runs.
# Seen: register_comm_hook compares the annotation of `bucket` with the class dist.GradBucket. With postponed
#   annotations it is the text "dist.GradBucket", and the very same hook is refused with "Communication hook: bucket
#   annotation should be dist.GradBucket.", which is what stands there. Without annotations it is taken.
# Source: torch/nn/parallel/distributed.py of that version, _check_comm_hook.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "torch==2.14.1" "numpy"
cat > "$folder/hook.py" <<'PYTHON'
import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel


def hook(state: object, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    done = torch.futures.Future()
    done.set_result(bucket.buffer())
    return done


dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
network = DistributedDataParallel(torch.nn.Linear(2, 1))
try:
    network.register_comm_hook(None, hook)
    network(torch.ones(1, 2)).sum().backward()
    print("taken")
except ValueError as error:
    print(error)
dist.destroy_process_group()
PYTHON
(echo 'from __future__ import annotations'; cat "$folder/hook.py") > "$folder/postponed.py"
seen="$("$folder/venv/bin/python" "$folder/hook.py" 2> /dev/null); $("$folder/venv/bin/python" "$folder/postponed.py" 2> /dev/null)"
echo "$seen"
[ "$seen" = "taken; Communication hook: bucket annotation should be dist.GradBucket." ]
