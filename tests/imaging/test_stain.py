import numpy as np

from allkit.imaging.stain import stained

PURPLE, RED_CELL, PLASMA = (110, 70, 190), (150, 165, 185), (245, 245, 235)


def smear():
    """A nucleus and a red cell on plasma, and where the nucleus is."""
    image, inside = np.full((60, 60, 3), PLASMA, np.uint8), np.zeros((60, 60), bool)
    inside[10:30, 10:30] = True
    image[inside] = PURPLE
    image[35:55, 35:55] = RED_CELL
    return image, inside


def test_nuclei_are_found_and_red_cells_are_not():
    image, inside = smear()
    found = stained(image) > 0
    assert found[12:28, 12:28].all()
    assert not found[34:].any()
    assert (found == inside).mean() > 0.97


def test_a_darker_picture_has_the_same_nuclei():
    image, _ = smear()
    assert ((stained(image) > 0) == (stained((image * 0.7).astype(np.uint8)) > 0)).mean() > 0.97


def test_an_image_without_nuclei_has_none():
    image, inside = smear()
    image[inside] = RED_CELL
    noise = np.random.default_rng(0).integers(-3, 4, image.shape)
    assert (stained((image + noise).astype(np.uint8)) > 0).mean() < 0.01
