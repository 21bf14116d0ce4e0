#!/usr/bin/env bash
# Prepares a machine for sweeps: the tested set in .venv, the environment of every shell. Quick where nothing changed.
#
#   bash ~/gisearch/clusters/install.sh [EXTRA ...]      extras of pyproject.toml, such as aws
set -euo pipefail
cd "$(dirname "$0")/.."
extras=$(IFS=,; echo "$*")

. clusters/system.sh

missing=()
command -v make >/dev/null || missing+=(make)
command -v rsync >/dev/null || missing+=(rsync)
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
# torch.compile and some wheels look for a compiler.
command -v cc >/dev/null || missing+=(gcc)
if [ "${#missing[@]}" -gt 0 ]; then
    install_packages "${missing[@]}"
fi

make --no-print-directory install EXTRAS="$extras"

# torch-scatter speeds some layers up and is not needed: its ready wheel where there is one for this PyTorch and CUDA.
# Images for GPUs have nvidia-smi on machines without one, too.
if nvidia-smi -L 2>/dev/null | grep -q GPU && [ ! -e .venv/.scatter ]; then
    build=$(.venv/bin/python -c 'import torch
print("torch-%s+cu%s" % (torch.__version__.split("+")[0], (torch.version.cuda or "").replace(".", "")))')
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
        --only-binary torch-scatter --no-deps --find-links "https://data.pyg.org/whl/$build.html" torch-scatter \
        || echo "note: no ready torch-scatter for $build; going on without it"
    touch .venv/.scatter
fi

line="source $PWD/clusters/environment.sh"
if ! grep -qxF "$line" ~/.bashrc 2>/dev/null; then
    # The last line of a file that somebody wrote may lack its end.
    if [ -s ~/.bashrc ] && [ -n "$(tail -c 1 ~/.bashrc)" ]; then echo >> ~/.bashrc; fi
    echo "$line" >> ~/.bashrc
fi
