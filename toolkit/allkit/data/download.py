"""Download the ALL image dataset through kagglehub.

kagglehub is imported only here. The machine may have no network and Kaggle may ask for a login, so each error explains
how to download by hand.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from allkit.data.index import scan
from allkit.errors import AllkitError
from allkit.support.extras import missing

# A pinned version is the same for everybody, and found in the cache without network access.
HANDLE = "mehradaria/leukemia/versions/1"
CLASSES = ("Benign", "Early", "Pre", "Pro")
DOI_PAGE = "https://doi.org/10.34740/KAGGLE/DSV/2175623"
CITATION = f"""\
Aria M., Ghaderzadeh M., Bashash D., Abolghasemi H., Asadi F., Hosseini A.: Acute Lymphoblastic Leukemia (ALL)
image dataset. Kaggle, 2021. {DOI_PAGE}
Ghaderzadeh M., Aria M., Hosseini A., Asadi F., Bashash D., Abolghasemi H.: A fast and efficient CNN model for
B-ALL diagnosis and its subtypes classification using peripheral blood smear images. International Journal of
Intelligent Systems, 2022. https://doi.org/10.1002/int.22753"""


def download() -> Path:
    """Return the folder of the ALL set, with one sub-folder per class; download it unless kagglehub has cached it.

    kagglehub's messages and progress go to stderr. Raises AllkitError when kagglehub is not installed, the download
    fails, or the download does not have the four classes.
    """
    # kagglehub logs to the stdout it finds on import; stdout is reserved for the caller's result.
    with contextlib.redirect_stdout(sys.stderr):
        folder = _fetch()
    try:
        dataset = scan(folder)
    except AllkitError as error:
        raise AllkitError(f"the download is incomplete: {error}; delete {folder} and download again") from error
    if dataset.classes != CLASSES:
        raise AllkitError(
            f"the download in {dataset.root} has the classes {', '.join(dataset.classes)}, not {', '.join(CLASSES)}: "
            f"delete {folder} and download again"
        )
    return dataset.root


def _fetch() -> Path:
    try:
        import kagglehub
        from kagglehub import exceptions
    except ImportError as error:
        raise missing("train", "kagglehub") from error
    except (OSError, RuntimeError) as error:
        raise AllkitError(f"kagglehub needs a home folder ({error}): set HOME to a writable folder") from error
    try:
        return Path(kagglehub.dataset_download(HANDLE))
    except (
        OSError,  # a full disk, and the base of every error of requests and of Kaggle's HTTP interface
        ValueError,  # an unreadable credentials file or archive
        exceptions.UnauthenticatedError,
        exceptions.CredentialError,
        exceptions.DataCorruptionError,
        exceptions.NotFoundError,
        exceptions.BackendError,
        exceptions.KaggleEnvironmentError,
        exceptions.ColabEnvironmentError,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AllkitError(
            f"cannot download the ALL set: {reason}. To do it by hand, download the archive from {DOI_PAGE}, "
            "unpack it, and pass its folder with --data"
        ) from error
