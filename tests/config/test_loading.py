import os
import threading
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
    assert config.batch.max_batch == 512
    assert config.adapter.mixture.window == 2_000


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


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the file: Is a directory"):
        load(tmp_path)


@pytest.mark.timeout(20)
def test_a_pipe_is_read_and_one_that_nobody_writes_into_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "worker.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="it is empty; expected a mapping"):
        load(pipe)
    writer = threading.Timer(0.2, pipe.write_text, [SMALLEST])
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # so that a writer can open it
    held = os.open(pipe, os.O_WRONLY)
    os.close(reader)
    writer.start()
    threading.Timer(0.4, os.close, [held]).start()
    assert load(pipe).encoder.model == "ViT-B-32"


def test_file_transport_needs_its_section() -> None:
    assert "`files` section" in problems_of(SMALLEST + "transport: files")[0]


@pytest.mark.parametrize(
    ("classes", "kind"),
    [
        ("[no, cat]", "a truth value (as yes, no, on and off)"),
        ("[2, cat]", "a number"),
        ("[1.5, cat]", "a number"),
        ("[2020-01-01, cat]", "a date"),
        ("[null, cat]", "nothing (as null and ~)"),
    ],
)
def test_a_word_that_yaml_reads_as_something_else_is_to_be_quoted(classes: str, kind: str) -> None:
    (problem,) = problems_of(f"encoder: {{model: m, pretrained: p}}\nvocabulary: {{classes: {classes}}}")
    assert problem.startswith(
        f"vocabulary.classes.0: YAML reads this as {kind}; put quotes around it to have it as text"
    )


def test_a_word_that_is_a_key_is_to_be_quoted_and_no_secret() -> None:
    (problem,) = problems_of("encoder: {model: m, pretrained: p}\nvocabulary: {classes: [a], prompts: {3: [x]}}")
    assert (
        problem == "vocabulary.prompts.3: YAML reads this as a number; put quotes around it to have it as text; found 3"
    )


def test_a_single_name_is_no_list() -> None:
    (problem,) = problems_of("encoder: {model: m, pretrained: p}\nvocabulary: {classes: cat}")
    assert problem == "vocabulary.classes: must be a list, such as [a, b]; found 'cat'"


def test_a_section_given_twice_is_refused_with_both_lines() -> None:
    (problem,) = problems_of(SMALLEST + "adapter: {canaries: [cat]}\nadapter: {gamma: 3}\n")
    assert problem.startswith("not YAML: line 5: `adapter` is given again, it is in line 4 already")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("[a:9092, b:9093]", "a:9092,b:9093"),
        ("[a, ' b ']", "a:9092,b:9092"),
        ("127.0.0.1", "127.0.0.1:9092"),
        ("'a:1 , b,'", "a:1,b:9092"),
        ("'::1,[::1]:9093,[fe80::1%eth0]'", "[::1]:9092,[::1]:9093,[fe80::1%eth0]:9092"),
        ("my_host.internal:19092", "my_host.internal:19092"),
    ],
)
def test_brokers_are_read_as_everyone_writes_them(written: str, read: str) -> None:
    assert parse(SMALLEST + f"kafka: {{bootstrap_servers: {written}}}").kafka.bootstrap_servers == read


@pytest.mark.parametrize("server", ["a:b", "a:0", "a:65536", "SSL://a:1", "a:1 b:2", "[a b]:1", ":9092", "a:"])
def test_what_is_no_broker_is_named(server: str) -> None:
    (problem,) = problems_of(SMALLEST + f"kafka: {{bootstrap_servers: '{server}'}}")
    assert problem.startswith(f"kafka.bootstrap_servers: {server!r} is no broker; expected host:port")


def test_no_broker_at_all_is_one_only_on_files() -> None:
    (problem,) = problems_of(SMALLEST + "kafka: {bootstrap_servers: ' , '}")
    assert "`kafka.bootstrap_servers` is empty" in problem
    parse(SMALLEST + "kafka: {bootstrap_servers: ''}\ntransport: files\nfiles: {input: a, output: b}")


@pytest.mark.parametrize(("written", "read"), [("1e5", 100_000), ("'2.5E+3'", 2_500), ("1_000", 1_000), ("7", 7)])
def test_a_number_may_have_an_exponent(written: str, read: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBER", written.strip("'"))
    for text in (written, "'${NUMBER}'"):
        config = parse(SMALLEST + f"batch: {{max_batch: {text}}}\nlabels: {{wait_max_events: 1e4}}")
        assert (config.batch.max_batch, config.labels.wait_max_events) == (read, 10_000)


@pytest.mark.parametrize("written", ["1.5e0", "1e-3", "1e999", "0e0", "-1e3", "e5"])
def test_what_is_no_count_is_refused(written: str) -> None:
    (problem,) = problems_of(SMALLEST + f"batch: {{max_batch: {written}}}")
    assert problem.startswith("batch.max_batch: ")


@pytest.mark.parametrize("name", ["a b", "", ".", "..", "käse", "x" * 250, "a/b"])
def test_a_topic_has_a_name_that_kafka_takes(name: str) -> None:
    (problem,) = problems_of(SMALLEST + f"kafka: {{topics: {{drift: '{name}'}}}}")
    assert problem.startswith("kafka.topics.drift: is no name for a topic")


def test_every_role_has_a_topic_of_its_own() -> None:
    (problem,) = problems_of(SMALLEST + "kafka: {topics: {images: x, drift: x, dead_letters: anchors}}")
    assert problem.startswith("kafka.topics: each role needs a topic of its own; `x` is images and drift; `anchors` is")


@pytest.mark.parametrize("key", ["input", "output"])
def test_snapshots_have_a_folder_of_their_own(key: str) -> None:
    files = {"input": "a", "output": "b"} | {key: "c/"}
    text = SMALLEST + f"transport: files\nfiles: {files}\nsnapshots: {{folder: ./c}}"
    (problem,) = problems_of(text)
    assert f"`snapshots.folder` and `files.{key}` are both c" in problem


def test_canaries_and_groups_are_compared_as_labels_are() -> None:
    decomposed = "cafe\u0301"
    config = parse(SMALLEST + f"adapter: {{canaries: [' {decomposed}']}}\ndrift: {{groups: {{g: ['{decomposed} ']}}}}")
    assert config.adapter.canaries == ("caf\u00e9",)
    assert config.drift.groups == {"g": ("caf\u00e9",)}


@pytest.mark.timeout(20)
def test_aliases_of_aliases_are_refused_before_anything_goes_through_them() -> None:
    lines = [f"  a{n}: &a{n} [{', '.join(9 * [f'*a{n - 1}'])}]\n" for n in range(1, 30)]
    text = SMALLEST + "transports:\n  a0: &a0 [x]\n" + "".join(lines)
    with pytest.raises(ConfigError, match=r"worker\.yaml: 1 problem\n  - not YAML: its aliases stand for more than"):
        parse(text, source="worker.yaml")
