import os

import pytest

from allkit.errors import AllkitError
from allkit.runs.find import newest_finished, newest_unfinished
from run_folders import make


def test_the_newest_finished_run_of_a_size_is_taken(tmp_path):
    for time, (name, size_px, finished) in enumerate(
        [("old", 64, True), ("new", 64, True), ("newest", 64, False), ("other", 96, True)]
    ):
        make(tmp_path / name, size_px, finished)
        os.utime(tmp_path / name / "run.json", (time, time))
    assert newest_finished(tmp_path, 64).folder.name == "new"
    assert newest_finished(tmp_path).folder.name == "other"
    assert newest_unfinished(tmp_path).folder.name == "newest"


def test_a_missing_size_names_the_sizes_there_are_and_the_command(tmp_path):
    make(tmp_path / "a", 64)
    make(tmp_path / "b", 96)
    with pytest.raises(AllkitError, match=r"at 200 px .* runs at 64, 96 px; train one: .*--size 200"):
        newest_finished(tmp_path, 200)
    make(tmp_path / "c", 200, finished=False)
    with pytest.raises(AllkitError, match=r"go on with the unfinished one: .*c --resume"):
        newest_finished(tmp_path, 200)
    with pytest.raises(AllkitError, match="no unfinished run"):
        newest_unfinished(tmp_path / "nowhere")
