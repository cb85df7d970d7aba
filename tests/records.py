"""Records of benchmarks whose figures can be worked out by hand."""

import json

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "flags": ["avx2"],
    "memory_gib": 8.0,
    "gpu": None,
    "system": "a system",
    "python": "3.11",
    "libraries": {"onnxruntime": "1.0"},
    "governor": None,
    "load": 0.1,
    "peak_gops": {"fp32": 100.0, "int8": 400.0},
}


def accuracy(wrong, n=200, split="s"):
    right = n - len(wrong)
    return {
        "part": "test",
        "data_fingerprint": "f",
        "split": {"hash": split},
        "seen_in_training": "no",
        "metrics": {
            "n": n,
            "accuracy": {"value": right / n, "low": right / n - 0.02, "high": min(1.0, right / n + 0.01)},
            "precision": right / n,
            "recall": right / n,
            "f1": right / n,
            "mcc": right / n,
            "per_class": {name: {"recall": None} for name in ("Benign", "Early", "Pre", "Pro")},
            "confusion": [[right // 2, len(wrong), 0, 0], [0, right - right // 2, 0, 0], [0] * 4, [0] * 4],
        },
        "baseline": {"method": "nearest colour histogram", "value": 0.99, "low": 0.97, "high": 1.0},
        "wrong": list(wrong),
    }


def row(model, ms, wrong=(), precision="fp32", mib=4.0, n=200, **fields):
    """A model whose queries from file to result all take `ms`, and alone half of that; 5 rounds of 20."""
    return {
        "model": model,
        "sha256": "0" * 64,
        "size_px": 150,
        "width": 0.25,
        "precision": precision,
        "mib": mib,
        "gmac": 0.4,
        "origin": ["vgg16", "f", "s", {}],
        "provider": "CPUExecutionProvider",
        "notice": None,
        "plans": {},
        "single": {"model_ms": [[ms / 2] * 20] * 5, "end_to_end_ms": [[ms] * 20] * 5},
        "offline": {"8": [[2000 / ms]] * 5},
        "joules_per_image": None,
        "start_s": 0.3,
        "load_s": 0.1,
        "first_run_s": 0.01,
        "peak_mib": 100.0,
        "accuracy": accuracy(wrong, n),
        "against_parent": None,
        **fields,
    }


def record(*rows, machine=None):
    return {
        "schema_version": 1,
        "time": "2026-01-01T00:00:00+00:00",
        "settings": {"device": "cpu", "batches": [], "seconds": 1.0, "queries": 100, "rounds": 5},
        "machine": machine or MACHINE,
        "data": {"kind": "labelled images", "files": 200},
        "rows": list(rows),
    }


def save(found, path):
    """A record as `allkit bench --json` writes it."""
    path.write_text(json.dumps(found))
