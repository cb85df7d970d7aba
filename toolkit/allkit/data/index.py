"""A tree with one folder per class as a list of labelled files.

Hashes and pixels come from a single read of each file, so that the split, the fingerprint and the training arrays
describe the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from allkit.data.baselines import PIXELS, colour_histograms, leave_one_out_labels, nearest_labels
from allkit.data.duplicates import difference_hashes
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath, decode, is_image_name, natural_key, read_bytes, stack
from allkit.metrics import Interval, proportion
from allkit.model.training_images import perceptual_hashes
from allkit.support.cpus import cores
from allkit.support.files import listing
from allkit.support.names import check_class_names
from allkit.support.progress import Progress, counted
from allkit.support.text import visible
from allkit.support.tree import walk

# Kaggle's archive of the ALL set holds the photographs in Original/, next to Segmented/.
_OUTER_FOLDER = "Original"

# The baseline that every record has beside an accuracy.
BASELINE = "nearest colour histogram"


# How many left-out files a warning lists.
_SHOWN = 5


@dataclass(frozen=True)
class Dataset:
    """Labelled image files below `root`.

    paths: relative POSIX paths, sorted by class and in natural order (img2 before img10).
    labels: int64 (n,), indices of `classes`. skipped: relative path to the reason why it was left out.
    """

    root: Path
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: np.ndarray
    skipped: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    def counts(self) -> dict[str, int]:
        """Number of images per class."""
        return {name: int((self.labels == i).sum()) for i, name in enumerate(self.classes)}

    def without(self, reasons: Mapping[str, str]) -> Dataset:
        """The same dataset without the given paths, which are added to `skipped`."""
        keep = [i for i, path in enumerate(self.paths) if path not in reasons]
        return Dataset(
            self.root,
            self.classes,
            tuple(self.paths[i] for i in keep),
            self.labels[keep],
            {**self.skipped, **reasons},
        )

    def select(self, paths: Iterable[str]) -> np.ndarray:
        """Row numbers (int64) of the given relative paths, in their order."""
        rows = {path: i for i, path in enumerate(self.paths)}
        return np.array([rows[path] for path in paths], np.int64)


@dataclass(frozen=True)
class Images:
    """The images of a dataset after one read of every file.

    hashes: SHA-256 of each file. difference_hashes: bool (n, 256), for near duplicates, and colour_histograms: float32
    (n, 512), for the baseline, both computed at a fixed size. pixels: uint8 (n, S, S, 3), or (0, S, S, 3) if not
    requested. pictures: uint8 (n, 8, 8), by which a model recognises its training images
    (`training_images.perceptual_hashes`).
    """

    dataset: Dataset
    hashes: tuple[str, ...]
    difference_hashes: np.ndarray
    colour_histograms: np.ndarray
    pixels: np.ndarray
    pictures: np.ndarray

    @property
    def hashes_by_path(self) -> dict[str, str]:
        return dict(zip(self.dataset.paths, self.hashes, strict=True))

    def baseline_right(self, train: Iterable[str], test: Iterable[str]) -> np.ndarray:
        """Whether the nearest colour histogram of `train` gives the class of each image of `test`, bool (n,)."""
        labels, tested = self.dataset.labels, self.dataset.select(test)
        return nearest_labels(self.colour_histograms, labels, self.dataset.select(train), tested) == labels[tested]

    def baseline(self, train: Iterable[str], test: Iterable[str], groups: ArrayLike | None = None) -> Interval:
        """Accuracy of the nearest colour histogram of `train` on `test`, with an interval over groups."""
        return proportion(self.baseline_right(train, test), groups)

    def baseline_within(self, paths: Iterable[str] | None = None, groups: ArrayLike | None = None) -> Interval:
        """The same without a training part: the nearest other image (leaving one out)."""
        rows = np.arange(len(self.dataset)) if paths is None else self.dataset.select(paths)
        labels = self.dataset.labels[rows]
        return proportion(leave_one_out_labels(self.colour_histograms[rows], labels) == labels, groups)


def scan(root: Path | str) -> Dataset:
    """List the images of a tree with one folder per class, without opening them.

    Each sub-folder of `root` (or of `root/Original`, Kaggle's layout) is a class and includes everything below it.
    Files that are not images by name are left out with a reason; hidden files and folders are ignored. Raises
    AllkitError for a wrong path, fewer than two classes, names that classes cannot have (`check_class_names`) or a
    class without images.
    """
    root = Path(root)
    if not os.path.isdir(root):
        raise AllkitError(
            f"{root} is not a folder: give --data DIR (or set ALLKIT_DATA) to a folder with one sub-folder per class; "
            "`allkit data synth DIR` draws one, `allkit data download` fetches the ALL set"
        )
    if len(_folders(root / _OUTER_FOLDER)) >= 2:
        root = root / _OUTER_FOLDER
    if not os.access(root, os.R_OK | os.X_OK):
        raise AllkitError(f"cannot read {root}: its folders cannot be listed or entered")
    skipped = {visible(entry.name): "not in a class folder" for entry in listing(root) if not entry.is_dir()}
    classes = tuple(folder.name for folder in _folders(root))
    if len(classes) < 2:
        found = f"only the class folder {classes[0]}" if classes else "no class folder"
        raise AllkitError(f"{root} holds {found}: a classifier needs two or more sub-folders, one per class")
    try:
        check_class_names(classes)
    except AllkitError as error:
        raise AllkitError(f"the folders of {root} cannot name classes: {error}") from error
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found, closed = _files(root / name)
        if root / name in closed:
            raise AllkitError(f"class folder {root / name} {closed[root / name]}")
        skipped.update({path.relative_to(root).as_posix(): reason for path, reason in closed.items()})
        files = sorted((path.relative_to(root).as_posix() for path in found), key=natural_key)
        images = [path for path in files if is_image_name(path)]
        if not images:
            raise AllkitError(f"class folder {root / name} holds no images: add some, or remove the folder")
        skipped.update({path: "not an image by its name" for path in files if not is_image_name(path)})
        paths += images
        labels += [label] * len(images)
    return Dataset(root, classes, tuple(paths), np.array(labels, np.int64), skipped)


def read(dataset: Dataset, pixels: PixelPath | None = None, on_image: Callable[[], None] = lambda: None) -> Images:
    """Read every image once. Unreadable images are moved to `skipped` with the reason.

    Pixels are kept only if `pixels` is given. `on_image` is called once per image. Raises AllkitError when a class
    loses all its images.
    """

    def one(path: str) -> tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None] | AllkitError:
        try:
            data = read_bytes(dataset.root / path)
            image = decode(data)
        except AllkitError as error:
            return error
        reference = PIXELS.fit(image)[None]
        traits = difference_hashes(reference)[0], colour_histograms(reference)[0], perceptual_hashes(image)
        kept = None
        if pixels:
            kept = pixels.fit(image) if pixels.jpeg_scale == 1 else pixels.load(data)
        return hashlib.sha256(data).hexdigest(), *traits, kept

    good = []
    reasons: dict[str, str] = {}
    with ThreadPoolExecutor(cores()) as pool:
        for path, outcome in zip(dataset.paths, pool.map(one, dataset.paths), strict=True):
            if isinstance(outcome, AllkitError):
                reasons[path] = str(outcome)
            else:
                good.append(outcome)
            on_image()
    dataset = dataset.without(reasons)
    for name, count in dataset.counts().items():
        if not count:
            raise AllkitError(f"no image of class {name} in {dataset.root} can be read: replace the files")
    hashes, bits, histograms, pictures, arrays = zip(*good, strict=True)
    kept = stack(arrays, pixels.size_px) if pixels else stack([], PIXELS.size_px)
    return Images(dataset, hashes, np.stack(bits), np.stack(histograms), kept, np.stack(pictures))


def load(dataset: Dataset, pixels: PixelPath | None, progress: Progress) -> Images:
    """`read` with progress, and a warning that lists the files left out."""
    images = read(dataset, pixels, counted(progress, "reading images", len(dataset)))
    if skipped := images.dataset.skipped:
        shown = [f"  {visible(path)}: {visible(reason)}" for path, reason in list(skipped.items())[:_SHOWN]]
        rest = [f"  and {len(skipped) - _SHOWN} more"] if len(skipped) > _SHOWN else []
        progress.note("\n".join([f"warning: {len(skipped)} file(s) left out:", *shown, *rest]))
    return images


def fingerprint(hashes: Mapping[str, str]) -> str:
    """SHA-256 over the path and content hash of every image, in path order."""
    lines = "".join(f"{hashes[path]} {path}\n" for path in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in listing(folder) if entry.is_dir()]


def _files(folder: Path) -> tuple[list[Path], dict[Path, str]]:
    """The visible files below a folder, and those that could not be entered or named, with the reason."""
    tree = walk(folder)
    found: list[Path] = []
    closed = {path: f"cannot be opened: {reason}" for path, reason in tree.closed.items()}
    closed.update(dict.fromkeys(tree.links, "a link to a folder"))
    for path in tree.files:
        # Records are UTF-8; Python represents other bytes of a file name as lone surrogates.
        whole = path.name.encode("utf-8", "replace").decode()
        if whole != path.name:
            closed[path.with_name(whole)] = "its name is not UTF-8"
        else:
            found.append(path)
    return found, closed
