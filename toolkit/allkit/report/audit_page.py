"""An audit as one HTML page that needs no other file, so that it can be mailed, archived and printed.

Styles and thumbnails are inside; there is no script. Every text that comes from the disk is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2

from allkit.auditing.audit import Audit, DuplicateGroup, ProtocolAudit
from allkit.auditing.text import BASELINES, PATCHES, PROTOCOLS, conclusions, counted
from allkit.data.protocol import FOLDS
from allkit.imaging.pixel_path import PixelPath
from allkit.metrics import Interval
from allkit.report.frame import document, text

MAX_GROUPS = 48
MAX_IMAGES = 6
_THUMBNAIL = PixelPath(112)
_JPEG_QUALITY = 80

_STYLE = """
.share{min-width:11rem}
.bar{position:relative;height:.5rem;background:var(--fill);border-radius:3px;margin-top:.2rem;overflow:hidden}
.bar i{position:absolute;inset:0 auto 0 0;background:var(--bar)}
.frame{display:grid;grid-template-columns:repeat(3,1fr);grid-template-rows:repeat(3,1fr);width:18rem;height:18rem;
border:1px solid var(--line);font-size:.75rem;margin:0;background:var(--fill)}
.frame span{display:flex;align-items:center;justify-content:center;text-align:center;border:1px dashed var(--soft);
padding:.2rem}
.frame .tells{border:2px solid var(--bad);color:var(--bad);font-weight:600}
.groups{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,15.5rem),1fr));gap:.9rem}
.group{border:1px solid var(--line);border-radius:6px;padding:.6rem;display:flex;flex-wrap:wrap;gap:.5rem;
break-inside:avoid}
.group figure{width:6.6rem}
img{width:100%;height:auto;display:block;border-radius:3px}
"""


def render(audit: Audit) -> str:
    """The page as text. It reads the pictured images below `audit.root`; AllkitError when one is gone.

    At most `MAX_GROUPS` groups of each kind and `MAX_IMAGES` images of a group are pictured; the page says so.
    """
    title = f"Audit of {Path(audit.root).name or audit.root}"
    body = [
        f"<h1>{text(title)}</h1>",
        f'<p class="soft">{audit.n:,} images in {len(audit.counts)} classes, below <code>{text(audit.root)}</code>. '
        f"Fingerprint <code>{audit.data_fingerprint}</code>.</p>",
        "<h2>What it means</h2>",
        *(f"<p>{text(paragraph)}</p>" for paragraph in conclusions(audit)),
        *_files(audit),
        *_baselines(audit.protocols),
        *_corners(audit.protocols),
        *_duplicates(audit),
    ]
    return document(title, _STYLE, body)


def _files(audit: Audit) -> Iterable[str]:
    yield '<h2>Files</h2>\n<div class="row">'
    for title, counts in (("class", audit.counts), ("size in pixels", audit.sizes), ("format", audit.formats)):
        rows = "".join(f'<tr><td>{text(name)}</td><td class="number">{n:,}</td></tr>' for name, n in counts.items())
        yield f'<table><tr><th>{title}</th><th class="number">images</th></tr>{rows}</table>'
    yield "</div>"
    yield from _reasons("Images that cannot be read", audit.unreadable)
    yield from _reasons("Files left out", audit.skipped)


def _reasons(title: str, reasons: Mapping[str, str]) -> Iterable[str]:
    if reasons:
        yield f"<h3>{title}: {len(reasons):,}</h3>"
        items = "".join(f"<li><code>{text(path)}</code>: {text(why)}</li>" for path, why in reasons.items())
        yield f"<ul>{items}</ul>"


def _baselines(protocols: Mapping[str, ProtocolAudit]) -> Iterable[str]:
    if not protocols:
        return
    yield "<h2>What a method scores that cannot see a cell</h2>"
    heads = "".join(
        f"<th>{text(PROTOCOLS[name])}<br>{protocol.n:,} images in {protocol.groups:,} groups, "
        f"{protocol.folds} of {FOLDS} folds</th>"
        for name, protocol in protocols.items()
    )
    rows = "".join(
        f"<tr><td>{text(words)}</td>{''.join(_share(one.baselines[key]) for one in protocols.values())}</tr>"
        for key, words in BASELINES.items()
    )
    yield f'<div class="wide"><table><tr><th>method</th>{heads}</tr>{rows}</table></div>'
    yield (
        '<p class="soft">Share of images given the class of the training image with the nearest histogram or colour, '
        "or the commonest class of the training images, with its 95 % Wilson interval over the groups of the "
        "protocol.</p>"
    )


def _share(share: Interval) -> str:
    bar = f'<div class="bar" aria-hidden="true"><i style="width:{100 * share.value:.1f}%"></i></div>'
    return f'<td class="share">{text(share.percent())}{bar}</td>'


def _corners(protocols: Mapping[str, ProtocolAudit]) -> Iterable[str]:
    if not protocols:
        return
    yield "<h2>What one small patch tells</h2>"
    yield (
        '<p class="soft">Accuracy of the nearest grey patch at the same place, without its brightness and contrast. '
        "A corner far above the centre holds something burnt in that differs between classes.</p>"
    )
    yield '<div class="row">'
    cells = {"top_left": "1/1", "top_right": "1/3", "centre": "2/2", "bottom_left": "3/1", "bottom_right": "3/3"}
    for name, protocol in protocols.items():
        boxes = ""
        for key, place in cells.items():
            mark = ' class="tells"' if key in protocol.revealing_corners else ""
            share = protocol.patches[key]
            boxes += (
                f'<span{mark} style="grid-area:{place}">{PATCHES[key]}<br>{100 * share.value:.1f} %<br>'
                f"[{100 * share.low:.1f}, {100 * share.high:.1f}]</span>"
            )
        yield f'<figure><div class="frame">{boxes}</div><figcaption>{text(PROTOCOLS[name])}</figcaption></figure>'
    yield "</div>"


def _duplicates(audit: Audit) -> Iterable[str]:
    near = f"Near duplicates, linked by at most {audit.near_threshold} of 256 bits"
    yield "<h2>Duplicates</h2>"
    if audit.cross_class:
        yield (
            '<p class="bad">Duplicates in more than one class: a label is wrong in each of these groups, or doubtful '
            "where the copies are only near.</p>"
        )
    for title, groups in (
        ("Duplicates across classes", audit.cross_class),
        ("Byte-identical files", audit.exact_duplicates),
        (near, audit.near_duplicates),
    ):
        yield f"<h3>{title}: {counted(len(groups), 'group')}</h3>"
        if len(groups) > MAX_GROUPS:
            yield f'<p class="soft">The first {MAX_GROUPS} are shown; the JSON record lists all.</p>'
        if groups:
            yield f'<div class="groups">{"".join(_group(Path(audit.root), one) for one in groups[:MAX_GROUPS])}</div>'


def _group(root: Path, group: DuplicateGroup) -> str:
    figures = "".join(_thumbnail(root, path) for path in group.paths[:MAX_IMAGES])
    hidden = len(group.paths) - MAX_IMAGES
    more = f'<p class="soft">and {counted(hidden, "more image")}</p>' if hidden > 0 else ""
    return f'<div class="group">{figures}{more}</div>'


def _thumbnail(root: Path, path: str) -> str:
    image = cv2.cvtColor(_THUMBNAIL.load(root / path), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    source = base64.b64encode(data.tobytes()).decode()
    size = _THUMBNAIL.size_px
    return (
        f'<figure><img src="data:image/jpeg;base64,{source}" width="{size}" height="{size}" alt="{text(path)}">'
        f"<figcaption>{text(path)}</figcaption></figure>"
    )
