#!/usr/bin/env bash
# A worker process for which any environment variable is named starts Python twice, and so does every trial of Ray Tune.
#
# Versions: ray 2.60.0, Python 3.11.
# Guess: runtime_env={"env_vars": {...}} costs nothing to speak of: Ray starts processes of its own anyway, and hands them an
#   environment. A process for it is not shared with others, that is all.
# Seen: with one variable named, the interpreter starts, imports what a site makes it import, reads the variable, and replaces
#   itself by the interpreter once more: two starts under one process number, where a process without has one. Processor
#   time until an actor answers was 0.55 s in place of 0.30 s. Ray Tune names variables for every trial, whether the user
#   does or not, and what such a process starts inherits them: each actor, each worker of Ray Train.
# Source: ray/_private/workers/setup_worker.py and ray/_private/runtime_env/context.py of that version, exec_worker.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray==2.60.0"
mkdir "$folder/site"
cat > "$folder/site/sitecustomize.py" <<'PYTHON'
import os

with open(os.environ["STARTS"], "a") as file:
    file.write(f"{os.getpid()}\n")
PYTHON
touch "$folder/starts"
seen=$(STARTS="$folder/starts" PYTHONPATH="$folder/site" "$folder/venv/bin/python" - 2> "$folder/log" <<'PYTHON'
import os

import ray

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)


@ray.remote
class Actor:
    def starts(self):
        with open(os.environ["STARTS"]) as file:
            return file.read().split().count(str(os.getpid()))


for name, environment in (("none", {}), ("one", {"env_vars": {"ANY": "1"}})):
    actor = Actor.options(runtime_env=environment, num_cpus=0).remote()
    print(f"variables: {name}, starts: {ray.get(actor.starts.remote())}")
PYTHON
)
echo "$seen"
[ "$seen" = $'variables: none, starts: 1\nvariables: one, starts: 2' ]
