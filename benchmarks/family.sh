#!/usr/bin/env bash
# Write exported/README.md: accuracy and shifts of each model in exported/ on its test part, and speed if bench.json is of
# these files (`allkit bench exported/*.onnx --data ALL/ --json benchmarks/results/bench.json`).
#
#     benchmarks/family.sh ALL/
set -euo pipefail
data=$(realpath "$1")
cd "$(dirname "$0")/.."
records=()
for model in exported/*.onnx; do
  record=benchmarks/results/$(basename "$model" .onnx)-evaluate.json
  allkit evaluate "$model" --data "$data" --part test --shift --json > "$record"
  records+=("$record")
done
allkit report exported/ "${records[@]}" benchmarks/results/bench.json --title "Models" --markdown exported/README.md \
  --note "Data: 2,770 of the 3,256 images of the ALL image set (Aria et al., doi 10.34740/KAGGLE/DSV/2175623; \
Ghaderzadeh et al. 2022, doi 10.1002/int.22753), random split 80/10/10 with byte-identical files on one side; trained \
from random weights. The models share a test part, and the recipe was chosen among trials on it: see \
../benchmarks/training.md, also for grouped cross-validation, where accuracy is lower: 95.23 % [92.18, 97.13] for \
patchvggx0.25-112, 95.67 % [90.49, 98.09] for vgg16x0.25-112." \
  --note "Intended use: research, teaching and engineering on this dataset and images like it. Not for diagnosis, \
screening or any decision about a patient." \
  --note "Limits: one dataset of one laboratory, whose classes colour alone nearly tells apart; 89 patients whose images \
the dataset does not name, so that neighbouring test images may be of patients that were trained on; four classes, and \
every image gets one of them: heed the columns uncertain and unfamiliar." \
  --note "Licence: the files are part of allkit, MIT. No image is in them; the dataset has its own terms."
