#!/bin/bash
# A search on SLURM: Ray's head and the search on the first node, a worker on each other one.
# Submit it again to go on. Yours to replace: the lines with #SBATCH, the environment, the search.
#SBATCH --job-name=adasearch
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --time=12:00:00
#SBATCH --signal=B:INT@120

set -euo pipefail

shared=${ADASEARCH_SHARED:-$SLURM_SUBMIT_DIR} # on a file system that all nodes see
# shellcheck disable=SC1091
source "$shared/.venv/bin/activate"

# A token of this job's own: nobody else on the network may use its cluster.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes%%$'\n'*} # where this script runs
ip=$(hostname --ip-address | awk '{print $1}')
address="$ip:$((20000 + SLURM_JOB_ID % 10000))" # two jobs on one node have two ports
step=(--ntasks-per-node=1 --cpus-per-task="$SLURM_CPUS_PER_TASK")

srun "${step[@]}" --nodes=1 --nodelist="$head" \
    ray start --head --node-ip-address="$ip" --port="${address##*:}" \
    --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false --disable-usage-stats --block &

for _ in $(seq 150); do # the others look for the head for half a minute only
    if (: <"/dev/tcp/${address/://}") 2>/dev/null; then break; fi
    sleep 2
done
if ((SLURM_JOB_NUM_NODES > 1)); then
    srun "${step[@]}" --nodes=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
        ray start --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --disable-usage-stats --block &
fi

# One trial a node; the search waits for all of them, and says so if they do not come.
# exec, so that the signal before the time limit reaches the search: it keeps what is finished and ends.
exec adasearch search \
    --address "$address" \
    --results "$shared/results" \
    --dataset "cifar10:$shared/data" \
    --architecture resnet18 \
    --scale full \
    --scheduler deba \
    --epochs 60 \
    --trials 20 \
    --cpus-per-worker "$SLURM_CPUS_PER_TASK" \
    --gpus-per-worker 1 \
    --slots "$SLURM_JOB_NUM_NODES" \
    --wait-for-nodes 300
