#!/usr/bin/env bash
# To Tune a trial whose metric is NaN has ended; in the Optuna study behind it, it runs for ever.
#
# Versions: ray 2.60.0, optuna 5.0.0, Python 3.11.
# Guess: a trial that reports NaN is failed, as in a study that Optuna itself runs: there it is FAIL.
# Seen: a warning, "The value nan is not acceptable", and the trial stays RUNNING. It is in no count of complete, failed or
#   pruned trials, a study in a database shows it as one that a worker is still at, and a sampler with constant_liar=True
#   keeps away from its point as from one that is being tried.
# Source: ray/tune/search/optuna/optuna_search.py of that version, on_trial_complete, which logs whatever Study.tell raises;
#   Optuna's own loop, optuna/study/_optimize.py, lets such a trial fail.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[tune]==2.60.0" "optuna==5.0.0"
seen=$("$folder/venv/bin/python" - 2> "$folder/log" <<'PYTHON'
import optuna
from ray import tune
from ray.tune.search.optuna import OptunaSearch

losses = [float("nan"), 0.5]
search = OptunaSearch(seed=0)
search.set_search_properties(metric="loss", mode="min", config={"lr": tune.loguniform(1e-4, 1e-1)})
for number, loss in enumerate(losses):
    search.suggest(str(number))
    search.on_trial_complete(str(number), {"loss": loss})
print("OptunaSearch", *(trial.state.name for trial in search._ot_study.trials))

study = optuna.create_study()
study.optimize(lambda trial: losses[trial.number], n_trials=2)
print("Optuna", *(trial.state.name for trial in study.trials))
PYTHON
)
echo "$seen"
[ "$seen" = $'OptunaSearch RUNNING COMPLETE\nOptuna FAIL COMPLETE' ]
