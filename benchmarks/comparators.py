"""Table 2 of the paper done again: every method on the same images, under the same protocols, on one machine.

    python benchmarks/comparators.py > benchmarks/results/comparators.json
    python benchmarks/comparators.py docs
    allkit report benchmarks/results/comparators.json --html comparators.html

`benchmarks/comparators.sh` trains, exports and measures; this script reads its records in `results/comparators/`, and
those of the paper's network and of the models that ship. A method that was trained on folds 3 and 4 alone, the two
hardest of five, has records NAME-fold-3.json and NAME-fold-4.json; all methods are compared on these two as well. For
every two methods: the numbers of images that only one of them classifies correctly, and the exact paired test by group
of similar images, adjusted by Holm over the pairs of the same images.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from allkit.benchmark.record.record import figures, load
from allkit.metrics import compare_accuracies, holm, proportion
from allkit.metrics.records import ShareRecord
from allkit.report.comparison import (
    ComparisonRecord,
    CopiedRecord,
    MethodRecord,
    PairRecord,
    ResultRecord,
    SpeedRecord,
    comparison_tables,
    front_of,
)
from allkit.report.paper import CITED

RESULTS = Path(__file__).parent / "results"
RECORDS = RESULTS / "comparators"
# Those with the least accuracy of the network that ships, before any other was trained.
HARDEST = (3, 4)
NOTE = (
    "The recipe of the network that ships was chosen among trials on the random test part and grouped folds 4 and 5: "
    "its figures are a little too good."
)


@dataclass(frozen=True)
class Method:
    """name: of its records in RECORDS. title: as tables call it. file: its exported files, without precision. random,
    grouped: its records, where they are elsewhere. for_speed: whether the files are of a training of another length."""

    name: str
    title: str
    file: str | None = None
    random: str | None = None
    grouped: str | None = None
    for_speed: bool = False


METHODS = (
    Method("vgg16", "modified VGG16", "vgg16x1-150", "paper/imagenet-150", "paper/grouped-150", True),
    Method("vgg16x0.25", "VGG16, x0.25", "vgg16x0.25-112"),
    Method("patchvggx0.25", "patchvgg, x0.25", "patchvggx0.25-112"),
    Method(
        "shipped",
        "patchvgg, x0.25, as shipped",
        "patchvggx0.25-112",
        "trials/11-transfer",
        "grouped/patchvggx0.25-strong-transfer-300-epochs",
        for_speed=True,
    ),
    Method("mobilenetv2x1", "MobileNetV2", "mobilenetv2x1-112"),
    Method("resnet50x1", "ResNet-50", "resnet50x1-112"),
    Method("resnet101x1", "ResNet-101", "resnet101x1-112"),
    Method("densenet121x1", "DenseNet-121", "densenet121x1-112"),
    Method("darknet19x1", "DarkNet-19", "darknet19x1-112"),
    Method("vgg16-features", "ImageNet features of VGG16", "vgg16-block3x1-224", for_speed=True),
    Method("spca-sgd", "supervised components, SGD"),
    Method("colour-histogram", "nearest colour histogram"),
    Method("cnn-kadhim", "CNN"),
    Method("dnn-tusar", "DNN"),
    Method("dnn-dogan", "DNN"),
    Method("pso-pca", "particle swarm, components"),
)


@dataclass(frozen=True)
class Tested:
    """Predictions of test images. folds: the number of each image's fold, 0 where there are none."""

    path: np.ndarray
    group: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    folds: np.ndarray

    @property
    def right(self) -> np.ndarray:
        return self.truth == self.predicted

    def of(self, folds: Sequence[int]) -> Tested:
        """The images of some folds."""
        rows = np.isin(self.folds, folds)
        return Tested(*(column[rows] for column in vars(self).values()))


def read(method: Method, protocol: str) -> tuple[Mapping[str, Any] | None, Tested | None]:
    """The record of a method under a protocol, and its predictions; None where it was not trained."""
    elsewhere = getattr(method, protocol)
    path = RESULTS / f"{elsewhere}.json" if elsewhere else RECORDS / f"{method.name}-{protocol}.json"
    if path.exists():
        record = json.loads(path.read_text())
        sizes = [fold["n"]["test"] for fold in record.get("folds", [])]
        folds = np.repeat(np.arange(1, len(sizes) + 1), sizes) if sizes else None
        return record, _tested(record, folds)
    parts = {fold: RECORDS / f"{method.name}-fold-{fold}.json" for fold in HARDEST}
    if protocol == "random" or not all(part.exists() for part in parts.values()):
        return None, None
    records = {fold: json.loads(part.read_text()) for fold, part in parts.items()}
    found = [_tested(record, np.full(len(record["predictions"]["path"]), fold)) for fold, record in records.items()]
    return records[HARDEST[0]], Tested(*map(np.concatenate, zip(*(vars(one).values() for one in found), strict=True)))


def _tested(record: Mapping[str, Any], folds: np.ndarray | None) -> Tested:
    columns = {name: np.array(record["predictions"][name]) for name in ("path", "group", "truth", "predicted")}
    return Tested(**columns, folds=np.zeros(len(columns["path"]), int) if folds is None else folds)


def result(tested: Tested) -> ResultRecord:
    share = proportion(tested.right, tested.group)
    return ResultRecord(
        n=len(tested.path),
        groups=len(np.unique(tested.group)),
        accuracy=ShareRecord(share.value, share.low, share.high),
    )


