import pytest

from allkit.data.patients import read_patients
from allkit.errors import AllkitError

IMAGES = ["A/one.jpg", "A/two.jpg", "B/three.jpg"]


def listed(tmp_path, *lines, encoding="utf-8"):
    path = tmp_path / "patients.csv"
    path.write_bytes("\r\n".join(lines).encode(encoding))
    return path


@pytest.mark.parametrize(
    "lines",
    [
        ["path,patient", "A/one.jpg,A0", "A/two.jpg,A0", "B/three.jpg,B7"],
        ["path,patient", "A/one.jpg, A0", "A/two.jpg,A0 ", "B/three.jpg,B7"],
        ["path,patient", "A/one.jpg,a0", "A/two.jpg,A0", "B/three.jpg,b7"],
        ["path,patient", "A\\one.jpg,A0", "./A/two.jpg,A0", "B//three.jpg,B7"],
        ["\ufeffPath; Patient".replace(";", ","), "a/ONE.jpg,A0", " A/two.jpg ,A0", "", "B/three.JPG,B7,,"],
        ["who,patient,path", "x,A0,A/one.jpg", "x,\uff210,A/two.jpg", "x,B7,B/three.jpg", "x,C,elsewhere.jpg"],
        ["path,patient", "A/one.jpg,A0", "A/one.jpg,a0", "A/two.jpg,A0", "B/three.jpg,B7"],
    ],
)
def test_a_patient_is_the_same_however_a_spreadsheet_spells_it(tmp_path, lines):
    assert read_patients(listed(tmp_path, *lines), IMAGES) == ["a0", "a0", "b7"]


@pytest.mark.parametrize("second", ["A/one.jpg,A1", "a\\ONE.jpg,A1"])
def test_a_path_of_two_patients_is_refused_by_the_numbers_of_its_lines(tmp_path, second):
    path = listed(tmp_path, "path,patient", "A/one.jpg,A0", "A/two.jpg,A0", second, "B/three.jpg,B7")
    with pytest.raises(AllkitError, match=r"(?i)lines 2 and 4: .*one\.jpg is of patient A0 and of A1"):
        read_patients(path, IMAGES)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("path,patient,patient", "2 columns patient"),
        ("path,patient, Patient ", "2 columns patient"),
        ("path,path,patient", "2 columns path"),
        ("path,who", "no column patient"),
        ("", "no column path"),
    ],
)
def test_a_header_without_each_column_once_is_refused(tmp_path, header, told):
    with pytest.raises(AllkitError, match=told):
        read_patients(listed(tmp_path, header, "A/one.jpg,A0,B0"), IMAGES)


def test_a_comma_in_a_name_does_not_shift_the_patient(tmp_path):
    with pytest.raises(AllkitError, match="line 3: more cells than the header"):
        read_patients(listed(tmp_path, "path,patient", "A/two.jpg,A0", "A/one,a.jpg,A0"), IMAGES)
    quoted = listed(tmp_path, "path,patient", '"A/one,a.jpg",A0')
    assert read_patients(quoted, ["A/one,a.jpg"]) == ["a0"]


def test_a_row_without_a_patient_is_a_missing_one(tmp_path):
    for row in ("A/one.jpg,", "A/one.jpg", "A/one.jpg,  "):
        with pytest.raises(AllkitError, match=r"names no patient for A/one\.jpg"):
            read_patients(listed(tmp_path, "path,patient", row, "A/two.jpg,A0", "B/three.jpg,B7"), IMAGES)


def test_what_is_no_text_and_what_is_not_there_are_refused(tmp_path):
    with pytest.raises(AllkitError, match="is not a CSV file"):
        read_patients(listed(tmp_path, "path,patient", "A/\xfc.jpg,A0", encoding="latin-1"), IMAGES)
    with pytest.raises(AllkitError, match="cannot read"):
        read_patients(tmp_path / "nowhere.csv", IMAGES)
