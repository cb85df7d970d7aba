import cv2
import numpy as np
import pytest

from allkit.errors import AllkitError
from allkit.imaging.opencv import imdecode


def test_flags_are_those_of_opencv():
    blue = np.full((2, 3, 3), (255, 0, 0), np.uint8)
    data = cv2.imencode(".png", blue)[1].tobytes()
    assert imdecode(data, cv2.IMREAD_COLOR_RGB, "")[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(("data", "words"), [(b"no image", "the words given"), (b"", "buf.empty")])
def test_both_ways_to_fail_are_one_error_with_its_reason(data, words):
    with pytest.raises(AllkitError, match=f"not a readable image: .*{words}"):
        imdecode(data, cv2.IMREAD_COLOR, "the words given")
