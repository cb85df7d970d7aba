import cv2
import numpy as np
import pytest

from allkit.runtime.evidence import load_square, overlay, share_covered, with_legend
from models import tiny_contract

GREY = np.full((70, 70, 3), 128, np.uint8)
MAP = {"method": "hirescam", "layer": "l", "height": 2, "width": 2, "stride_px": 32}


def changed(heatmap):
    """How much each pixel of a grey image is changed by a map, (70, 70)."""
    drawn = overlay(GREY, np.array(heatmap, np.float32), 64 / 70)
    assert drawn.shape == GREY.shape
    assert drawn.dtype == np.uint8
    return np.abs(drawn.astype(int) - 128).sum(2)


def test_evidence_is_drawn_over_the_pixels_that_it_comes_from():
    most, difference = changed([[5, 5], [5, 5]])[0, 0], changed([[0, 5], [0, 0]])
    # The centre of the upper right quarter, and all that lies beyond it.
    assert (difference[:16, 48:] == most).all()
    assert difference[48:, :16].max() <= 2
    assert 0 < difference[15, 24] != most


def test_the_edge_that_the_pools_drop_shows_the_nearest_value():
    most, difference = changed([[1, 1], [1, 1]])[0, 0], changed([[0, 0], [0, 1]])
    assert (difference[48:, 48:] == most).all()


def test_evidence_against_the_label_and_an_empty_map_change_nothing():
    assert changed([[-3, -1], [0, -2]]).max() == 0
    assert changed([[0, 0], [0, 0]]).max() == 0
    assert np.array_equal(changed([[-9, 5], [0, 0]]), changed([[0, 5], [0, 0]]))


def test_the_strength_is_relative_to_the_image():
    assert np.array_equal(changed([[0, 5], [1, 0]]), changed([[0, 50], [10, 0]]))


def test_a_map_of_no_numbers_is_not_drawn():
    assert changed([[np.nan, np.nan], [np.nan, np.nan]]).max() == 0


@pytest.mark.parametrize(("shape", "side"), [((300, 200), 200), ((3000, 2000), 1024), ((40, 50), 70)])
def test_the_square_that_the_model_sees_has_the_resolution_of_the_file(tmp_path, shape, side):
    image = np.zeros((*shape, 3), np.uint8)
    image[:, : shape[1] // 2] = 200
    cv2.imwrite(str(tmp_path / "image.png"), image)
    square = load_square(tmp_path / "image.png", tiny_contract(size_px=70, heatmap=MAP))
    assert square.shape == (side, side, 3)
    # The left half is bright, as it is in the file.
    assert (square[:, : side // 2 - 3] == 200).all()
    assert (square[:, side // 2 + 3 :] == 0).all()


def test_cells_cover_what_the_pools_leave():
    assert share_covered(tiny_contract(size_px=70, heatmap=MAP)) == 64 / 70


def test_the_legend_leads_from_grey_to_the_colour_of_the_strongest_evidence():
    picture = with_legend(np.zeros((400, 400, 3), np.uint8), "Pro \ud800 é")
    legend = picture[400:]
    assert (picture[:400] == 0).all()
    assert np.abs(legend[12, 12].astype(int) - 200).max() <= 2
    # The last colour of Turbo, a dark red, at an opacity of 0.6 over that grey.
    assert np.abs(legend[12, 388] - (0.4 * 200 + 0.6 * np.array([122, 4, 3]))).max() < 3
