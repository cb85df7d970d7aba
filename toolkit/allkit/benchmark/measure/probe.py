"""Start-up cost of a model: `python -m allkit.benchmark.measure.probe MODEL DEVICE IMAGE...` in a process of its own.

Prints JSON: seconds to load the model, seconds from then to the first result, the time of that result (seconds since
the epoch), and the peak resident memory in MiB after all images (null if it cannot be read).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from allkit.errors import AllkitError


def probe(model: Path, device: str, images: Sequence[Path]) -> dict[str, Any]:
    """Measure a new process; start_s is the time from its creation to its first result, in seconds.

    Raises AllkitError with the last line of its output when it fails.
    """
    command = [sys.executable, "-m", "allkit.benchmark.measure.probe", str(model), device, *map(str, images)]
    # Wall-clock time: the origin of a performance counter may differ between processes.
    begin = time.time()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise AllkitError(f"{model.name} fails in a new process: {(done.stderr.splitlines() or ['no message'])[-1]}")
    # Libraries may print before the last line.
    figures = json.loads(done.stdout.splitlines()[-1])
    return {"start_s": figures.pop("first_at") - begin, **figures}


def _main(model: str, device: str, *images: str) -> None:
    from allkit import Classifier

    begin = time.perf_counter()
    classifier = Classifier(model, device=device)
    loaded = time.perf_counter()
    next(iter(classifier(images[:1])))
    first, first_at = time.perf_counter(), time.time()
    for _ in classifier(images):
        pass
    seconds = {"load_s": loaded - begin, "first_run_s": first - loaded, "first_at": first_at}
    print(json.dumps({**seconds, "peak_mib": _peak_mib()}))


def _peak_mib() -> float | None:
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux a child starts with the peak of its parent.
        lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(lines[0].split()[1]) / 2**10 if lines else None
    try:
        import resource
    except ImportError:
        return None
    # In bytes on macOS, where a child starts from zero.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    _main(*sys.argv[1:])
