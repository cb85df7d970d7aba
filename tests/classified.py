"""`allkit classify` on a folder of two images whose rows are known."""

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from allkit.cli.classify import classify

# A class belongs to the set from probability 0.6 on, and an image is unfamiliar from distance 200 on.
CSV = """path,label,confidence,red,green,blue,error,prediction_set,uncertain,unfamiliar
images/smear2.png,red,0.615385,0.615385,0.307692,0.076923,,red,False,False
images/smear10.png,green,0.5,0.25,0.5,0.25,,,True,False
"""


def run(*arguments, **options):
    return CliRunner().invoke(classify, [*map(str, arguments), "--device", "cpu"], catch_exceptions=False, **options)


def add_broken():
    Path("images/broken.jpg").write_bytes(b"\xff\xd8 not a jpeg")


def subprocess_classify(*arguments, **options):
    command = [sys.executable, "-m", "allkit", "classify", *arguments, "--device", "cpu"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **options)
