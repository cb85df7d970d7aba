"""An audit as one HTML page that needs no other file, so that it can be mailed, archived and printed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from allkit.auditing.audit import COLOUR_HISTOGRAM, Audit, DuplicateGroup
from allkit.auditing.text import BASELINES, PATCHES, PROTOCOLS, conclusions, counted
from allkit.data.protocol import FOLDS
from allkit.imaging.pixel_path import PixelPath
from allkit.report.html import Verdict, render
from allkit.report.thumbnails import data_url

MAX_GROUPS = 48
MAX_IMAGES = 6
_THUMBNAIL = PixelPath(112)
# Row and column of each patch in a grid of three by three.
_PLACES = {"top_left": "1/1", "top_right": "1/3", "centre": "2/2", "bottom_left": "3/1", "bottom_right": "3/3"}


def audit_page(audit: Audit) -> str:
    """The page as text. It reads the pictured images below `audit.root`; AllkitError when one is gone.

    At most `MAX_GROUPS` groups of each kind and `MAX_IMAGES` images of a group are pictured; the page says so.
    """
    first, *others = conclusions(audit)
    near = f"Near duplicates, linked by at most {audit.near_threshold} of 256 bits"
    return render(
        "audit.html.j2",
        title=f"Audit of {Path(audit.root).name or audit.root}",
        summary=Verdict(_key_figures(audit), first),
        audit=audit,
        conclusions=others,
        counts={"class": audit.counts, "size in pixels": audit.sizes, "format": audit.formats},
        left_out={"Images that cannot be read": audit.unreadable, "Files left out": audit.skipped},
        protocol_names=PROTOCOLS,
        folds=FOLDS,
        baselines=BASELINES,
        places=_PLACES,
        patch_names=PATCHES,
        duplicates=[
            _duplicates(Path(audit.root), "Duplicates across classes", audit.cross_class),
            _duplicates(Path(audit.root), "Byte-identical files", audit.exact_duplicates),
            _duplicates(Path(audit.root), near, audit.near_duplicates),
        ],
    )


def _key_figures(audit: Audit) -> list[tuple[str, str]]:
    shown = [(f"{audit.n:,}", f"images in {len(audit.counts)} classes")]
    if audit.protocols:
        # The strictest protocol is the last.
        name, protocol = list(audit.protocols.items())[-1]
        share = protocol.baselines[COLOUR_HISTOGRAM]
        shown.append((f"{100 * share.value:.1f} %", f"of classes told by colour alone, {PROTOCOLS[name]} splits"))
    pairs = audit.exact_pairs + audit.near_pairs
    return [*shown, (f"{pairs:,}", "pair of duplicates" if pairs == 1 else "pairs of duplicates")]


def _duplicates(root: Path, title: str, groups: Sequence[DuplicateGroup]) -> dict[str, Any]:
    return {
        "title": title,
        "count": counted(len(groups), "group"),
        "hidden": len(groups) > MAX_GROUPS,
        "groups": [_group(root, group) for group in groups[:MAX_GROUPS]],
    }


def _group(root: Path, group: DuplicateGroup) -> dict[str, Any]:
    hidden = len(group.paths) - MAX_IMAGES
    return {
        "images": [(path, _thumbnail(root / path)) for path in group.paths[:MAX_IMAGES]],
        "more": counted(hidden, "more image") if hidden > 0 else "",
    }


def _thumbnail(path: Path) -> str:
    return data_url(_THUMBNAIL.load(path))
