import cv2
import numpy as np
import pytest

from allkit.data.duplicates import connected_groups, difference_hashes, near_pairs, repeated


def smooth_image(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).random((12, 12, 3)).astype(np.float32)
    return np.uint8(255 * np.clip(cv2.resize(noise, (224, 224), interpolation=cv2.INTER_CUBIC), 0, 1))


def test_a_picture_that_brightens_to_the_right_sets_every_bit_and_its_mirror_image_none():
    ramp = np.broadcast_to(np.arange(224, dtype=np.uint8)[None, :, None], (224, 224, 3))
    bits = difference_hashes(np.stack([ramp, ramp[:, ::-1]]))
    assert bits.shape == (2, 256)
    assert bits[0].all()
    assert not bits[1].any()


def test_bits_go_row_by_row_down_the_picture():
    ramp = np.broadcast_to(np.arange(224, dtype=np.uint8)[None, :, None], (224, 224, 3))
    half = np.concatenate([ramp[:112], ramp[112:, ::-1]])
    bits = difference_hashes(half[None])[0]
    assert bits[:128].all()
    assert not bits[128:].any()


def test_recompressed_and_brightened_copies_stay_near_and_other_pictures_far():
    image = smooth_image(0)
    recompressed = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    brighter = np.uint8(20 + 0.9 * image)
    bits = difference_hashes(np.stack([image, recompressed, brighter, smooth_image(1)]))
    assert near_pairs(bits, 20).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert (bits[0] != bits[3]).sum() > 80


def test_near_pairs_are_those_that_a_comparison_one_by_one_finds():
    # More rows than one block of the product, and pairs within and across blocks.
    rng = np.random.default_rng(3)
    bits = rng.random((1500, 256)) < 0.5
    for copy, original, flips in ((700, 10, 20), (1400, 11, 20), (1450, 1100, 21), (1499, 1401, 0)):
        bits[copy] = bits[original]
        bits[copy, rng.choice(256, flips, replace=False)] ^= True
    packed = np.packbits(bits, axis=1)
    expected = []
    for i in range(len(bits)):
        distances = np.unpackbits(packed[i] ^ packed[i + 1 :], axis=1).sum(axis=1)
        expected += [(i, i + 1 + j) for j in np.flatnonzero(distances <= 20)]
    assert expected == [(10, 700), (11, 1400), (1401, 1499)]
    assert [tuple(pair) for pair in near_pairs(bits, 20).tolist()] == expected


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_images_have_no_pairs(n):
    assert near_pairs(np.zeros((n, 256), bool), 20).shape == (0, 2)


def test_a_chain_of_pairs_is_one_group_and_groups_are_numbered_by_first_member():
    assert connected_groups(7, [(5, 3), (1, 5), (6, 2)]).tolist() == [0, 1, 2, 1, 3, 1, 2]


def test_groups_agree_with_the_connected_components_of_scipy():
    sparse = pytest.importorskip("scipy.sparse")
    pairs = np.random.default_rng(5).integers(0, 300, (180, 2))
    graph = sparse.coo_matrix((np.ones(len(pairs)), pairs.T), (300, 300))
    count, expected = sparse.csgraph.connected_components(graph, directed=False)
    groups = connected_groups(300, pairs)
    assert groups.max() + 1 == count
    assert len(set(zip(groups.tolist(), expected.tolist(), strict=True))) == count


def test_without_pairs_everything_is_its_own_group():
    assert connected_groups(3, np.empty((0, 2), np.int64)).tolist() == [0, 1, 2]
    assert connected_groups(0, []).tolist() == []


def test_only_groups_with_two_members_are_repeated():
    found = repeated(np.array([0, 1, 0, 2, 1, 0]))
    assert [rows.tolist() for rows in found] == [[0, 2, 5], [1, 4]]
    assert repeated(np.array([0, 1, 2])) == []
    assert repeated(np.array([], np.int64)) == []
