"""What each use needs of the libraries, which pyproject.toml promises."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from allkit.support.extras import LIBRARIES
from models import tiny_model
from trees import make_tree, write_image

PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]
# Where a distribution installs a module of another name.
MODULES = {
    "nvidia-ml-py": "pynvml",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "tensorflow-cpu": "tensorflow",
}


def modules(requirements):
    """The modules that requirements install, with those of the extras of allkit that are among them."""
    found = set()
    for requirement in requirements:
        name, extras = re.match(r"([\w-]+)(?:\[(.*)\])?", requirement).groups()
        if name == "allkit":
            for extra in extras.split(","):
                found |= modules(PROJECT["optional-dependencies"][extra])
        else:
            found.add(MODULES.get(name, name.replace("-", "_")))
    return found


CORE = modules(PROJECT["dependencies"])
# The extra `peers` is for a benchmark, and SciPy asks whether PyTorch is loaded by its place in `sys.modules`.
# scikit-learn does the same with PyArrow.
EXTRAS = modules(["allkit[train,dev]"]) - CORE - {"pyarrow"}


def python(code, *words):
    """Run code in an interpreter of its own, with the words as the command line of allkit."""
    code = f"import sys\nsys.argv = {['allkit', *words]}\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def loaded(code, *words):
    """Those of the libraries that code loads."""
    print_new = "import atexit\natexit.register(lambda: print('\\n', *sys.modules, file=sys.stderr))\n"
    done = python(print_new + code, *words)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()} & (CORE | EXTRAS)


MAIN = "from allkit.cli.main import main\nmain()"


def without(libraries):
    """Code that makes libraries look as if they were not installed."""
    return f"sys.modules.update(dict.fromkeys({sorted(libraries)}))\n"


@pytest.fixture
def image(tmp_path):
    write_image(tmp_path / "smear.png", 0)
    return str(tmp_path / "smear.png")


def test_importing_allkit_loads_no_library():
    assert loaded("import allkit") == set()


def test_help_loads_the_parser_of_the_command_line_alone():
    assert loaded(MAIN, "--help") == {"click"}


def test_classifying_loads_no_more_than_it_needs(image):
    # onnx reads no model here, and rich draws no progress where there is no terminal.
    expected = {"click", "cv2", "msgspec", "numpy", "onnxruntime"}
    assert expected <= loaded(MAIN, "classify", image, "--device", "cpu") <= expected | {"simplejpeg"}


def test_without_the_extras_models_classify_and_are_inspected(image):
    done = python(without(EXTRAS) + MAIN, "classify", image, "--format", "csv", "--device", "cpu")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr
    model = Path(__file__).parents[1] / "toolkit" / "allkit" / "models"
    done = python(without(EXTRAS) + MAIN, "inspect", str(next(model.glob("*.onnx"))))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        ("evaluate MODEL --data DATA", "eval"),
        ("data audit DATA", "eval"),
        ("data audit DATA --html new.html", "report"),
        ("serve", "serve"),
        ("watch DATA --output new.csv", "watch"),
        ("bench MODEL", "bench"),
        ("bench --from MODEL", "bench"),
        ("bench --compare MODEL MODEL", "bench"),
        ("report MODEL", "report"),
        ("train --data DATA", "train"),
        ("train --data DATA --folds 2 --out new", "train"),
        ("train --data DATA --preview new.png", "train"),
        ("data download", "train"),
        ("demo", "train"),
    ],
)
def test_without_the_extras_the_other_commands_name_the_one_to_install(tmp_path, image, words, extra):
    named = {"MODEL": image, "DATA": str(tmp_path)}
    done = python(without(EXTRAS) + MAIN, *(named.get(word, word) for word in words.split()))
    assert done.returncode == 2
    *_, error = done.stderr.splitlines()
    assert re.fullmatch(rf'error: .+ not installed: pip install "allkit\[{extra}\]"', error)
    assert "Traceback" not in done.stderr


def test_without_the_extras_every_call_is_there():
    done = python(without(EXTRAS) + "import allkit\nfor name in allkit.__all__:\n    getattr(allkit, name)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("eval", "evaluate MODEL --data DATA --shift --device cpu"),
        ("eval", "data audit DATA"),
        ("bench", "bench MODEL --data DATA --seconds 0 --queries 2 --rounds 2 --device cpu"),
        ("report", "report MODEL --html new.html"),
    ],
)
def test_an_extra_is_enough_for_its_commands(tmp_path, monkeypatch, extra, words):
    monkeypatch.chdir(tmp_path)
    named = {"MODEL": str(tiny_model(tmp_path / "tiny.onnx")), "DATA": "labelled"}
    make_tree(tmp_path / "labelled", {"red": 6, "green": 6, "blue": 6})
    others = EXTRAS - modules([f"allkit[{extra}]"])
    done = python(without(others) + MAIN, *(named.get(word, word) for word in words.split()))
    assert done.returncode == 0, done.stderr


def test_one_missing_library_is_named_alone(tmp_path):
    done = python(without({"sklearn"}) + MAIN, "data", "audit", str(tmp_path))
    assert done.stderr == 'error: sklearn not installed: pip install "allkit[eval]"\n'


def test_an_extra_brings_what_is_asked_of_it():
    for extra, libraries in LIBRARIES.items():
        assert set(libraries) <= modules([f"allkit[{extra}]"])
