# What every shell and every Ray process on a cluster's machine has set; ~/.bashrc reads it (clusters/install.sh).
export PATH="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.venv/bin:$PATH"
# Who talks to the cluster shows its token; the head makes it, and Ray copies it to the workers.
export RAY_AUTH_MODE=token
export RAY_USAGE_STATS_ENABLED=0
export MLFLOW_DISABLE_TELEMETRY=true
# Memory that a training step frees is kept for the next one (gisearch/training/allocator.py).
export MALLOC_ARENA_MAX=1
