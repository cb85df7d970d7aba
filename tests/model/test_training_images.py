import base64
import hashlib

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allkit.errors import AllkitError
from allkit.model.file import read_model
from allkit.model.training_images import METADATA_KEY, TrainingImages, perceptual_hashes
from models import tiny_model

NAMES = {"train": ["a", "b", "c"], "validation": ["d"], "test": ["e", "f"]}
HASHES = {name: hashlib.sha256(name.encode()).hexdigest() for name in "abcdefg"}
GROUPS = {"a": 5, "b": 4, "c": 5, "d": 9, "e": 2, "f": 2, "g": 7}


def ramp(turns: int = 0) -> np.ndarray:
    """A picture whose left half grows brighter to the right, and whose right half darker; grey, 72 x 72."""
    row = np.concatenate([np.arange(0, 180, 5), np.arange(180, 0, -5)]).astype(np.uint8)
    return np.rot90(np.repeat(np.tile(row, (72, 1))[:, :, None], 3, axis=2), turns)


def pictures(seed: int = 0) -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(seed).integers(0, 256, (4, 8)).astype(np.uint8)
    return dict(zip("abcd", drawn, strict=True))


@pytest.fixture
def listed() -> TrainingImages:
    return TrainingImages.of(NAMES, HASHES, GROUPS, pictures())


def test_the_entry_is_counts_beginnings_of_hashes_first_of_groups_and_pictures(listed):
    data = base64.b64decode(listed.to_text())
    counts = b"".join(count.to_bytes(4, "little") for count in (3, 1, 2, 1))
    # b has the lower group of the training part; a and c are one group, and so are e and f.
    order = "bacdefg"
    hashes = b"".join(bytes.fromhex(HASHES[name])[:5] for name in order)
    first = bytes([0b1101_1010])
    assert data == counts + hashes + first + b"".join(pictures()[name].tobytes() for name in "bacd")


def test_the_entry_of_a_thousand_images_takes_eighteen_bytes_an_image_and_a_third_more_as_text():
    names = [str(i) for i in range(1000)]
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    parts = {"train": names[:800], "validation": names[800:900], "test": names[900:]}
    known = {name: np.zeros(8, np.uint8) for name in names[:900]}
    text = TrainingImages.of(parts, hashes, dict(zip(names, range(1000), strict=True)), known).to_text()
    assert len(text) == 4 * -(-(16 + 1000 * 5 + 125 + 900 * 8) // 3)


def test_an_entry_that_was_read_again_finds_what_was_put_in(listed):
    again = TrainingImages.from_text(listed.to_text())
    foreign = hashlib.sha256(b"foreign").hexdigest()
    found = again.find([*HASHES.values(), foreign, None], np.zeros((9, 8, 8), np.uint8))
    assert found.parts.tolist() == ["train"] * 3 + ["validation"] + ["test"] * 2 + ["left_out", "", ""]
    assert found.copies.tolist() == ["exact"] * 4 + ["none"] * 5
    assert found.trained_on.tolist() == [True] * 4 + [False] * 5
    a, b, c, d, e, f, g, *others = found.groups.tolist()
    assert a == c
    assert e == f
    assert len({a, b, d, e, g}) == 5
    assert others == [-1, -1]
    assert [again.count(part) for part in ("train", "test")] == [3, 2]


def test_a_file_that_is_there_twice_counts_twice():
    hashes = {**HASHES, "f": HASHES["e"]}
    assert TrainingImages.of(NAMES, hashes, GROUPS, pictures()).multiplicity(HASHES["e"]) == 2
    assert TrainingImages.of(NAMES, hashes, GROUPS, pictures()).multiplicity(HASHES["f"]) == 0


def test_bits_of_the_perceptual_hash_follow_the_brightness_in_every_orientation():
    # Nine columns of a picture that rises to its middle and falls again: four steps up, four down, in each row; a
    # picture and its mirror image are the same here. Turned, rows are of one brightness each: no step at all.
    up, none = [0b1111_0000] * 8, [0] * 8
    assert perceptual_hashes(ramp()).tolist() == [up] * 4 + [none] * 4
    assert perceptual_hashes(ramp(1)).tolist() == [none] * 4 + [up] * 4


def test_six_bits_are_near_in_any_orientation_and_seven_are_not():
    base = np.random.default_rng(3).integers(0, 256, (1, 8)).astype(np.uint8)
    known = dict.fromkeys("abcd", base[0])
    listed = TrainingImages.of(NAMES, HASHES, GROUPS, known)
    far = np.full((8, 8), 0b0101_0101, np.uint8)
    for bits, expected in ((0, "near"), (6, "near"), (7, "none")):
        for orientation in (0, 5):
            asked = far.copy()
            asked[orientation] = base[0] ^ np.packbits(np.arange(64) < bits)
            assert listed.find([None], asked[None]).copies.tolist() == [expected], bits


def test_pictures_without_contrast_are_like_no_other():
    blank = perceptual_hashes(np.full((40, 40, 3), 200, np.uint8))
    assert not blank.any()
    listed = TrainingImages.of(NAMES, HASHES, GROUPS, dict.fromkeys("abcd", blank[0]))
    assert listed.find([None], blank[None]).copies.tolist() == ["none"]
    assert listed.copy_of(HASHES["a"], np.full((40, 40, 3), 200, np.uint8)) == "exact"


def test_a_file_that_is_held_aside_is_no_copy_and_what_looks_like_one_trained_on_is():
    image = ramp()
    listed = TrainingImages.of(NAMES, HASHES, GROUPS, {name: perceptual_hashes(image)[0] for name in "abcd"})
    assert listed.copy_of(HASHES["e"], image) is None
    assert listed.copy_of(hashlib.sha256(b"another").hexdigest(), image) == "near"
    assert listed.copy_of(None, image[::2, ::2]) == "near"
    assert listed.copy_of(None, np.zeros((0, 4, 3), np.uint8)) is None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=80) | st.text(max_size=40))
