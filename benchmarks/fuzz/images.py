"""Damaged images of every format through the pixel path: none may crash it, hang it, exhaust memory or print.

    python benchmarks/fuzz/images.py --count 100000 --seed 0

Pictures are drawn, encoded in every way and mutated: bits flipped, runs overwritten, truncated, repeated, spliced from
another file, fields set to extremes, first bytes exchanged; half of the PNGs get correct checksums again. Each is
loaded by `PixelPath.load`, and leniently if that fails, in a process that handles many in turn. A JPEG that is read is
checked with `djpeg -strict`, if installed. Prints one JSON record; exits with 1 if an image gave anything but pixels or
an AllkitError, took longer than 10 s or more than 1 GiB, made a C library write to stderr, or was read although djpeg
refuses it. The n-th image depends only on the seed and n.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath

MOST_SECONDS, MOST_MIB = 10.0, 1024
CHUNK = 1000
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)


def bases() -> list[bytes]:
    """Intact files of every format, of pictures with two sizes."""
    found = []
    for side, seed in ((24, 0), (120, 1)):
        noise = np.random.default_rng(seed).integers(0, 256, (side, side + 9, 3)).astype(np.uint8)
        picture = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1))
        exif = Image.Exif()
        exif[0x112] = 6
        deep = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
        frames = {"save_all": True, "append_images": [picture.rotate(180)]}
        ways = [
            (picture, "JPEG", {"subsampling": 0, "exif": exif}),
            (picture, "JPEG", {"subsampling": 2}),
            (picture, "JPEG", {"progressive": True}),
            (picture, "JPEG", {"restart_marker_blocks": 3}),
            (picture.convert("L"), "JPEG", {}),
            (picture.convert("CMYK"), "JPEG", {}),
            (picture, "PNG", {"exif": exif}),
            (picture.convert("P"), "PNG", {}),
            (picture.convert("RGBA"), "PNG", frames),
            (deep, "PNG", {}),
            (picture, "BMP", {}),
            (picture.convert("P"), "BMP", {}),
            (picture, "WEBP", {"exif": exif}),
            (picture, "WEBP", {"lossless": True}),
            (picture, "WEBP", frames),
            (deep, "TIFF", {}),
            (picture.convert("CMYK"), "TIFF", {}),
            *((picture, "TIFF", {"compression": name}) for name in ("raw", "tiff_lzw", "packbits", "jpeg")),
            (picture, "TIFF", {"compression": "tiff_adobe_deflate", "tiffinfo": {317: 2}}),
        ]
        for image, form, options in ways:
            stream = io.BytesIO()
            image.save(stream, form, **options)
            found.append(stream.getvalue())
    return found


def mutated(files: list[bytes], seed: int, number: int) -> bytes:
    """The n-th damaged file."""
    rng = np.random.default_rng([seed, number])
    data = bytearray(files[rng.integers(len(files))])
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(data)))
        # Structure is at the beginning, so half of the damage is done there.
        at = at if rng.random() < 0.5 else at % min(len(data), 700)
        length = int(rng.integers(1, 80))
        match rng.integers(7):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                data[at : at + length] = rng.bytes(length)
            case 2 if at > 8:
                del data[at:]
            case 3:
                data[at:at] = data[at : at + length] * int(rng.integers(1, 50))
            case 4:
                other = files[rng.integers(len(files))]
                start = int(rng.integers(len(other)))
                data[at : at + length] = other[start : start + length * 4]
            case 5:
                field = struct.pack("><"[rng.integers(2)] + "I", EXTREMES[rng.integers(len(EXTREMES))])
                data[at : at + 4] = field[-int(rng.integers(1, 5)) :]
            case 6:
                data[:4] = files[rng.integers(len(files))][:4]
        if not data:
            break
    return with_checksums(bytes(data)) if rng.random() < 0.5 else bytes(data)


def with_checksums(data: bytes) -> bytes:
    """A PNG with correct checksums in all chunks that can be parsed; other data unchanged."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    mended, at = bytearray(data), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        if end + 4 > len(data):
            break
        mended[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(mended)


def load_many(files: list[bytes], seed: int, numbers: range, send: Callable[[tuple], None]) -> None:
    """Load these images; send (number, kind, outcome, seconds, MiB) after each, and its number alone before it."""
    strict = shutil.which("djpeg")
    with tempfile.TemporaryFile() as errors:
        os.dup2(errors.fileno(), 2)
        for number in numbers:
            data = mutated(files, seed, number)
            send((number,))
            start = time.perf_counter()
            outcome = loaded(data, 1 + number % 2)
            if outcome == "error" and (lenient := loaded(data, 1 + number % 2, lambda words: None)) != "read":
                outcome = lenient
            seconds = time.perf_counter() - start
            if errors.tell():
                errors.seek(0)
                outcome = f"wrote on stderr: {errors.read()[:200]!r}"
                errors.seek(0)
                errors.truncate()
            if strict and outcome == "read" and data.startswith(b"\xff\xd8"):
                checked = subprocess.run([strict, "-strict"], input=data, capture_output=True)
                outcome = "read against djpeg" if checked.returncode else "read with djpeg"
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            send((number, kind_of(data), outcome, seconds, peak))


def loaded(data: bytes, jpeg_scale: int, *on_damage: Callable[[str], None]) -> str:
    """What loading gives: read, error, or a fault."""
    try:
        image = PixelPath(32, jpeg_scale=jpeg_scale).load(data, lambda stage: None, None, *on_damage)
    except AllkitError:
        return "error"
    except BaseException:
        return traceback.format_exc(limit=-3)
    return "read" if (image.shape, image.dtype) == ((32, 32, 3), np.uint8) else f"shape {image.shape}"


def kind_of(data: bytes) -> str:
    """A name for the counts."""
    kinds = {b"\xff\xd8": "JPEG", b"\x89P": "PNG", b"BM": "BMP", b"II": "TIFF", b"MM": "TIFF", b"RI": "WebP"}
    return kinds.get(data[:2], "other")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first image")
    options = parser.parse_args()

    files = bases()
    counts: Counter[str] = Counter()
    violations: list[dict] = []
    slowest, peak, checked = 0.0, 0.0, 0
    start = time.perf_counter()
    next_number, end = options.first, options.first + options.count
    context = multiprocessing.get_context("fork")

    def fault(number: int, what: str) -> None:
        violations.append({"number": number, "what": what})

    while next_number < end:
        ours, theirs = context.Pipe(duplex=False)
        numbers = range(next_number, min(next_number + CHUNK, end))
        worker = context.Process(target=load_many, args=(files, options.seed, numbers, theirs.send))
        worker.start()
        theirs.close()
        at = next_number
        while True:
            # Checking with djpeg takes additional time.
            if not ours.poll(3 * MOST_SECONDS):
                fault(at, "does not end")
                worker.kill()
                break
            try:
                message = ours.recv()
            except EOFError:
                break
            at = message[0]
            if len(message) == 1:
                continue
            _, kind, outcome, seconds, mib = message
            next_number = at + 1
            slowest, peak = max(slowest, seconds), max(peak, mib)
            checked += outcome == "read with djpeg"
            counts[f"{kind} {'error' if outcome == 'error' else 'read'}"] += 1
            if outcome not in ("read", "read with djpeg", "error"):
                fault(at, outcome)
            if seconds > MOST_SECONDS:
                fault(at, f"took {seconds:.1f} s")
            if mib > MOST_MIB:
                fault(at, f"took {mib:.0f} MiB")
                # The peak of a process never decreases.
                worker.kill()
                break
        worker.join()
        if worker.exitcode and next_number <= at:
            fault(at, f"ended its process with {worker.exitcode}")
            next_number = at + 1
        ours.close()

    record = {
        "count": options.count,
        "seed": options.seed,
        "first": options.first,
        "counts": dict(sorted(counts.items())),
        "jpeg_read_as_djpeg_does": checked if shutil.which("djpeg") else None,
        "slowest_s": round(slowest, 3),
        "peak_mib": round(peak),
        "seconds": round(time.perf_counter() - start, 1),
        "violations": violations,
    }
    print(json.dumps(record, indent=1))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
