"""Two records of accuracy on the same images, in groups and without."""

import pytest

from allkit.benchmark.record.paired import paired_accuracies, shortfall
from records import accuracy


def grouped(wrong, n, size):
    """A record on n images in groups of `size`."""
    groups = [i // size for i in range(n)]
    return {**accuracy(wrong, n), "split": {"hash": "s", "protocol": "grouped"}, "groups": groups}


def test_images_of_a_group_speak_once_in_the_paired_test():
    # Eight images lost, in two groups of four: 2 of 4 choices of signs; as images of their own 2 of 2^8.
    found = paired_accuracies(grouped((), 200, 4), grouped(range(8), 200, 4))
    assert (found.difference, found.p_value) == (pytest.approx(0.04), pytest.approx(0.5))
    assert paired_accuracies(accuracy(()), accuracy(range(8))).p_value == pytest.approx(2 / 2**8)


def test_a_loss_within_the_margin_takes_more_images_where_they_stand_in_groups():
    assert shortfall(accuracy((), 600), accuracy((), 600), 0.01).shown
    assert not shortfall(grouped((), 600, 10), grouped((), 600, 10), 0.01).shown


def test_older_records_of_grouped_images_cannot_be_compared_and_those_of_random_ones_can():
    first, second = grouped((), 200, 4), grouped(range(8), 200, 4)
    for found in (first, second):
        del found["groups"]
    assert paired_accuracies(first, second) is None
    assert shortfall(first, second, 0.01) is None
    for found in (first, second):
        found["split"] = {"hash": "s", "protocol": "random (paper protocol)"}
    assert paired_accuracies(first, second).p_value == pytest.approx(2 / 2**8)


def test_other_images_cannot_be_compared():
    assert paired_accuracies(accuracy(()), accuracy((), split="another")) is None
    assert paired_accuracies(accuracy(()), accuracy((), n=100)) is None
