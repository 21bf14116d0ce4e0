from __future__ import annotations

import pytest
import yaml

from gisearch.tracking.redact import MASK, is_secret, redact_command, redact_text, redact_yaml


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tracking.password", "hunter2"),
        ("db_passwd", 1234),
        ("aws.secret", "x"),
        ("api_key", "x"),
        ("apiKey", "x"),
        ("access_key_id", "AKIA"),
        ("auth.token", "abc"),
        ("ssh.key", "abc"),
    ],
)
def test_secrets_are_recognised(name: str, value: object) -> None:
    assert is_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.num_tokens", 8),
        ("model.token", 8),
        ("attention.key_dim", 64),
        ("attention.key", 64),
        ("tokenizer", "words"),
        ("model.context_tokens", "masked"),
        ("monkey", "x"),
        ("password", None),
        ("secret", False),
    ],
)
def test_hyperparameters_are_not_secrets(name: str, value: object) -> None:
    assert not is_secret(name, value)


def test_credentials_leave_addresses_and_messages() -> None:
    text = (
        "cannot reach http://user:pa55@host:5000/x?api_token=abc&y=1 with Authorization: Bearer abcdefgh123"
    )
    clean = redact_text(text)
    assert clean == "cannot reach http://host:5000/x?api_token=***&y=1 with Authorization: Bearer ***"
    assert redact_text("postgresql://u:p@db/mlflow") == "postgresql://db/mlflow"
    assert redact_text("mail a@b.org, http://host/path@version") == "mail a@b.org, http://host/path@version"


def test_yaml_without_secrets_is_kept_to_the_letter() -> None:
    text = "model:  # a comment\n  num_tokens: 8\n"
    assert redact_yaml(text) == text


def test_yaml_secrets_are_masked_at_any_depth() -> None:
    text = "a:\n  - {password: hunter2, width: 64}\nuri: http://u:p@h:1\n"
    assert yaml.safe_load(redact_yaml(text)) == {"a": [{"password": MASK, "width": 64}], "uri": "http://h:1"}


def test_command_line_is_masked_and_quoted() -> None:
    line = redact_command(
        [
            "gisearch",
            "sweep",
            "a b.yaml",
            "tracking.uri=http://u:p@h",
            "x.password=pw",
            "--token",
            "t1",
            "lr=0.1",
        ]
    )
    assert line == "gisearch sweep 'a b.yaml' tracking.uri=http://h 'x.password=***' --token '***' lr=0.1"
    assert "pw" not in line
    assert "t1" not in line
