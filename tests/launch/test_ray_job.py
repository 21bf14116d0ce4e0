"""What the program `ray` says of jobs, and of its own failures."""

from __future__ import annotations

import pytest

from gisearch.launch.ray_job import Job, JobLog, jobs_of
from gisearch.launch.ray_program import reason
from tests.launch.fake_ray import DETAILS, NOT_UP


class TestJobs:
    def test_what_ray_lists(self) -> None:
        text = DETAILS.format(name="a-1", status="FAILED", code="2")[:-1] + ",\n"
        text += DETAILS.format(name="b-1", status="RUNNING", code="None")
        assert jobs_of(text) == {"a-1": Job("FAILED", 2), "b-1": Job("RUNNING")}
        assert jobs_of("2026-11-21 18:32:28,561\tINFO cli.py:600 -- []") == {}

    def test_exit_codes_and_sentences(self) -> None:
        assert [Job("FAILED").exit_code, Job("FAILED", -9).exit_code, Job("GONE").exit_code] == [1, 137, 1]
        assert Job("FAILED", 2).sentence == "failed with exit code 2"

    def test_a_log_that_has_not_begun_shows_nothing(self) -> None:
        log = JobLog("a-1")
        assert [log.shown("Runtime env is setting up."), log.job] == [None, None]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("x\nerror: the sentence\nError: Failed to setup head node.", "the sentence"),
        (NOT_UP, "Head node of cluster (gisearch-onprem) not found!"),
        ("Shared connection to h closed.\nError: SSH command failed.", "no reason given"),
        (
            "2026-11-21 18:29:03,870\tPANIC config.py:73 -- Please supply a `head_ip`.",
            "Please supply a `head_ip`.",
        ),
    ],
)
def test_why_ray_failed(said: str, why: str) -> None:
    assert reason(said) == why
