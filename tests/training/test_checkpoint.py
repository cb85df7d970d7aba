import contextlib
import io
import json
import zipfile

import numpy as np
import pytest

from allkit.errors import AllkitError
from allkit.runs.history import Epoch
from allkit.training.checkpoint import load, save

RNG = np.random.default_rng(0)
VARIABLES = [RNG.normal(size=(3, 3, 2, 4)).astype(np.float32), np.asfortranarray(RNG.normal(size=(5, 2))), np.array(7)]
HISTORY = [Epoch(i, 1 / i, 0.5, 1.5, 0.25, 1e-3, 2.0) for i in (1, 2)]


@pytest.fixture
def path(tmp_path):
    save(tmp_path / "checkpoint.npz", VARIABLES, HISTORY)
    return tmp_path / "checkpoint.npz"


def test_a_checkpoint_comes_back_and_numpy_reads_it_too(path):
    arrays, history = load(path, VARIABLES, 2)
    assert history == HISTORY
    with np.load(path, allow_pickle=False) as other:
        for i, (array, variable) in enumerate(zip(arrays, VARIABLES, strict=True)):
            assert array.dtype == variable.dtype
            assert np.array_equal(array, variable)
            assert np.array_equal(other[str(i)], variable)


@pytest.mark.parametrize("damage", range(40))
def test_a_flipped_bit_or_a_missing_end_is_one_clear_error_or_changes_nothing(path, damage):
    data = bytearray(path.read_bytes())
    place = damage * len(data) // 40
    if damage % 4:
        data[place] ^= 1 << damage % 8
    else:
        del data[place:]
    path.write_bytes(data)
    # A bit of what bears on nothing in the archive, such as a time, may change.
    with contextlib.suppress(AllkitError):
        arrays, history = load(path, VARIABLES, 2)
        assert history == HISTORY
        assert all(np.array_equal(a, b) for a, b in zip(arrays, VARIABLES, strict=True))


def header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def archive(path, compression=zipfile.ZIP_STORED, **contents):
    """The checkpoint anew, with some of its arrays replaced; None leaves one out."""
    with zipfile.ZipFile(path) as old:
        whole = {name: old.read(name) for name in old.namelist()}
    whole |= {f"{name.lstrip('v')}.npy": content for name, content in contents.items()}
    with zipfile.ZipFile(path, "w", compression) as new:
        for name, content in whole.items():
            if content is not None:
                new.writestr(name, content)


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([print], object), allow_pickle=True)
    return stream.getvalue()


def text_array(text: str) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(text))
    return stream.getvalue()


def epochs(*numbers, **changes) -> bytes:
    row = {name: getattr(HISTORY[0], name) for name in Epoch.__dataclass_fields__}
    return text_array(json.dumps([{**row, "epoch": number, **changes} for number in numbers]))


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ({"v1": None}, "does not hold 3 variables"),
        ({"v3": header("(2,)") + bytes(16)}, "does not hold 3 variables"),
        # 8 TiB by its header: nothing may be allocated for it.
        ({"v1": header("(1099511627776,)")}, "the network has float64"),
        ({"v1": header("(5, 2)")}, "truncated"),
        ({"v1": header("(5, 2)", "'|O'") + bytes(80)}, "the network has float64"),
        ({"v1": header("(5, 2", "'<f8'") + bytes(80)}, "damaged"),
        ({"v1": pickled()}, "the network has"),
        ({"v1": b"\x93NUMPY\x09\x00"}, "damaged"),
        ({"v1": bytes(10_000)}, "larger than it can be"),
        ({"history": pickled()}, "objects"),
        ({"history": text_array("no json")}, "not readable"),
        ({"history": text_array('[{"epoch": 1}]')}, "not readable"),
        ({"history": epochs(2)}, "epoch 2 stands where epoch 1"),
        ({"history": epochs(1, 2, 3)}, "3 epochs, more than the 2"),
        ({"history": epochs(1, accuracy=1.5)}, "accuracy"),
        ({"compression": zipfile.ZIP_DEFLATED}, "packed"),
    ],
)
def test_what_no_training_writes_is_refused_before_it_is_believed(path, contents, reason):
    archive(path, **contents)
    with pytest.raises(AllkitError, match=reason):
        load(path, VARIABLES, 2)


def test_a_checkpoint_of_another_network_is_refused(path):
    with pytest.raises(AllkitError, match="the network has float32"):
        load(path, [VARIABLES[0][..., :2], *VARIABLES[1:]], 2)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + bytes(18), header("(2,)") + bytes(16)])
def test_another_file_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(AllkitError, match="is damaged or belongs to another training"):
        load(path, VARIABLES, 2)
