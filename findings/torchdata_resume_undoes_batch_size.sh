#!/usr/bin/env bash
# With loader workers a saved state forgets what the batch sampler was told before it was saved, and never hears of it again.
#
# Versions: torchdata 0.11.0, torch 2.14.1, CPU, Python 3.11.
# Guess: a batch sampler with state_dict and load_state_dict, whose size is set from 4 to 8 between two batches. Batches that
#   workers have in hand keep the old size. Whoever saves the loader's state after that and resumes it elsewhere goes on as
#   the run itself does, since the sampler's state holds the size.
# Seen: without workers, so it is. With two, the state has a copy of the sampler's own state from when the last batch that
#   came out was *drawn*, four batches before. The run goes on with 4, 4, 4, 4, 8, 8; the resumed one stays at 4 to the end
#   of the epoch, and nothing is raised. Examples are all there, each once, so that no count shows it.
# Source: torchdata/stateful_dataloader/stateful_dataloader.py of that version, _StatefulMultiProcessingDataLoaderIter, which
#   takes the sampler's state with each index it sends and hands it out with the batch that comes back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "torch==2.14.1" "torchdata==0.11.0" "numpy==2.4.6"
cat > "$folder/seen.py" <<'PYTHON'
from torch.utils.data import Sampler
from torchdata.stateful_dataloader import StatefulDataLoader


class Batches(Sampler):
    def __init__(self):
        self.at, self.size = 0, 4

    def __iter__(self):
        while self.at < 40:
            batch = list(range(self.at, min(self.at + self.size, 40)))
            self.at += len(batch)
            yield batch

    def state_dict(self):
        return {"at": self.at, "size": self.size}

    def load_state_dict(self, state):
        self.at, self.size = state["at"], state["size"]


def loader_of(sampler, workers):
    return StatefulDataLoader(range(40), batch_sampler=sampler, num_workers=workers)


if __name__ == "__main__":
    for workers in (0, 2):
        sampler = Batches()
        loader = loader_of(sampler, workers)
        batches = iter(loader)
        next(batches), next(batches)
        sampler.size = 8
        state = loader.state_dict()
        resumed = loader_of(Batches(), workers)
        resumed.load_state_dict(state)
        print(workers, "resumed", [len(batch) for batch in resumed])
        print(workers, "went on", [len(batch) for batch in batches])
PYTHON
seen=$("$folder/venv/bin/python" -W ignore "$folder/seen.py")
echo "$seen"
expected='0 resumed [8, 8, 8, 8]
0 went on [8, 8, 8, 8]
2 resumed [4, 4, 4, 4, 4, 4, 4, 4]
2 went on [4, 4, 4, 4, 8, 8]'
[ "$seen" = "$expected" ]