def test_any_other_text_is_refused(text):
    for one in (text, base64.b64encode(text) if isinstance(text, bytes) else text):
        try:
            listed = TrainingImages.from_text(one)
        except AllkitError:
            continue
        assert len(listed.hashes) == sum(listed.counts)


@pytest.mark.parametrize("counts", [(2**32 - 1,) * 4, (4, 1, 2, 1), (0, 0, 0, 0)])
def test_counts_that_do_not_fit_the_bytes_are_refused(listed, counts):
    data = base64.b64decode(listed.to_text())
    forged = b"".join(count.to_bytes(4, "little") for count in counts) + data[16:]
    with pytest.raises(AllkitError, match="does not fit its counts"):
        TrainingImages.from_text(base64.b64encode(forged))


def test_a_model_without_the_entry_tells_nothing(tmp_path):
    assert read_model(tiny_model(tmp_path / "m.onnx")).training_images is None


def removed(proto):
    del proto.metadata_props[-1]


def emptied(proto):
    proto.metadata_props[-1].value = ""


def exchanged(proto):
    others = dict.fromkeys(HASHES, "0" * 64)
    proto.metadata_props[-1].value = TrainingImages.of(NAMES, others, GROUPS, pictures()).to_text()


@pytest.mark.parametrize("change", [removed, emptied, exchanged])
def test_an_entry_that_is_damaged_exchanged_or_gone_is_noticed(tmp_path, listed, change):
    path = tiny_model(tmp_path / "m.onnx", images=listed)
    assert read_model(path).training_images.counts == (3, 1, 2, 1)
    proto = onnx.load(path)
    assert proto.metadata_props[-1].key == METADATA_KEY
    change(proto)
    onnx.save(proto, path)
    with pytest.raises(AllkitError, match=r"m\.onnx.*(damaged|cannot be read)"):
        read_model(path)


def test_an_entry_that_the_contract_does_not_know_is_refused(tmp_path, listed):
    path = tiny_model(tmp_path / "m.onnx")
    proto = onnx.load(path)
    proto.metadata_props.add(key=METADATA_KEY, value=listed.to_text())
    onnx.save(proto, path)
    with pytest.raises(AllkitError, match="damaged or was changed"):
        read_model(path)
