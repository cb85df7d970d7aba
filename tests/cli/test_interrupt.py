import signal
import subprocess
import sys

SCRIPT = """
import hashlib, signal
from allkit.cli.interrupt import exits_at_once
# What a shell starts in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
with exits_at_once(lambda: print("stopped")):
    print("computing", flush=True)
    {work}
{after}
"""


def test_ctrl_c_is_answered_while_a_library_computes():
    # One call into C that takes hours, does not hold Python's lock and pays no attention to signals.
    script = SCRIPT.format(work='hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)', after="")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "computing\n"
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=30)
    assert (told, process.returncode) == ("stopped\n", 130)


def test_what_handled_ctrl_c_before_handles_it_after():
    script = SCRIPT.format(work="pass", after="signal.raise_signal(signal.SIGINT)")
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert result.stdout == "computing\n"
    assert "KeyboardInterrupt" in result.stderr
