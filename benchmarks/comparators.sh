#!/usr/bin/env bash
# The networks and classical methods that others compare with, on the random split and on grouped folds; exported,
# measured, and recorded in benchmarks/results/comparators.json:
#
#     benchmarks/comparators.sh ALL/ vgg16.weights.h5 WORK/ [EPOCHS]
#
# The networks learn from random weights, at 112 px from files decoded at half scale, by one recipe and for as many epochs
# (40). ResNet-101 and DenseNet-121 are trained on grouped folds 3 and 4 alone, the hardest two of five. Two networks of
# other records, at 150 and 224 px, are trained for an epoch, for their speed alone. The script continues after an
# interruption. WORK takes about 3 GB. KERAS_BACKEND=jax trains on an NVIDIA GPU with JAX installed.
set -euo pipefail
data=$(realpath "$1") weights=$(realpath "$2")
mkdir -p "$3"
work=$(realpath "$3")
epochs=${4:-40}
cd "$(dirname "$0")/.."
records=benchmarks/results/comparators
common=(--data "$data" --recipe scratch --size 112 --jpeg-scale 2 --precision bf16 --seed 0 --epochs "$epochs")

train() { # OUT OPTIONS...
    local resume=()
    if [ -e "$1/run.json" ] || compgen -G "$1/fold-*/run.json" > /dev/null; then resume=(--resume); fi
    allkit train --out "$1" "${resume[@]}" "${@:2}"
}
export_run() { # RUN; int8 may lose too much, and is then not compared
    local name
    name=$(python -c 'import sys; from allkit.runs.run import Run; print(Run.open(sys.argv[1]).settings.name)' "$1")
    [ -f "$work/models/$name-fp32.onnx" ] ||
        KERAS_BACKEND=tensorflow allkit export --run "$1" --data "$data" --precision fp32,int8 --out "$work/models" ||
        [ -f "$work/models/$name-fp32.onnx" ]
}
compact() { python -c 'import json, sys; json.dump(json.load(open(sys.argv[1])), open(sys.argv[2], "w"), separators=(",", ":"))' "$@"; }

mkdir -p "$records"
[ -e "$records/vgg16-features-grouped.json" ] || python benchmarks/classical.py "$data" "$weights" "$records"

for network in mobilenetv2:1 patchvgg:0.25 vgg16:0.25 darknet19:1 resnet50:1 densenet121:1 resnet101:1; do
    architecture=${network%:*} width=${network#*:}
    run=$work/${architecture}x$width
    options=("${common[@]}" --architecture "$architecture" --width "$width")
    train "$run" "${options[@]}" --split random
    compact "$run/metrics.json" "$records/$(basename "$run")-random.json"
    export_run "$run"
    if [[ $architecture == resnet101 || $architecture == densenet121 ]]; then
        for fold in 3 4; do
            train "$run-fold-$fold" "${options[@]}" --split "$work/mobilenetv2x1-grouped/fold-$fold/split.json"
            compact "$run-fold-$fold/metrics.json" "$records/$(basename "$run")-fold-$fold.json"
        done
    else
        train "$run-grouped" "${options[@]}" --split grouped --folds 5
        compact "$run-grouped/metrics.json" "$records/$(basename "$run")-grouped.json"
    fi
done

once=(--data "$data" --recipe paper --weights "$weights" --precision bf16 --seed 0 --epochs 1 --split random)
train "$work/vgg16-150" "${once[@]}" --size 150
export_run "$work/vgg16-150"
train "$work/vgg16-block3-224" "${once[@]}" --architecture vgg16-block3 --size 224 --trainable-blocks 0
export_run "$work/vgg16-block3-224"

# A file that fails is named in the record.
allkit bench "$work"/models/*.onnx --data "$data" --queries 64 --batch 1 --batch 8 --json "$work/bench.json" || true
compact "$work/bench.json" "$records/bench.json"
python benchmarks/comparators.py > "$work/comparators.json"
mv "$work/comparators.json" benchmarks/results/comparators.json
python benchmarks/comparators.py docs
allkit report benchmarks/results/comparators.json --html "$work/comparators.html"
