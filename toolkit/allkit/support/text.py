"""Texts from files and file names, made safe to show: on a terminal and in Markdown (templates do it for HTML).

A name from the disk may hold what moves the cursor, turns the direction of writing, is no Unicode at all, or is markup
to whoever displays it. It is shown as what it is, escaped, never obeyed and never left out.
"""

from __future__ import annotations

import re

# Control characters (C0, DEL, C1), line and paragraph separators, marks of writing direction, which can make one name
# look like another, and lone surrogates, which are no characters; Python carries bytes that are not UTF-8 as such.
_CONTROL = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_INVISIBLE = re.compile(f"[{_CONTROL}]")
_INVISIBLE_BUT_LINES = re.compile(f"(?![\n\t])[{_CONTROL}]")

_MARKDOWN = {
    **{character: f"&#{ord(character)};" for character in "\\`*~$_"},
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "|": r"\|",
    "](": r"]\(",
}
# An underline inside a word is no emphasis in Markdown.
_IN_MARKDOWN = re.compile(r"[\\`*~$&<>|]|\]\(|(?<![^\W_])_|_(?![^\W_])")


def visible(text: str) -> str:
    r"""A name on one line: what cannot be seen, or acts on a terminal, becomes an escape such as `\x1b` or `\u202e`."""
    return _INVISIBLE.sub(_escape, text)


def visible_lines(text: str) -> str:
    """The same for a text of several lines: line feeds and tabs stay."""
    return _INVISIBLE_BUT_LINES.sub(_escape, text)


def unprintable(text: str) -> bool:
    """Whether `visible` would change it."""
    return _INVISIBLE.search(text) is not None


def markdown(text: str) -> str:
    """A name or another text from elsewhere as Markdown, in a table too: no tag, link, emphasis or column is in it."""
    return _IN_MARKDOWN.sub(lambda found: _MARKDOWN[found[0]], visible(text))


def _escape(found: re.Match) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        # A byte of a file name that is not UTF-8.
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
