"""A server as a process, and what a hand does with its page, for tests in a browser."""

import re
import subprocess
import sys
from contextlib import contextmanager

from playwright.sync_api import expect

# Among the files of the fixture `folder`, in `smears`.
DAMAGED, LONG = "damaged.jpg", f"deep/{'a_long_name_' * 12}2024.jpg"


@contextmanager
def serving(folder, *words):
    """The address of a server; it answers images one by one, so that rounding is the same every time."""
    command = [sys.executable, "-m", "allkit", "serve", "--device", "cpu", "--port", "0", "--batch-size", "1", *words]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        yield next(found[0] for line in process.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+/", line)))
    finally:
        process.kill()
        process.communicate()


def drop(page, *paths, over="#drop"):
    """Drop files and folders over an element, as a file manager does."""
    box = page.locator(over).bounding_box()
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    session = page.context.new_cdp_session(page)
    for event in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": event, **place, "data": data})


def done(page, count):
    """The rows, when all images are done."""
    expect(page.get_by_role("status")).to_have_text(re.compile(rf"^{count} of {count} images; .*; done$"))
    rows = page.get_by_role("list", name="Results").get_by_role("listitem")
    expect(rows).to_have_count(count)
    return rows
