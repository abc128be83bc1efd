import sys
import types

import pytest
from kafka.net.sasl.oauth import AbstractTokenProvider

from stream_adapter.config import KafkaConfig
from stream_adapter.errors import ConfigError
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.tokens import Tokens, msk_iam, token_provider
from tests.fakes import FakeClock


class Own(AbstractTokenProvider):  # type: ignore[misc]
    def token(self) -> str:
        return "own"


NOT_CALLABLE = "token"


def test_a_token_is_kept_until_a_minute_before_it_expires() -> None:
    clock, made = FakeClock(1_000.0), iter(range(10))
    tokens = Tokens(lambda: (f"token {next(made)}", int((clock.now_s + 900) * 1e3)), clock)
    assert tokens.token() == tokens.token() == "token 0"
    clock.now_s += 839
    assert tokens.token() == "token 0"
    clock.now_s += 2
    assert tokens.token() == "token 1"


def test_one_without_an_expiry_is_asked_for_every_time() -> None:
    made = iter(range(10))
    tokens = Tokens(lambda: f"token {next(made)}")
    assert [tokens.token(), tokens.token()] == ["token 0", "token 1"]


def test_a_provider_of_kafka_python_s_own_kind_is_made() -> None:
    assert token_provider(f"{__name__}:Own").token() == "own"


@pytest.mark.parametrize("path", ["", "no_such_module:f", "json", "json:no_such", f"{__name__}:NOT_CALLABLE"])
def test_a_path_that_leads_to_no_tokens_is_named(path: str) -> None:
    config = KafkaConfig(
        security={
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_oauth_token_provider": path,
        }
    )
    with pytest.raises(ConfigError, match=r"kafka\.security\.sasl_oauth_token_provider: '" + path):
        Connection(config).consumer()


def test_amazon_s_signer_is_asked_in_the_region_and_missed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer", None)
    with pytest.raises(ConfigError, match="pip install aws-msk-iam-sasl-signer-python"):
        msk_iam()
    signer = types.ModuleType("aws_msk_iam_sasl_signer")
    signer.MSKAuthTokenProvider = types.SimpleNamespace(  # type: ignore[attr-defined]
        generate_auth_token=lambda region: (f"signed for {region}", 123)
    )
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer", signer)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="set AWS_REGION"):
        msk_iam()
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert token_provider("stream_adapter.transport.kafka.tokens:msk_iam").token() == "signed for eu-central-1"
