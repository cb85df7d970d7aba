#!/usr/bin/env bash
# From a bare machine with an NVIDIA driver for CUDA 13 and Python 3.11 or newer to benchmarks/results/gpu.json:
#
#     benchmarks/gpu.sh [OPTIONS OF gpu.py]
#
# PYTHON names the interpreter. Without access to a package registry, WHEELS names a folder of wheels by its absolute
# path; what it lacks, including the CUDA libraries, comes from the system.
set -euo pipefail
cd "$(dirname "$0")/.."
nvidia-smi > /dev/null 2>&1 || { echo "error: no NVIDIA driver answers; install one for CUDA 13" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv ${WHEELS:+--system-site-packages} "$work/venv"
from=() libraries="[cuda,cudnn]"
[ -z "${WHEELS:-}" ] || from=(--no-index --find-links "$WHEELS" --no-build-isolation) libraries=
"$work/venv/bin/pip" install --quiet "${from[@]}" -e .
"$work/venv/bin/pip" uninstall --quiet --yes onnxruntime
"$work/venv/bin/pip" install --quiet "${from[@]}" "onnxruntime-gpu$libraries"
export ORT_DISABLE_TELEMETRY=1
"$work/venv/bin/python" benchmarks/gpu.py "$@" > "$work/gpu.json"
mv "$work/gpu.json" benchmarks/results/gpu.json
echo "recorded in benchmarks/results/gpu.json"
