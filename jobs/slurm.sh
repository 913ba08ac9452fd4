#!/usr/bin/env bash
# A run on Slurm: Ray starts on every node of the allocation, labels or trains, and ends with it.
#
#   sbatch jobs/slurm.sh ROOT OUTPUT --sequence all [options of `vsrd-ray label`]
#   sbatch --export=ALL,VSRD_RAY_COMMAND=train jobs/slurm.sh ROOT OUTPUT --sequence all --workers 16 [of `vsrd-ray train`]
#
# ROOT is a path that every node reads, or a URI; OUTPUT is written by the first node alone. CHANGE the sizes below.
#SBATCH --job-name=vsrd-ray
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --time=24:00:00
#SBATCH --output=vsrd-ray-%j.log
# Whole nodes: Ray takes what the machine has, and `ray stop` at the end stops every Ray of yours on it.
#SBATCH --exclusive
# After a preemption or the loss of a node, Slurm starts the job again; the run goes on where it was. After the time
# limit, submit the same command again.
#SBATCH --requeue
#SBATCH --open-mode=append

set -euo pipefail

if (($# < 2)); then
  echo "usage: sbatch jobs/slurm.sh ROOT OUTPUT --sequence all [options of vsrd-ray label]" >&2
  exit 2
fi
command=${VSRD_RAY_COMMAND:-label}
root=$1
output=$2
shift 2

# CHANGE: where vsrd-ray is installed, on a file system that every node reads.
if [[ -n ${VSRD_RAY_VENV:-} ]]; then
  # shellcheck disable=SC1091  # the environment's own file
  source "$VSRD_RAY_VENV/bin/activate"
fi

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST") # one a line
HEAD=${nodes%%$'\n'*}

# Who reaches Ray's ports runs code as you: others on the nodes' network are refused without this run's token.
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300 # seconds; the default of 30 is short for a busy file system

# --cpus-per-task: without it, newer Slurms bind a step to one core.
srun --cpus-per-task="$SLURM_CPUS_ON_NODE" --cpu-bind=none \
  ray symmetric-run --address "$HEAD:6379" --min-nodes "$SLURM_NNODES" -- \
  vsrd-ray "$command" --address auto --root "$root" --output "$output" "$@"

vsrd-ray status "$output"
# symmetric-run ends with 0 where Ray itself could not start.
if ! vsrd-ray status "$output" --json | grep -q '"status": "complete'; then
  echo "Ray did not start: $output holds no run that has ended; the log above says why" >&2
  exit 1
fi
