import io
from types import SimpleNamespace

import pytest

from allkit.cli import progress
from allkit.cli.console import PlainConsole
from allkit.cli.progress import ProgressDisplay, TrainingDisplay, duration
from allkit.imaging.pixel_path import PixelPath
from allkit.runs.recipe import SCRATCH
from allkit.runs.settings import Settings


class Clock:
    now = 0.0


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    Clock.now = 0.0
    return Clock


def shown_on(monkeypatch, terminal: bool) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(progress, "stderr", PlainConsole(file=stream, force_terminal=terminal, width=80))
    return stream


def test_a_log_has_a_line_a_minute_with_the_time_that_is_left(clock, monkeypatch):
    stream = shown_on(monkeypatch, terminal=False)
    with ProgressDisplay() as display:
        for second in range(131):
            clock.now = float(second)
            display.update("reading images", (1 + second) / 1000)
    # One thousandth a second: 939 s are left after a minute, 879 s after two.
    assert stream.getvalue() == "reading images  6%  16 min left\nreading images  12%  15 min left\n"


def test_short_work_leaves_no_line(clock, monkeypatch):
    for terminal in (False, True):
        stream = shown_on(monkeypatch, terminal)
        with ProgressDisplay() as display:
            display.update("reading images", 0.5)
            display.update("reading images", 1.0)
        assert not stream.getvalue() or terminal


def test_each_work_is_estimated_by_its_own_pace(clock, monkeypatch):
    stream = shown_on(monkeypatch, terminal=False)
    with ProgressDisplay() as display:
        for second in range(100):
            clock.now = float(second)
            display.update("reading images", (1 + second) / 100)
        for second in range(100, 140):
            clock.now = float(second)
            display.update("measuring", (second - 99) / 1000)
    assert stream.getvalue().splitlines()[1] == "measuring  2%  16 min left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3569, "59 min"),
        (3571, "1 h 0 min"),
        (18_600, "5 h 10 min"),
        (86_400, "1 d 0 h"),
        (183_600, "2 d 3 h"),
    ],
)
def test_a_length_of_time_is_told_in_two_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("architecture", "advice"),
    # A quarter of the width is a sixteenth of the computation, half of the side a quarter.
    [("vgg16", "--width 0.25 --size 112 would need about 2%"), ("resnet50", "--size 112 would need about 25%")],
)
def test_a_very_long_training_is_told_what_would_take_less(architecture, advice, clock, monkeypatch):
    stream = shown_on(monkeypatch, terminal=False)
    settings = Settings(architecture, PixelPath(224), 1.0, 0, SCRATCH, ("a", "b"), "data")
    with TrainingDisplay() as display:
        display.on_begin(SimpleNamespace(settings=settings), "cpu:0")
        for step in range(1, 40):
            clock.now = 100.0 * step
            display.on_step(1, step, 1000, 1.0, 0.5)
    assert [line for line in stream.getvalue().splitlines() if "would need" in line] == [f"{advice} of the computation"]


def test_what_goes_before_the_steps_does_not_count_to_their_pace(clock, monkeypatch):
    stream = shown_on(monkeypatch, terminal=False)
    settings = Settings("vgg16", PixelPath(64), 0.25, 0, SCRATCH, ("a", "b"), "data")
    steps = SCRATCH.epochs * 100
    with TrainingDisplay() as display:
        display.on_begin(SimpleNamespace(settings=settings), "cpu:0")
        for part in range(1, 9):
            clock.now = 600.0 * part
            display.update("reading images", part / 8)
        for step in range(40):
            clock.now += 2.0
            display.on_step(1 + step // 100, 1 + step % 100, 100, 1.0, 0.5)
    (line,) = [line for line in stream.getvalue().splitlines() if " steps: " in line]
    # Two seconds a step, less the first few.
    assert line == f"{SCRATCH.epochs} epochs of 100 steps: about {duration(2 * (steps - 11))}"
