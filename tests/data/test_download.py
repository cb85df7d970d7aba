"""The download, with a stand-in for kagglehub: no test uses the network."""

import sys
from types import ModuleType

import pytest

from allkit.data.download import CITATION, download
from allkit.errors import AllkitError
from trees import make_tree

ALL_CLASSES = {"Benign": 1, "Early": 1, "Pre": 1, "Pro": 1}

# The exceptions of kagglehub 1.0 (kagglehub/exceptions.py) that a download can raise and that are no OSError.
OWN_EXCEPTIONS = (
    "UnauthenticatedError",
    "CredentialError",
    "DataCorruptionError",
    "NotFoundError",
    "BackendError",
    "KaggleEnvironmentError",
    "ColabEnvironmentError",
)


@pytest.fixture
def kagglehub(monkeypatch):
    """A module `kagglehub` whose `dataset_download` each test sets."""
    module, exceptions = ModuleType("kagglehub"), ModuleType("kagglehub.exceptions")
    module.exceptions = exceptions
    for name in OWN_EXCEPTIONS:
        setattr(exceptions, name, type(name, (Exception,), {}))
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    monkeypatch.setitem(sys.modules, "kagglehub.exceptions", exceptions)
    return module


def failing_with(error):
    def dataset_download(handle):
        raise error

    return dataset_download


def test_kaggles_outer_folder_is_entered(kagglehub, tmp_path):
    make_tree(tmp_path / "Original", ALL_CLASSES)
    make_tree(tmp_path / "Segmented", ALL_CLASSES)
    kagglehub.dataset_download = lambda handle: str(tmp_path)
    assert download() == tmp_path / "Original"


def test_the_published_dataset_is_asked_for(kagglehub, tmp_path):
    handles = []
    make_tree(tmp_path, ALL_CLASSES)
    kagglehub.dataset_download = lambda handle: handles.append(handle) or str(tmp_path)
    assert download() == tmp_path
    assert handles == ["mehradaria/leukemia/versions/1"]


def test_what_kagglehub_prints_goes_to_stderr(kagglehub, tmp_path, capsys):
    def dataset_download(handle):
        print("Downloading to a cache")
        return str(tmp_path)

    make_tree(tmp_path, ALL_CLASSES)
    kagglehub.dataset_download = dataset_download
    download()
    assert capsys.readouterr() == ("", "Downloading to a cache\n")


def test_without_kagglehub_the_error_names_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(AllkitError, match=r'kagglehub not installed: pip install "allkit\[train\]"'):
        download()


@pytest.mark.parametrize("name", [*OWN_EXCEPTIONS, "ConnectionError", "ValueError"])
def test_a_failed_download_says_why_and_how_to_go_on_by_hand(kagglehub, name):
    kind = getattr(kagglehub.exceptions, name, None) or getattr(__import__("builtins"), name)
    kagglehub.dataset_download = failing_with(kind("403 Client Error.\n\nNo permission"))
    with pytest.raises(AllkitError) as caught:
        download()
    message = str(caught.value)
    assert "cannot download the ALL set: 403 Client Error. No permission." in message
    assert "https://doi.org/10.34740/KAGGLE/DSV/2175623" in message
    assert "--data" in message


def test_an_error_of_requests_counts_as_a_failed_download(kagglehub):
    requests = pytest.importorskip("requests", reason="requests comes with kagglehub")
    kagglehub.dataset_download = failing_with(requests.exceptions.ReadTimeout("timed out"))
    with pytest.raises(AllkitError, match=r"cannot download the ALL set: timed out\. To do it by hand"):
        download()


def test_an_error_without_words_is_named_by_its_type(kagglehub):
    kagglehub.dataset_download = failing_with(kagglehub.exceptions.NotFoundError())
    with pytest.raises(AllkitError, match=r"cannot download the ALL set: NotFoundError\. "):
        download()


def test_an_unforeseen_error_is_not_hidden(kagglehub):
    kagglehub.dataset_download = failing_with(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        download()


def test_a_download_that_misses_a_class_is_refused(kagglehub, tmp_path):
    make_tree(tmp_path, {"Benign": 1, "Early": 1, "Pre": 1})
    kagglehub.dataset_download = lambda handle: str(tmp_path)
    with pytest.raises(AllkitError, match=r"has the classes Benign, Early, Pre, not .*download again"):
        download()


def test_an_empty_download_is_refused(kagglehub, tmp_path):
    kagglehub.dataset_download = lambda handle: str(tmp_path)
    with pytest.raises(AllkitError, match=r"the download is incomplete: .*download again"):
        download()


def test_the_citation_names_both_dois():
    assert "10.34740/KAGGLE/DSV/2175623" in CITATION
    assert "10.1002/int.22753" in CITATION


def test_the_exceptions_are_those_of_the_kagglehub_installed():
    exceptions = pytest.importorskip("kagglehub.exceptions", reason="kagglehub is not installed")
    assert all(issubclass(getattr(exceptions, name), Exception) for name in OWN_EXCEPTIONS)
    assert issubclass(exceptions.KaggleApiHTTPError, OSError)
