#!/usr/bin/env bash
# What a worker of a cluster does beside Ray. A cloud's:
#
#   bash ~/gisearch/clusters/worker.sh join HEAD_ADDRESS     before Ray starts: mounts the head's /shared, starts:
#   bash ~/gisearch/clusters/worker.sh watch                 ends this machine where Ray is gone for 15 minutes
#
# Only the head ends workers that have nothing to do. Without the second line, a head that dies would leave GPUs behind
# that nobody uses and somebody pays for. A machine of one's own:
#
#   bash ~/gisearch/clusters/worker.sh tidy                  after Ray started: ends what Ray leaves behind when it ends
set -euo pipefail

shared=/shared
minute=${GISEARCH_MINUTE:-60}

. "$(dirname "${BASH_SOURCE[0]}")/system.sh"

join() {
    local head=${1:?expected the address of the head} mounted
    if ! command -v mount.nfs4 >/dev/null && [ ! -x /sbin/mount.nfs4 ]; then
        install_packages nfs-common
    fi
    as_root mkdir -p "$shared"
    mounted=$(findmnt --noheadings --output SOURCE "$shared" || true)
    if [ "$mounted" != "$head:$shared" ]; then
        # The folder of a head that is gone.
        [ -z "$mounted" ] || as_root umount --lazy "$shared"
        # Writes wait while the head restarts ("hard") rather than fail.
        as_root mount -t nfs4 -o hard,timeo=150,noatime "$head:$shared" "$shared"
    fi
    local proof
    proof=$shared/.reached-by-$(hostname)
    touch "$proof" && rm -f "$proof"
    as_root tee /etc/systemd/system/gisearch-watch.service >/dev/null <<UNIT
[Unit]
Description=gisearch-watch: ends this machine where Ray is gone

[Service]
ExecStart=/bin/bash $(realpath "${BASH_SOURCE[0]}") watch
Restart=always
UNIT
    as_root systemctl daemon-reload
    as_root systemctl restart gisearch-watch
}

watch() {
    local gone=0
    while sleep "$minute"; do
        if pgrep -x raylet >/dev/null; then gone=0; else gone=$((gone + 1)); fi
        if [ "$gone" -ge 15 ]; then
            echo "Ray has been gone for 15 minutes: this machine ends"
            systemctl poweroff
            return
        fi
    done
}

# Ray (2.60) ends by itself where its head is gone, but for the process that reads its logs.
tidy() {
    local raylet reader
    raylet=$(pgrep -n -u "$(id -u)" -x raylet)
    reader=$(pgrep -n -u "$(id -u)" -f ray/_private/log_monitor.py)
    # Neither SSH nor its terminal waits for it.
    setsid bash -c "while kill -0 $raylet; do sleep 5; done; kill $reader" </dev/null >/dev/null 2>&1 &
}

case ${1:-} in
    join | watch | tidy) "$@" ;;
    *)
        echo "error: expected join HEAD_ADDRESS, watch or tidy" >&2
        exit 2
        ;;
esac
