"""An audit as one HTML page that needs no other file, so that it can be mailed, archived and printed.

Styles and thumbnails are inside; there is no script. Every text that comes from the disk is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

import cv2

from allkit.dataset.audit import Audit, DuplicateGroup, ProtocolAudit
from allkit.dataset.audit_text import BASELINES, PATCHES, PROTOCOLS, conclusions, counted, printable
from allkit.dataset.protocol import FOLDS
from allkit.images import PixelPath
from allkit.stats import Interval

MAX_GROUPS = 48
MAX_IMAGES = 6
_THUMBNAIL = PixelPath(112)
_JPEG_QUALITY = 80

_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b2230;--soft:#596273;--line:#d9dde4;--fill:#f3f5f8;--bar:#3867b5;
--bad:#b3261e;--bad-fill:#fcecea}
@media(prefers-color-scheme:dark){:root{--paper:#14171d;--ink:#e7eaf0;--soft:#a2abba;--line:#343a46;--fill:#1d222b;
--bar:#7ea6ea;--bad:#ff8a80;--bad-fill:#3a1d1b}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1.5rem 1rem 3rem;background:var(--paper);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:0;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem}
h3{font-size:1rem;margin:1.4rem 0 .4rem}
p{margin:.5rem 0;max-width:46rem}
.soft,figcaption{color:var(--soft)}
.soft,figcaption,td,th{font-size:.9rem}
.bad{color:var(--bad);background:var(--bad-fill);border-left:4px solid var(--bad);padding:.4rem .8rem}
code,li{overflow-wrap:anywhere}
.wide{overflow-x:auto}
table{border-collapse:collapse;margin:.3rem 0}
th,td{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
.share{min-width:11rem}
.bar{position:relative;height:.5rem;background:var(--fill);border-radius:3px;margin-top:.2rem;overflow:hidden}
.bar i{position:absolute;inset:0 auto 0 0;background:var(--bar)}
.row{display:flex;flex-wrap:wrap;gap:.5rem 2rem;align-items:start}
.frame{display:grid;grid-template-columns:repeat(3,1fr);grid-template-rows:repeat(3,1fr);width:18rem;height:18rem;
border:1px solid var(--line);font-size:.75rem;margin:0;background:var(--fill)}
.frame span{display:flex;align-items:center;justify-content:center;text-align:center;border:1px dashed var(--soft);
padding:.2rem}
.frame .tells{border:2px solid var(--bad);color:var(--bad);font-weight:600}
.groups{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,15.5rem),1fr));gap:.9rem}
.group{border:1px solid var(--line);border-radius:6px;padding:.6rem;display:flex;flex-wrap:wrap;gap:.5rem;
break-inside:avoid}
figure{margin:0}
.group figure{width:6.6rem}
figcaption{font-size:.75rem;overflow-wrap:anywhere;line-height:1.25}
img{width:100%;height:auto;display:block;border-radius:3px}
@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--fill:#f3f3f3;--bar:#3867b5;--bad:#900;
--bad-fill:#fff}body{max-width:none;padding:0;font-size:10pt}h2{break-after:avoid}.bar,.bar i{print-color-adjust:exact}}
"""


def render(audit: Audit) -> str:
    """The page as text. It reads the pictured images below `audit.root`; AllkitError when one is gone.

    At most `MAX_GROUPS` groups of each kind and `MAX_IMAGES` images of a group are pictured; the page says so.
    """
    title = f"Audit of {Path(audit.root).name or audit.root}"
    body = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="soft">{audit.n:,} images in {len(audit.counts)} classes, below <code>{_text(audit.root)}</code>. '
        f"Fingerprint <code>{audit.data_fingerprint}</code>.</p>",
        "<h2>What it means</h2>",
        *(f"<p>{_text(paragraph)}</p>" for paragraph in conclusions(audit)),
        *_files(audit),
        *_baselines(audit.protocols),
        *_corners(audit.protocols),
        *_duplicates(audit),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n"
        "</body>\n</html>\n"
    )


def _text(text: str) -> str:
    # A per cent sign stays with its number.
    return escape(printable(text)).replace(" %", "\N{NO-BREAK SPACE}%")


def _files(audit: Audit) -> Iterable[str]:
    yield '<h2>Files</h2>\n<div class="row">'
    for title, counts in (("class", audit.counts), ("size in pixels", audit.sizes), ("format", audit.formats)):
        rows = "".join(f'<tr><td>{_text(name)}</td><td class="number">{n:,}</td></tr>' for name, n in counts.items())
        yield f'<table><tr><th>{title}</th><th class="number">images</th></tr>{rows}</table>'
    yield "</div>"
    yield from _reasons("Images that cannot be read", audit.unreadable)
    yield from _reasons("Files left out", audit.skipped)


def _reasons(title: str, reasons: Mapping[str, str]) -> Iterable[str]:
    if reasons:
        yield f"<h3>{title}: {len(reasons):,}</h3>"
        items = "".join(f"<li><code>{_text(path)}</code>: {_text(why)}</li>" for path, why in reasons.items())
        yield f"<ul>{items}</ul>"


def _baselines(protocols: Mapping[str, ProtocolAudit]) -> Iterable[str]:
    if not protocols:
        return
    yield "<h2>What a method scores that cannot see a cell</h2>"
    heads = "".join(
        f"<th>{_text(PROTOCOLS[name])}<br>{protocol.n:,} images, {protocol.folds} of {FOLDS} folds</th>"
        for name, protocol in protocols.items()
    )
    rows = "".join(
        f"<tr><td>{_text(words)}</td>{''.join(_share(one.baselines[key]) for one in protocols.values())}</tr>"
        for key, words in BASELINES.items()
    )
    yield f'<div class="wide"><table><tr><th>method</th>{heads}</tr>{rows}</table></div>'
    yield (
        '<p class="soft">Share of images given the class of the training image with the nearest histogram or colour, '
        "or the commonest class of the training images, with its 95 % Wilson interval. The interval takes images for "
        "independent; where neighbours are alike the truth is less certain.</p>"
    )


def _share(share: Interval) -> str:
    bar = f'<div class="bar" aria-hidden="true"><i style="width:{100 * share.value:.1f}%"></i></div>'
    return f'<td class="share">{_text(share.percent())}{bar}</td>'


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
        yield f'<figure><div class="frame">{boxes}</div><figcaption>{_text(PROTOCOLS[name])}</figcaption></figure>'
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
        f'<figure><img src="data:image/jpeg;base64,{source}" width="{size}" height="{size}" alt="{_text(path)}">'
        f"<figcaption>{_text(path)}</figcaption></figure>"
    )
