import pytest

from allkit.errors import AllkitError
from allkit.support.names import check_class_names, check_image_paths


@pytest.mark.parametrize(
    "names",
    [
        ("Benign", "Early", "Pre", "Pro"),
        ("B cell", "T-cell", "CD3+"),
        ("健康", "Ärztlich"),
        ("[bold]", "<b>"),
        ("CD2", "CD²"),
        ("0", "1"),
    ],
)
def test_names_that_people_give_are_taken(names):
    check_class_names(names)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("A",), "two or more"),
        (("A", "A"), "named twice"),
        (("Pre", "PRE"), "case or Unicode normalisation"),
        # e with an accent as one character and as two; sharp s, whose upper case is SS.
        (("\u00e9", "e\u0301"), "case or Unicode normalisation"),
        (("Stra\u00dfe", "STRASSE"), "case or Unicode normalisation"),
        (("A", ""), "empty"),
        (("A", "x" * 201), "longer than 200"),
        (("A", "path"), "column of the results"),
        (("A", "Label"), "column of the results"),
        (("A", "unfamiliar"), "column of the results"),
        (("A", "\udcff"), "not UTF-8"),
        (("A", "\x1b[2J"), "control characters"),
        (("A", "a\rb"), "control characters"),
        (("A", "=1+1"), "formula"),
        (("A", "+"), "formula"),
        (("A", "-ve"), "formula"),
        (("A", "@sum"), "formula"),
        (("A", "\uff1d1"), "formula"),
        (("A", "a|b"), "slash, a backslash or |"),
        (("A", "../evil"), "slash, a backslash or |"),
    ],
)
def test_names_that_cannot_be_told_apart_or_be_columns_are_refused(names, reason):
    with pytest.raises(AllkitError, match=reason.replace("|", r"\|")) as caught:
        check_class_names(names)
    assert str(caught.value).isprintable()


def test_paths_below_the_images_are_taken():
    check_image_paths(["A/1.png", "A/sub/2 [b].png", "A/12:30.png", "A/..png", "A/a\rb.png", "a"])


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "A/../../x", "A\\..\\..\\x", "C:/x", "\\\\host\\x", "A//b", "A/./b", "A/", ".", "", "A\0"],
)
def test_paths_that_lead_elsewhere_are_refused(path):
    with pytest.raises(AllkitError, match="not a path below the folder of images"):
        check_image_paths(["A/1.png", path])
