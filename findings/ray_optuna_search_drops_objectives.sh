#!/usr/bin/env bash
# A metric in Tune's configuration turns a search over two objectives into one over one, and nothing is said.
#
# Versions: ray 2.60.0, optuna 5.0.0, Python 3.11.
# Guess: OptunaSearch(metric=["loss", "seconds"], mode=["min", "min"]) in a Tuner whose TuneConfig names metric="loss", as
#   get_best_result and most trial schedulers want it, either keeps its two objectives, or the two are refused together, as
#   Tune refuses a search space that is given twice.
# Seen: the names of TuneConfig replace those of OptunaSearch. The study has one direction, "seconds" is never told to it, and
#   the sampler looks for the least loss alone; trials, results and log look as they should. Left out of TuneConfig, the
#   same search has two directions and two values a trial.
# Source: ray/tune/search/optuna/optuna_search.py of that version, set_search_properties, which Tune calls with what
#   TuneConfig holds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[tune]==2.60.0" "optuna==5.0.0"
cd "$folder"
"$folder/venv/bin/python" - > seen 2> log <<'PYTHON'
import os

import ray
from ray import tune
from ray.tune.search.optuna import OptunaSearch


def train(config):
    tune.report({"loss": config["x"] ** 2, "seconds": 1 - config["x"]})


ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
for name, named in (("named", {"metric": "loss", "mode": "min"}), ("left out", {})):
    search = OptunaSearch(metric=["loss", "seconds"], mode=["min", "min"], seed=0)
    tune.Tuner(
        train,
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(search_alg=search, num_samples=2, **named),
        run_config=tune.RunConfig(storage_path=os.getcwd(), verbose=0),
    ).fit()
    study = search._ot_study
    print(name, len(study.directions), [len(trial.values) for trial in study.trials])
PYTHON
seen=$(grep -E '^(named|left out) ' seen)
echo "$seen"
[ "$seen" = $'named 1 [1, 1]\nleft out 2 [2, 2]' ]
