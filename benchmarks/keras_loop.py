"""The full-width network at 300 px as Keras users run it: read, resize, `predict`, one image after the other.

Started by `pipeline.py`. Reads a line of paths, then for each line COUNT times that many of them and prints the
seconds. Weights are random: speed does not depend on them.
"""

from __future__ import annotations

import sys
import time

from allkit.training.backend import prepare

SIZE_PX, CLASSES = 300, 4


def main() -> None:
    prepare()
    import cv2

    from allkit.model.architecture import ARCHITECTURES, VGG16
    from allkit.runs.recipe import PAPER
    from allkit.training import architecture

    model = architecture.build(ARCHITECTURES[VGG16], SIZE_PX, CLASSES, 1.0, PAPER)
    paths = sys.stdin.readline().rstrip("\n").split("\t")
    done = 0
    for line in sys.stdin:
        begin = time.perf_counter()
        for _ in range(int(line)):
            image = cv2.cvtColor(cv2.imread(paths[done % len(paths)]), cv2.COLOR_BGR2RGB)
            model.predict(cv2.resize(image, (SIZE_PX, SIZE_PX))[None], verbose=0)
            done += 1
        print(time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    main()
