#!/usr/bin/env bash
# What the head of a cloud's cluster does beside Ray, before Ray starts:
#
#   bash ~/gisearch/clusters/head.sh STEP ...
#
#   images     workers start from the head's own image (AWS)
#   storage    /shared, a folder for results that the workers mount over NFS
#   mirror     /shared is filled from its copy in S3, and copied there every five minutes (AWS)
#   mlflow     MLflow's server on 127.0.0.1:5000, with its store in /shared/mlflow
#   announce   after Ray's start: sweeps learn which machines may still come
#   save       /shared is copied to S3 now; before `ray down`, which may come within five minutes of a result
#
# Every step may be run again at any time: what runs already, goes on.
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${GISEARCH_BIN:-$project/.venv/bin}
shared=${GISEARCH_SHARED:-/shared}
config=${GISEARCH_CLUSTER:-$HOME/ray_bootstrap_config.yaml}

. "$project/clusters/system.sh"

# Install a system package where a program is missing.
need() {
    command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] && return
    install_packages "$2"
}

folders() {
    as_root install -d -o "$(id -un)" -g "$(id -gn)" "$shared" "$shared/results" "$shared/mlflow" "$shared/data"
}

# Run a program as a service of the machine: started again after a crash and with the machine, and told to end in
# time before the machine does. A service that runs and whose files have not changed is left alone.
service() {
    local name=$1 unit=/etc/systemd/system/$1.service text
    shift
    text=$(unit_text "$name" "$@")
    if [ "$text" != "$(cat "$unit" 2>/dev/null)" ]; then
        as_root tee "$unit" <<<"$text" >/dev/null
        as_root systemctl daemon-reload
        as_root systemctl enable --quiet "$name"
        as_root systemctl restart "$name"
    else
        as_root systemctl start "$name"
    fi
}

unit_text() {
    local name=$1
    shift
    cat <<UNIT
# Of $(cat "$project/constraints.txt" "$project/clusters/mirror.py" | cksum)
[Unit]
Description=$name of gisearch
Wants=network-online.target
After=network-online.target

[Service]
User=$(id -un)
WorkingDirectory=$shared
Environment=HOME=$HOME PYTHONUNBUFFERED=1 MLFLOW_DISABLE_TELEMETRY=true
# Evaluations of language models.
Environment=MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
ExecStart=$*
Restart=always
RestartSec=5
TimeoutStopSec=300

[Install]
WantedBy=multi-user.target
UNIT
}

images() { "$bin/python" "$project/clusters/machines.py" pin "$config"; }

announce() { "$bin/python" "$project/clusters/machines.py" announce "$config"; }

storage() {
    folders
    need exportfs nfs-kernel-server
    # Who reaches this port is settled by the cloud's firewall, which admits the cluster's own machines; addresses
    # outside a private network are refused besides. Files belong to this user, whoever writes them.
    local options networks=()
    options="rw,sync,no_subtree_check,all_squash,anonuid=$(id -u),anongid=$(id -g)"
    for network in 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16; do networks+=("$network($options)"); done
    as_root mkdir -p /etc/exports.d
    as_root tee /etc/exports.d/gisearch.exports <<<"$shared ${networks[*]}" >/dev/null
    as_root systemctl enable --now --quiet nfs-server
    as_root exportfs -ra
}

mirror() {
    folders
    "$bin/python" "$project/clusters/mirror.py" restore "$config" --root "$shared"
    service gisearch-mirror "$bin/python" "$project/clusters/mirror.py" loop "$config" --root "$shared"
}

save() { "$bin/python" "$project/clusters/mirror.py" save "$config" --root "$shared"; }

mlflow_command() {
    echo "$bin/mlflow server --host 127.0.0.1 --port 5000 --workers 1" \
        "--backend-store-uri sqlite:///$shared/mlflow/mlflow.db --artifacts-destination $shared/mlflow/artifacts"
}

mlflow() {
    folders
    # shellcheck disable=SC2046  # words are wanted
    service gisearch-mlflow $(mlflow_command)
    for _ in $(seq 120); do
        if (exec 3<>/dev/tcp/127.0.0.1/5000) 2>/dev/null; then return; fi
        sleep 1
    done
    echo "error: MLflow did not answer within two minutes: journalctl -u gisearch-mlflow" >&2
    return 1
}

for step in "$@"; do
    case $step in
        images | storage | mirror | mlflow | announce | save) "$step" ;;
        *)
            echo "error: unknown step '$step'; expected images, storage, mirror, mlflow, announce or save" >&2
            exit 2
            ;;
    esac
done
