"""Texts from files and file names, made safe to show: on a terminal and in Markdown (templates do it for HTML).

A file name may contain characters that move the cursor, change the writing direction, are not Unicode, or are markup.
It is shown escaped: never obeyed and never left out.
"""

from __future__ import annotations

import re

# Control characters (C0, DEL, C1), line and paragraph separators, direction marks, which can make one name look like
# another, and lone surrogates, which Python uses for bytes that are not UTF-8.
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
# An underline inside a word is not emphasis in Markdown.
_IN_MARKDOWN = re.compile(r"[\\`*~$&<>|]|\]\(|(?<![^\W_])_|_(?![^\W_])")


def visible(text: str) -> str:
    r"""A name on one line, with invisible and control characters as escapes such as `\x1b` or `\u202e`."""
    return _INVISIBLE.sub(_escape, text)


def visible_lines(text: str) -> str:
    """The same for a text of several lines: newlines and tabs stay."""
    return _INVISIBLE_BUT_LINES.sub(_escape, text)


def unprintable(text: str) -> bool:
    """Whether `visible` would change the text."""
    return _INVISIBLE.search(text) is not None


def markdown(text: str) -> str:
    """A foreign text for Markdown, also in a table: it contains no tag, link, emphasis or column."""
    return _IN_MARKDOWN.sub(lambda found: _MARKDOWN[found[0]], visible(text))


def shortened(text: str, most: int) -> str:
    """A text of at most `most` characters, the middle of a longer one replaced by three dots."""
    if len(text) <= most:
        return text
    head = max(0, most - 3) // 2
    return f"{text[:head]}...{text[len(text) - (max(0, most - 3) - head) :]}"[:most]


def _escape(found: re.Match) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        # A byte of a file name that is not UTF-8.
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
