#!/usr/bin/env bash
# The paper's network at its four image sizes, from ImageNet and from random weights, on the random split and on grouped
# folds; exported, measured, and recorded in benchmarks/results/paper.json:
#
#     benchmarks/paper.sh ALL/ vgg16.weights.h5 WORK/
#
# It prints how long the trainings will take before it starts them, and continues after an interruption. WORK takes about
# 6 GB: run folders and exported models. KERAS_BACKEND=jax trains on an NVIDIA GPU with JAX installed.
set -euo pipefail
data=$(realpath "$1") weights=$(realpath "$2")
mkdir -p "$3"
work=$(realpath "$3")
cd "$(dirname "$0")/.."
sizes=(--size 300 --size 250 --size 200 --size 150)
imagenet=(--recipe paper --weights "$weights" --epochs 25)
scratch=(--recipe scratch --epochs 25)

python benchmarks/paper.py cost "$data" "$weights"

train() { # NAME OPTIONS...
    local resume=()
    if compgen -G "$work/$1-*" > /dev/null; then resume=(--resume); fi
    allkit train --data "$data" --precision bf16 --seed 0 "${sizes[@]}" --out "$work/$1" "${resume[@]}" "${@:2}"
}
train imagenet "${imagenet[@]}" --split random
train scratch "${scratch[@]}" --split random
train grouped "${imagenet[@]}" --split grouped --folds 5

for run in "$work"/imagenet-*; do
    model="$work/models/vgg16x1-${run##*-}-int8.onnx"
    [ -f "$model" ] || allkit export --run "$run" --data "$data" --out "$work/models"
done
allkit bench "$work"/models/*-fp32.onnx "$work"/models/*-int8.onnx exported/*.onnx --data "$data" --queries 64 \
    --batch 1 --batch 8 --json benchmarks/results/paper/bench.json

compact() { python -c 'import json, sys; json.dump(json.load(open(sys.argv[1])), open(sys.argv[2], "w"), separators=(",", ":"))' "$@"; }
for run in "$work"/{imagenet,scratch,grouped}-*; do
    compact "$run/metrics.json" "benchmarks/results/paper/$(basename "$run").json"
done
for model in "$work"/models/*-int8.onnx; do
    name=$(basename "$model" .onnx)
    allkit evaluate "$model" --data "$data" --part test --shift --json > "benchmarks/results/paper/$name-evaluate.json"
done
python benchmarks/paper.py record > "$work/paper.json"
mv "$work/paper.json" benchmarks/results/paper.json
python benchmarks/paper.py docs
allkit report benchmarks/results/paper/{imagenet,scratch,grouped}-*.json benchmarks/results/paper/bench.json --html "$work/paper.html"
