"""The process that runs a sweep is killed, or told to leave, at several moments; its files are damaged."""

from __future__ import annotations

import csv
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from gisearch.search.study import STUDY_FILE
from gisearch.training.checkpoint import BEST, LAST
from tests.faults.sweeps import Sweep, go_on, snapshot, stop

# One sweep, started several times, is what all tests of a class look at.
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1200)]

EPOCHS = 26
SETTINGS = (f"trainer.max_epochs={EPOCHS}",)


def stop_listening(sweep: Sweep) -> tuple[int, int]:
    """Stop the driver in the first trial; return the last epoch that it was told of, and that was kept."""
    for _ in range(10):
        os.kill(sweep.driver.pid, signal.SIGSTOP)
        time.sleep(2)
        if sweep.kept_epoch(0) > sweep.epoch(0):
            break
        # It had not told the trial to go on yet.
        os.kill(sweep.driver.pid, signal.SIGCONT)
        time.sleep(0.2)
    return sweep.epoch(0), sweep.kept_epoch(0)


@pytest.fixture(scope="module")
def killed(shared_sweep: Callable[[str], Sweep]) -> tuple[Sweep, dict[str, Any]]:
    one, facts = shared_sweep("killed"), dict[str, Any]()
    # While everything starts.
    one.begin(*SETTINGS, trials=3)
    one.wait_for(lambda: (one.results / STUDY_FILE).exists())
    one.kill()
    # In mid-trial: the driver stops listening, the trial ends one more epoch, and waits to report it.
    one.resume()
    one.wait_for_epoch(0, 4)
    facts["told"], facts["kept"] = stop_listening(one)
    facts["refused"] = one.command("gisearch.sweep", "--resume", one.name).communicate()
    one.kill()
    facts["parent"] = one.runs()[0].info.run_id
    # In the second trial, whose newest checkpoint is torn; a block of it was lost.
    one.resume()
    one.wait_for_epoch(1, 4)
    one.kill()
    facts["finished"] = one.trials[0], snapshot(one.trial_folder(0))
    last = one.trial_folder(1) / LAST
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    facts["torn"] = one.epoch(1), one.kept_epoch(1, f"{LAST}.previous")
    # In the third, of which both are damaged.
    one.resume()
    one.wait_for_epoch(2, 4)
    one.kill()
    for name in (LAST, f"{LAST}.previous"):
        path = one.trial_folder(2) / name
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 4096] = bytes(byte ^ 0xFF for byte in data[middle : middle + 4096])
        path.write_bytes(data)
    # While it writes its results.
    one.resume()
    one.wait_for(lambda: (one.results / "leaderboard.csv").exists())
    one.kill()
    best = max(one.trials, key=lambda trial: trial.value or -1.0).number
    (one.trial_folder(best) / BEST).write_bytes(b"damaged")
    facts["end"] = one.resume().end()
    return one, facts


class TestKilled:
    """One sweep that is killed again and again."""

    def test_nothing_is_lost_and_nothing_twice(self, killed: tuple[Sweep, dict[str, Any]]) -> None:
        one, facts = killed
        assert facts["end"][0] == 0, facts["end"]
        one.check_whole(EPOCHS, 3)
        assert one.runs()[0].info.run_id == facts["parent"]

    def test_an_epoch_that_was_kept_and_never_told_is_told_later(
        self, killed: tuple[Sweep, dict[str, Any]]
    ) -> None:
        assert killed[1]["kept"] == killed[1]["told"] + 1

    def test_a_finished_trial_is_left_alone(self, killed: tuple[Sweep, dict[str, Any]]) -> None:
        one, facts = killed
        trial, files = facts["finished"]
        assert trial.state.name == "COMPLETE"
        assert one.trials[0] == trial
        now = snapshot(one.trial_folder(0))
        # One file may have been damaged by this test, as the best trial's.
        assert {name for name in files if files[name] != now[name]} <= {BEST}

    def test_a_torn_checkpoint_costs_one_epoch(self, killed: tuple[Sweep, dict[str, Any]]) -> None:
        told, previous = killed[1]["torn"]
        assert previous >= told - 1

    def test_a_second_driver_is_refused(self, killed: tuple[Sweep, dict[str, Any]]) -> None:
        out, err = killed[1]["refused"]
        assert out == ""
        assert err.startswith("error: results/killed is being run by process ")
        assert err.endswith("; expected a sweep that nobody runs.\n")
        assert err.count("\n") == 1

    def test_a_damaged_best_model_is_said_and_the_rest_written(
        self, killed: tuple[Sweep, dict[str, Any]]
    ) -> None:
        one, facts = killed
        _, out, _ = facts["end"]
        assert out.count("the best model could not be evaluated: the checkpoint ") == 1
        with (one.results / "leaderboard.csv").open() as file:
            assert len(list(csv.DictReader(file))) == 3
        assert (one.results / "plots" / "learning_curves.png").is_file()


@pytest.fixture(scope="module")
def told(shared_sweep: Callable[[str], Sweep]) -> tuple[Sweep, dict[str, Any]]:
    one, facts = shared_sweep("told"), dict[str, Any]()
    one.begin(*SETTINGS, trials=2, concurrency=2)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        seen = [one.epoch(i) for i in range(2)]
        one.wait_for(lambda seen=seen: all(one.epoch(i) >= seen[i] + 3 for i in range(2)))
        if number == signal.SIGINT:
            one.driver.send_signal(number)
        else:
            # As `timeout`, schedulers and terminals do: to everything that the driver has started as well.
            os.killpg(one.driver.pid, number)
        ended = one.end()
        facts[number.name] = ended, [(one.epoch(i), one.kept_epoch(i)) for i in range(2)]
        one.resume()
    # A trial that hangs keeps the sweep from leaving politely.
    seen = [one.epoch(i) for i in range(2)]
    one.wait_for(lambda: all(one.epoch(i) >= seen[i] + 2 for i in range(2)))
    hanging = one.workers()
    for worker in hanging:
        stop(worker)
    one.driver.send_signal(signal.SIGINT)
    # Two signals at once would be one.
    time.sleep(2)
    facts["still there"] = one.driver.poll() is None
    one.driver.send_signal(signal.SIGINT)
    facts["at once"] = one.end(timeout=20)
    for worker in hanging:
        go_on(worker)
    facts["end"] = one.resume().end()
    return one, facts


class TestToldToLeave:
    """One sweep of two trials at a time that is told to leave again and again."""

    @pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
    def test_trials_end_their_epoch(self, name: str, code: int, told: tuple[Sweep, dict[str, Any]]) -> None:
        (found, out, err), epochs = told[1][name]
        assert found == code, err
        assert f"{name}: trials end their epoch, in at most 30 s, and the sweep can be resumed" in out
        assert "Interrupted; continue with: python -m gisearch.sweep --resume told\n" in out
        assert all(told_of == kept >= 3 for told_of, kept in epochs), epochs

    def test_a_second_signal_ends_it_at_once(self, told: tuple[Sweep, dict[str, Any]]) -> None:
        assert told[1]["still there"]
        assert told[1]["at once"][0] == 130

    def test_it_is_finished_by_the_last_driver(self, told: tuple[Sweep, dict[str, Any]]) -> None:
        one, facts = told
        assert facts["end"][0] == 0, facts["end"]
        one.check_whole(EPOCHS, 2)
