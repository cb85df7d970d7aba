"""`allkit.export`: trained runs to verified ONNX files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allkit.errors import AllkitError
from allkit.exporting.options import ExportOptions
from allkit.exporting.triton import write_repository
from allkit.runs.run import Run
from allkit.runtime.default_model import keep_default, name_default
from allkit.support.files import check_folder
from allkit.support.progress import Progress


@dataclass(frozen=True)
class ExportResult:
    """The files of an export.

    rows: run, precision, and the `exporting.export.ExportedModel` or the error that kept it from being written.
    default: the model that `classify` now takes from the folder, None where that is unchanged. triton: names of the
    models that were written into a model repository.
    """

    rows: tuple[tuple[Run, str, Any], ...]
    default: Path | None
    triton: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        return any(isinstance(result, AllkitError) for *_, result in self.rows)

    def to_dict(self) -> dict[str, Any]:
        return {
            "files": [
                {"run": str(run.folder), "precision": precision}
                | (
                    {"error": str(one)}
                    if isinstance(one, AllkitError)
                    else {"file": str(one.path), "card": str(one.card)}
                )
                for run, precision, one in self.rows
            ],
            "default": self.default and str(self.default),
            "triton": list(self.triton),
        }


def export(options: ExportOptions, *, progress: Progress | None = None) -> ExportResult:
    """Convert finished runs, verify every file against the trained network, and write those that pass.

    The fastest file of a single run becomes the default model of the folder. Raises AllkitError where the training
    stack is not installed, for a run that is not finished or whose images are gone, and where the converted graph does
    not agree with the network; a precision that loses too much is a failure in the result.
    """
    from allkit.training.backend import prepare

    progress, out = progress or Progress(), Path(options.out)
    check_folder(out)
    if options.triton:
        check_folder(Path(options.triton))
    runs = [Run.open(folder) for folder in options.runs]
    prepare("tensorflow", "tf2onnx")
    from allkit.exporting.export import export_run

    rows = []
    for run in runs:
        progress.note(f"exporting {run.folder}")
        try:
            results = export_run(run, Path(options.data or run.settings.data), out, options, progress.note)
        except AllkitError as error:
            if not options.keep_going:
                raise
            results = dict.fromkeys(options.precisions, error)
        rows += [(run, precision, result) for precision, result in results.items()]
    written = [result for *_, result in rows if not isinstance(result, AllkitError)]
    default, triton = None, []
    if len(runs) == 1 and written:
        default = min(written, key=lambda model: model.milliseconds).path
        name_default(default)
    elif written:
        # Between several networks speed alone would choose the least accurate.
        keep_default(out, [model.path for model in written])
    if options.triton:
        safe = [model.path for model in written if not model.contract.can_saturate]
        triton = write_repository(safe, Path(options.triton))
    return ExportResult(tuple(rows), default, tuple(triton))
