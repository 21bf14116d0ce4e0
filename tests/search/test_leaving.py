from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gisearch.search.leaving import GraceOverError, Leaving

# A process that waits to be told to go, says so, and leaves when its time is over.
WAITING = """
import sys, time
from gisearch.search.leaving import GraceOverError, Leaving
with Leaving(float(sys.argv[1]), lambda text: print(text, flush=True)) as leaving:
    try:
        print("ready", flush=True)
        while True:
            leaving.check()
            time.sleep(0.01)
    except GraceOverError:
        print("over", leaving.wanted, leaving.signal.name, flush=True)
    except KeyboardInterrupt:
        print("at once", flush=True)
"""


@pytest.fixture
def waiting(tmp_path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, "60"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_wish(number: signal.Signals) -> None:
    told: list[str] = []
    with Leaving(30.0, told.append) as leaving:
        assert not leaving.wanted
        os.kill(os.getpid(), number)
        assert leaving.wanted
        assert leaving.signal is number
        leaving.check()
    again = "; Ctrl-C again to leave at once" if number == signal.SIGINT else ""
    assert told == [
        f"{number.name}: trials end their epoch, in at most 30 s, and the sweep can be resumed{again}."
    ]


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_one_leaves_at_once(
    waiting: subprocess.Popen[str], first: signal.Signals, second: signal.Signals
) -> None:
    assert waiting.stdout is not None
    waiting.send_signal(first)
    assert waiting.stdout.readline().startswith(f"{first.name}: trials end their epoch")
    waiting.send_signal(second)
    assert waiting.stdout.readline() == "at once\n"
    assert waiting.wait(10) == 0


def test_the_time_to_end_an_epoch_is_limited() -> None:
    with Leaving(0.2) as leaving:
        leaving.check()
        os.kill(os.getpid(), signal.SIGTERM)
        leaving.check()
        time.sleep(0.25)
        with pytest.raises(GraceOverError):
            leaving.check()


def test_no_grace_ends_at_once() -> None:
    with Leaving(0.0) as leaving:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.001)
        with pytest.raises(GraceOverError):
            leaving.check()


def test_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Leaving(1.0):
        within = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        assert not set(within) & set(before)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    with pytest.raises(ZeroDivisionError), Leaving(1.0):
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_another_thread_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    entered: list[bool] = []

    def enter() -> None:
        with Leaving(1.0) as leaving:
            entered.append(leaving.wanted)
            assert signal.getsignal(signal.SIGTERM) == before

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [False]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_hang_up_is_a_wish_to_leave(waiting: subprocess.Popen[str]) -> None:
    for _ in range(2):
        waiting.send_signal(signal.SIGHUP)
        time.sleep(0.1)
    waiting.send_signal(signal.SIGTERM)
    said, _ = waiting.communicate(timeout=20)
    assert said == "SIGHUP: trials end their epoch, in at most 60 s, and the sweep can be resumed.\nat once\n"


def test_a_hang_up_that_is_ignored_stays_so(tmp_path: Path) -> None:
    done = subprocess.run(
        ["nohup", sys.executable, "-c", HUNG_UP, str(tmp_path / "log"), "stay"],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == b"None\n"


HUNG_UP = """
import os, signal, sys, time
from pathlib import Path
from gisearch.search.leaving import Leaving

log = Path(sys.argv[1])
with Leaving(60.0, lambda text: print(text, flush=True)) as leaving:
    if sys.argv[2:]:
        os.kill(os.getpid(), signal.SIGHUP)
        print(leaving.signal)
        sys.exit()
    log.write_text("ready")
    while not leaving.wanted:
        time.sleep(0.01)
    for _ in range(3):
        print("ends its epochs", flush=True)
    log.write_text(leaving.signal.name)
"""


def test_a_terminal_that_is_gone_is_not_written_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", HUNG_UP, str(log)])
    deadline = time.monotonic() + 30
    while not log.exists() or log.read_text() != "ready":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # As when a window is closed: the terminal goes, and its processes are told.
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert log.read_text() == "SIGHUP"
