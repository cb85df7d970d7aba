"""One contender in its own process: `worker.py NAME`, started by `run.py`.

Reads a job as a line of JSON and answers {"probabilities": ...} for the first images, or {"error": ...}. For each
further line, a range of files, it answers with the seconds taken; between lines it sleeps.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from contenders import CONTENDERS, Job

CHECKED = 64


def main(name: str) -> None:
    answers = sys.stdout
    # What libraries print must not mix with the answers.
    sys.stdout = sys.stderr

    def answer(content: dict) -> None:
        print(json.dumps(content), file=answers, flush=True)

    given = json.loads(sys.stdin.readline())
    paths = given.pop("paths")
    job = Job(**{key: Path(value) if key in ("fp32", "int8", "run") else value for key, value in given.items()})
    try:
        classify = CONTENDERS[name](job)
        answer({"probabilities": classify(paths[:CHECKED]).tolist()})
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"})
        return
    for line in sys.stdin:
        chosen = paths[slice(*json.loads(line))]
        begin = time.perf_counter()
        classify(chosen)
        answer({"seconds": time.perf_counter() - begin, "n": len(chosen)})


if __name__ == "__main__":
    main(sys.argv[1])
