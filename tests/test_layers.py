"""The order of the packages in toolkit/README.md, which no import runs against."""

import ast
import re
from pathlib import Path

TOOLKIT = Path(__file__).parents[1] / "toolkit"
ROWS = re.findall(r"^\| (`[^|]+/`) \|", (TOOLKIT / "README.md").read_text(), re.MULTILINE)
# The benchmark has a line for its two halves.
PACKAGES = list(dict.fromkeys(name for row in ROWS for name in re.findall(r"`(\w+)/", row)))


def imported(path):
    """The packages of allkit that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("allkit."):
            yield node.module.split(".")[1]


def test_every_package_has_its_place():
    assert sorted(PACKAGES) == sorted(path.parent.name for path in (TOOLKIT / "allkit").glob("*/__init__.py"))


def test_no_import_runs_upward():
    found = {
        (path.relative_to(TOOLKIT).as_posix(), other)
        for own, package in enumerate(PACKAGES)
        for path in (TOOLKIT / "allkit" / package).rglob("*.py")
        for other in imported(path)
        if other in PACKAGES and PACKAGES.index(other) > own
    }
    assert found == set()
