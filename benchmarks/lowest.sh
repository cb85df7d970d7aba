#!/usr/bin/env bash
# Run the tests with the oldest libraries that pyproject.toml allows, in a fresh environment outside the checkout:
#
#     benchmarks/lowest.sh [ARGUMENTS OF pytest]
#
# PYTHON names the interpreter, 3.11 by default, the oldest that allkit runs on.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet uv
"$work/venv/bin/uv" pip install --quiet --python "$work/venv" --resolution lowest-direct -e ".[train,dev]"
"$work/venv/bin/python" -m pytest "$@"
