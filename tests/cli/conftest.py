from pathlib import Path

import cv2
import pytest

from allkit.runtime.default_model import name_default
from classified import ONE_BY_ONE, run
from models import flat, tiny_model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with exported/tiny.onnx, the default, and images/ that hold a red and a green image."""
    monkeypatch.chdir(tmp_path)
    Path("exported").mkdir()
    name_default(tiny_model(Path("exported/tiny.onnx")))
    Path("images").mkdir()
    # OpenCV writes BGR: the first is RGB (96, 64, 0), with the odds 8 : 4 : 1, the second (0, 32, 0), 1 : 2 : 1.
    cv2.imwrite("images/smear2.png", flat(0, 64, 96))
    cv2.imwrite("images/smear10.png", flat(0, 32, 0))
    return tmp_path


@pytest.fixture
def many(folder):
    """Twelve images whose rows all differ, and the CSV of a run that nothing stopped."""
    for i in range(10):
        cv2.imwrite(f"images/more{i}.png", flat(0, 0, 10 * i))
    assert run(*ONE_BY_ONE).exit_code == 0
    return Path("out.csv").read_text()
