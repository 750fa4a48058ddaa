"""Signals, pipes and closed streams end a command as other programs' do: with a message, and with the usual exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stsr.cli import output, signals
from stsr.cli.signals import Stopped, check, stoppable

FULL = Path("/dev/full")
"""A disk that is always full."""

COMMAND = "import sys\nfrom stsr.cli import main\nsys.exit(main({argv}))\n"
SLOW = """
import builtins, pathlib, sys, time
import stsr.spatial
def slow(path):
    pathlib.Path("began").touch()
    {body}
stsr.spatial.open_store = slow
from stsr.cli import main
sys.exit(main(["info", "section.zarr"]))
"""
WAITS = "time.sleep(60)"
SWALLOWS = """
    try:
        time.sleep(60)
    except BaseException:
        raise ImportError("a library that takes any failure for a missing module")
"""
SWALLOWS_ALL = """
    try:
        time.sleep(60)
    except BaseException:
        sys.exit(0)
"""


def started(code, folder, **more):
    process = subprocess.Popen([sys.executable, "-c", code], cwd=folder, stderr=subprocess.PIPE, text=True, **more)
    for _ in range(600):
        if (folder / "began").exists():
            return process
        time.sleep(0.1)
    raise AssertionError("the command did not begin")


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGINT, 130, "stsr: interrupted\n"),
        (signal.SIGTERM, 143, "stsr: ended by SIGTERM\n"),
        (signal.SIGHUP, 129, "stsr: ended by SIGHUP\n"),
    ],
)
@pytest.mark.parametrize("body", [WAITS, SWALLOWS, SWALLOWS_ALL], ids=["waits", "swallows", "exits"])
def test_a_signal_ends_the_command_whatever_a_library_makes_of_it(tmp_path, number, code, told, body):
    # A shell's background jobs ignore Ctrl-C, and a child inherits that.
    process = started(
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)" + SLOW.format(body=body), tmp_path
    )
    process.send_signal(number)
    assert process.communicate(timeout=30)[1] == told
    assert process.returncode == code


def test_what_the_caller_ignores_stays_ignored(tmp_path):
    code = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)" + SLOW.format(
        body="time.sleep(1); raise ValueError('x.')"
    )
    process = started(code, tmp_path)
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=30)[1] == "stsr: error: x.\n"


def test_a_signal_whose_exception_was_lost_is_raised_at_the_next_step():
    with stoppable():
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        with pytest.raises(Stopped) as stop:
            output.say("never printed")
        assert stop.value.number == signal.SIGTERM
        assert signals.received() == signal.SIGTERM
    with stoppable():
        check()


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with stoppable():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("argument", "redirection"),
    [*(("encoders", way) for way in ("| head -1", "| true", ">&-", ">&- 2>&-", "> /dev/null")), ("--help", "| true")],
)
def test_a_reader_that_goes_and_a_stream_that_is_closed_are_no_error(tmp_path, argument, redirection):
    (tmp_path / "run.py").write_text(COMMAND.format(argv=[argument]))
    result = subprocess.run(
        f"set -o pipefail; {sys.executable} run.py {redirection}",
        shell=True,
        executable="/bin/bash",
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(tmp_path):
    (tmp_path / "run.py").write_text(COMMAND.format(argv=["methods"]))
    with FULL.open("w") as full:
        result = subprocess.run(
            [sys.executable, "run.py"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 2
    assert (
        result.stderr
        == "stsr: error: standard output cannot be written (No space left on device); send it elsewhere.\n"
    )


def test_letters_that_the_terminal_lacks_are_written_out(tmp_path):
    (tmp_path / "run.py").write_text(COMMAND.format(argv=["encoders"]))
    result = subprocess.run(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"\\xb5m/px" in result.stdout


def test_arguments_that_are_no_text_are_told(tmp_path):
    (tmp_path / "run.py").write_text("import sys\nfrom stsr.cli import main\nsys.exit(main(sys.argv[1:]))\n")
    result = subprocess.run(
        [sys.executable, "run.py", "info", b"\xff.zarr"], cwd=tmp_path, capture_output=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(b"stsr: error: ")  # older libraries warn before it
    assert b"Traceback" not in result.stderr
