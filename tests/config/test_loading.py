from pathlib import Path

import pytest
import yaml

from stream_adapter.config import Config, load, parse
from stream_adapter.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"

SMALLEST = """
encoder: {model: ViT-B-32, pretrained: openai}
vocabulary: {classes: [cat, dog]}
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return caught.value.problems


def test_smallest_file_takes_every_default() -> None:
    config = parse(SMALLEST)
    assert config.batch.max_batch == 64
    assert config.adapter.gamma == 10.0


def test_default_yaml_documents_every_key_with_its_default() -> None:
    document = yaml.safe_load((CONFIGS / "default.yaml").read_text())
    documented = Config.model_validate(document)
    # What has no default in the code is an example in the file.
    examples = {"encoder": documented.encoder, "vocabulary": documented.vocabulary}
    assert documented == Config(**examples)
    assert _keys(document) >= _keys(Config(**examples).model_dump())


def _keys(document: dict[str, object], prefix: str = "") -> set[str]:
    found = set()
    for name, value in document.items():
        found.add(prefix + name)
        if isinstance(value, dict):
            found |= _keys(value, f"{prefix}{name}.")
    return found


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.yaml")))
def test_shipped_files_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_USERNAME", "KAFKA_PASSWORD", "POD_NAME"):
        monkeypatch.setenv(variable, "value")
    load(CONFIGS / name)


def test_every_problem_is_reported_not_just_the_first() -> None:
    problems = problems_of("""
encoder: {model: ViT-B-32}
vocabulary: {classes: [cat], vectors: v.npz}
batch: {max_batch: 0, max_wait_ms: soon}
colour: red
""")
    told = "\n".join(problems)
    assert len(problems) == 5, told
    for key in ("encoder", "vocabulary", "batch.max_batch", "batch.max_wait_ms", "colour"):
        assert key in told


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("bach: {max_batch: 3}", "bach", "batch"),
        ("batch: {max_bacth: 3}", "batch.max_bacth", "max_batch"),
        ("adapter: {anchors: {budgets: 3}}", "adapter.anchors.budgets", "budget"),
        ("kafka: {topics: {image: x}}", "kafka.topics.image", "images"),
        ("files: {input: a, output: b, fromat: auto}", "files.fromat", "format"),
    ],
)
def test_unknown_key_names_the_nearest_known_one(text: str, key: str, nearest: str) -> None:
    (problem,) = problems_of(SMALLEST + text)
    assert problem == f"{key}: unknown key; did you mean `{nearest}`?"


def test_unknown_key_with_nothing_near_lists_the_known_ones() -> None:
    (problem,) = problems_of(SMALLEST + "batch: {zzz: 1}")
    assert "known keys here: max_batch, max_wait_ms, top_k" in problem


def test_environment_variables_are_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "pa:ss")
    config = parse(SMALLEST + "kafka: {security: {sasl_plain_password: '${SECRET}', other: '${UNSET_X:-fallback}'}}")
    assert config.kafka.security == {"sasl_plain_password": "pa:ss", "other": "fallback"}


def test_unset_variable_is_a_problem_that_names_key_and_variable() -> None:
    (problem,) = problems_of(SMALLEST + "kafka: {security: {sasl_plain_password: '${NOT_SET_ANYWHERE}'}}")
    assert problem.startswith("kafka.security.sasl_plain_password: environment variable NOT_SET_ANYWHERE is not set")


def test_unset_variable_is_told_once_even_where_its_key_becomes_invalid() -> None:
    (problem,) = problems_of(SMALLEST + "batch: {max_batch: '${NOT_SET_ANYWHERE}'}")
    assert "NOT_SET_ANYWHERE" in problem


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "worker.yaml"
    file.write_text("""
transport: files
encoder: {model: m, pretrained: weights/clip.safetensors}
vocabulary: {vectors: classes.npz}
files: {input: pictures, output: /absolute/results}
""")
    config = load(file)
    assert config.encoder.pretrained == str(tmp_path / "weights/clip.safetensors")
    assert config.vocabulary.vectors == tmp_path / "classes.npz"
    assert config.files is not None
    assert config.files.input == tmp_path / "pictures"
    assert config.files.output == Path("/absolute/results")


def test_hub_tag_is_not_taken_for_a_path(tmp_path: Path) -> None:
    file = tmp_path / "worker.yaml"
    file.write_text(SMALLEST)
    assert load(file).encoder.pretrained == "openai"


def test_package_variable_finds_what_ships_with_the_package() -> None:
    config = parse("encoder: {model: m, pretrained: '${STREAM_ADAPTER_PACKAGE}/x.pt'}\nvocabulary: {classes: [a]}")
    assert config.encoder.pretrained is not None
    assert Path(config.encoder.pretrained).parent.name == "stream_adapter"


@pytest.mark.parametrize("text", ["- a list", "just text", "a: [unclosed", ""])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    assert len(problems_of(text)) == 1


def test_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the file"):
        load(tmp_path / "absent.yaml")


def test_file_transport_needs_its_section() -> None:
    assert "`files` section" in problems_of(SMALLEST + "transport: files")[0]
