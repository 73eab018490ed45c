#!/usr/bin/env bash
# A Ray task imports another module of the same name than the script that started it.
#
# Versions: ray 2.60.0, Python 3.11, Linux.
# Guess: a script and its tasks import the same files. The folder of the script is first in sys.path of both.
# Seen: the worker has the driver's current folder in front of the script's folder. A script that is started from
#   another folder, in which a module of the same name lies, uses its own module, and its tasks use the other one,
#   without a word.
# Source: ray/_private/worker.py of that version, connect(): it adds the script's folder and then the current one to what
#   each worker puts in front of its sys.path, one after the other, so that the last one comes first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray==2.60.0"
mkdir "$folder/project" "$folder/elsewhere"
echo 'LEARNING_RATE = 0.1' > "$folder/project/run_settings.py"
echo 'LEARNING_RATE = 9.9' > "$folder/elsewhere/run_settings.py"
cat > "$folder/project/main.py" <<'PYTHON'
import ray
import run_settings


@ray.remote
def rate_in_task():
    import run_settings

    return run_settings.LEARNING_RATE


ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
print(f"script {run_settings.LEARNING_RATE}, task {ray.get(rate_in_task.remote())}")
PYTHON
cd "$folder/elsewhere"
seen=$("$folder/venv/bin/python" ../project/main.py 2> /dev/null)
echo "$seen"
[ "$seen" = "script 0.1, task 9.9" ]
