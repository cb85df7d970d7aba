import io

import pytest

from allkit.cli import progress
from allkit.cli.console import PlainConsole
from allkit.cli.progress import ProgressDisplay, duration


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