def learnt(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a method begins with and how long it learns, the images it sees and the numbers it keeps."""
    if "settings" not in record:
        return {name: record[name] for name in ("training", "size_px", "parameters")}
    recipe = record["settings"]["recipe"]
    weights = "random weights" if recipe["weights"] == "random" else "ImageNet weights"
    return {
        "training": f"{weights}, {recipe['epochs']} epochs",
        "size_px": record["settings"]["pixels"]["size_px"],
        "parameters": record["parameters"],
    }


def told(method: Method, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all records of a method say of it; ValueError where they differ. None without any."""
    found = [learnt(record) for record in records]
    for one in found[1:]:
        if (one["training"], one["size_px"]) != (found[0]["training"], found[0]["size_px"]):
            raise ValueError(f"the records of {method.name} are of different trainings: {found[0]} and {one}")
    return found[0] if found else {"training": None, "size_px": None, "parameters": None}


def speeds(method: Method, bench: Mapping[str, Any] | None) -> tuple[float | None, dict[str, SpeedRecord]]:
    """GMAC of a network, and the figures of its files by precision."""
    rows = [row for row in figures(bench) if row.model.rpartition("-")[0] == method.file] if bench else []
    found = {
        row.precision: SpeedRecord(
            mib=row.mib,
            ms=row.model_ms[50],
            end_to_end_ms=row.milliseconds,
            images_per_s=max(row.images_per_s.values()),
            accuracy=ShareRecord(**vars(row.accuracy)) if row.accuracy and not method.for_speed else None,
        )
        for row in rows
        if not row.failed
    }
    return (rows[0].gmac if rows else None), found


def pairs(tested: Mapping[str, Mapping[str, Tested]]) -> Iterator[PairRecord]:
    """Every two methods on the same images: of the random split, of all folds, and, where one of the two was trained on
    these alone, of the hardest folds. tested: by protocol and title."""
    families: dict[str, list[tuple[str, str, Tested, Tested]]] = {}
    for protocol, found in tested.items():
        for first, second in combinations(found, 2):
            a, b, images = found[first], found[second], f"{protocol} split"
            if protocol == "grouped":
                images = "five grouped folds"
                if len(a.path) != len(b.path):
                    a, b, images = a.of(HARDEST), b.of(HARDEST), f"folds {HARDEST[0]} and {HARDEST[1]}"
            if not (np.array_equal(a.path, b.path) and np.array_equal(a.group, b.group)):
                raise ValueError(f"{first} and {second} were tested on other images of the {protocol} split")
            families.setdefault(images, []).append((first, second, a, b))
    for images, family in families.items():
        tests = [compare_accuracies(a.right, b.right, a.group) for _, _, a, b in family]
        p_values = holm([test.p_value for test in tests])
        for (first, second, _, _), test, p_value in zip(family, tests, p_values, strict=True):
            only = {"only_first_right": test.only_a_right, "only_second_right": test.only_b_right}
            yield PairRecord(images, first, second, test.n, test.groups, **only, p_value=p_value)


def compared() -> ComparisonRecord:
    """The comparison, from the records of its parts."""
    bench = load(RECORDS / "bench.json") if (RECORDS / "bench.json").exists() else None
    methods, tested = [], {"random": {}, "grouped": {}}
    for method in METHODS:
        (random, on_random), (grouped, on_grouped) = (read(method, protocol) for protocol in tested)
        records = [record for record in (random, grouped) if record]
        if not records and method.name not in CITED:
            continue
        whole = on_grouped is not None and len(set(on_grouped.folds)) > len(HARDEST)
        gmac, files = speeds(method, bench)
        methods.append(
            MethodRecord(
                name=method.name,
                title=method.title,
                **told(method, records),
                copied=[CopiedRecord(*figure) for figure in CITED.get(method.name, ())],
                random=result(on_random) if on_random else None,
                grouped=result(on_grouped) if whole else None,
                hardest=result(on_grouped.of(HARDEST)) if on_grouped else None,
                gmac=gmac,
                speed=files,
            )
        )
        for protocol, found in (("random", on_random), ("grouped", on_grouped)):
            if found:
                tested[protocol][method.title] = found
    machine = bench["machine"] if bench else None
    return ComparisonRecord(
        schema_version=1,
        command="python benchmarks/comparators.py",
        hardest=list(HARDEST),
        note=NOTE,
        machine=f"{machine['processor']}, {machine['cores']} cores" if machine else None,
        methods=methods,
        front=sorted(front_of(methods)),
        pairs=list(pairs(tested)),
    )


def write_docs(record: ComparisonRecord, page: Path = RESULTS.parents[1] / "toolkit/docs/results.md") -> None:
    """Insert accuracies and costs at their mark in the results page."""
    before, rest = page.read_text().split("<!-- comparators -->")
    _, after = rest.split("<!-- /comparators -->")
    text = "\n".join(line for table in comparison_tables(record)[:2] for line in (*table.markdown, ""))
    page.write_text(f"{before}<!-- comparators -->\n{text}<!-- /comparators -->{after}")


if __name__ == "__main__":
    if sys.argv[1:] == ["docs"]:
        write_docs(compared())
    else:
        print(msgspec.json.format(msgspec.json.encode(compared()), indent=1).decode())
