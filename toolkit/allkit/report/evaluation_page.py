"""An evaluation as one HTML page, with the misclassified images and where the evidence for their labels lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allkit.evaluation.evaluate import Evaluation, Mistake
from allkit.evaluation.job import EvaluateResult
from allkit.evaluation.text import SHIFT_COLUMNS, pair_rows, shift_rows, uncertainty_rows
from allkit.metrics.text import BY_CLASS, about, by_class, overall
from allkit.model.file import read_model
from allkit.report.html import Verdict, as_figure, render
from allkit.report.thumbnails import data_url
from allkit.runtime.classifier import Classifier
from allkit.runtime.evidence import load_square, overlay, share_covered

# Misclassified images of a model that are pictured, the most confident first; the record lists all.
MAX_PICTURED = 60
_PAIR_COLUMNS = ("A", "B", "A - B", "only A right", "only B right", "p")


def evaluation_page(result: EvaluateResult) -> str:
    """The page as text. It reads the pictured images; AllkitError when one is gone."""
    shifts = result.shifts or (None,) * len(result.evaluations)
    best = max(result.evaluations, key=lambda one: one.metrics.accuracy.value)
    return render(
        "evaluation.html.j2",
        title="Evaluation",
        summary=_verdict(best, len(result.evaluations)),
        models=[
            {
                "name": one.model.name,
                "on": f"{one.subject.title}, n = {one.metrics.n}",
                "overall": overall(one.metrics, one.subject.baseline, one.subject.baseline_method),
                "about": about(one.metrics),
                "uncertainty": uncertainty_rows(one.uncertainty),
                "metrics": one.metrics,
                "by_class": by_class(one.metrics),
                "shifts": shift_rows(shifted) if shifted else [],
                "count": len(one.mistakes),
                "pictured": _pictured(one),
            }
            for one, shifted in zip(result.evaluations, shifts, strict=True)
        ],
        class_columns=BY_CLASS,
        shift_columns=SHIFT_COLUMNS,
        pair_columns=_PAIR_COLUMNS,
        pairs=pair_rows(result.pairs),
        unreadable=result.unreadable,
    )


def _verdict(best: Evaluation, count: int) -> Verdict:
    baseline = best.subject.baseline.value
    figures = (
        as_figure(best.metrics.accuracy),
        (f"{100 * baseline:.1f} %", f"{best.subject.baseline_method}, which sees no shapes"),
        (f"{len(best.mistakes):,} of {best.metrics.n:,}", "images misclassified"),
    )
    words = f"{best.model.name}, the most accurate of {count} models" if count > 1 else best.model.name
    return Verdict(figures, f"{words}, on the {best.subject.title}. For research; not for diagnosis.")


def _pictured(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The misclassified images as they are read, and with a heat map where the model has one."""
    mistakes = evaluation.mistakes[:MAX_PICTURED]
    if not mistakes:
        return []
    contract, root = read_model(evaluation.model).contract, evaluation.subject.images.dataset.root
    images = [load_square(root / mistake.path, contract) for mistake in mistakes]
    if contract.heatmap is None:
        return [_shown(mistake, [image]) for mistake, image in zip(mistakes, images, strict=True)]
    predictions = Classifier(evaluation.model, heatmaps=True)(root / mistake.path for mistake in mistakes)
    covered = share_covered(contract)
    return [
        _shown(mistake, [image, overlay(image, prediction.heatmap, covered)])
        for mistake, image, prediction in zip(mistakes, images, predictions, strict=True)
    ]


def _shown(mistake: Mistake, pictures: Sequence[Any]) -> dict[str, Any]:
    return {
        "path": mistake.path,
        "truth": mistake.truth,
        "label": mistake.label,
        "confidence": f"{100 * mistake.confidence:.1f} %",
        "pictures": [data_url(picture) for picture in pictures],
    }
