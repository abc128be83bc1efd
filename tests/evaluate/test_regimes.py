"""`benchmarks/regimes.py` on small features."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.regimes import REGIMES, Cell, main, settings
from stream_adapter.evaluate.features import save_features
from tests.evaluate.data import make_features


def test_every_cell_has_a_row_and_the_file_has_what_the_rows_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("first", 0), ("second", 1)):
        save_features(tmp_path / f"{name}.npz", make_features(120, seed=seed))
    files = [str(tmp_path / "first.npz"), str(tmp_path / "second.npz")]
    options = ["--methods", "tip-adapter,zero-shot", "--seeds", "2", "--json", str(tmp_path / "found.json")]
    main([*files, *options])
    lines = capsys.readouterr().out.splitlines()
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["seeds"] == 2
    cells = {(cell["file"], cell["regime"], cell["method"]): cell for cell in found["cells"]}
    assert len(lines) == len(cells) == 2 * len(REGIMES) * 2
    for line, cell in zip(lines, found["cells"], strict=True):
        assert line.startswith(cell["file"])
        assert f"{100 * cell['accuracy']['labelled']:.1f} | {100 * cell['accuracy']['canary']:.1f}" in line
    cell = cells["first.npz", "plain", "tip-adapter"]
    zero = cells["first.npz", "plain", "zero-shot"]
    assert cell["zero_shot"] == zero["accuracy"]
    differences = np.array(cell["per_draw"]["canary"]) - zero["per_draw"]["canary"]
    assert cell["worst_draw"]["canary"] == pytest.approx(differences.min(), abs=1e-6)
    none = cells["first.npz", "no label", "tip-adapter"]
    assert none["accuracy"] == none["zero_shot"], "without a label a cache is zero-shot"
    assert cells["first.npz", "all labelled", "tip-adapter"]["accuracy"] != none["accuracy"]


def test_what_is_kept_is_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_features(tmp_path / "made.npz", make_features(60))
    arguments = [str(tmp_path / "made.npz"), "--methods", "knn", "--regimes", "rare, first label", "--seeds", "1"]
    arguments += ["--keep", str(tmp_path / "kept")]
    main(arguments)
    kept = tmp_path / "kept" / "made-rare-first-label-knn-1.json"
    changed = json.loads(kept.read_text())
    for row in changed["results"]:
        row["per_seed"][0]["accuracy"] = 0.123
    kept.write_text(json.dumps(changed))
    capsys.readouterr()
    main(arguments)
    assert "12.3 | 12.3" in capsys.readouterr().out


def test_a_group_without_events_is_no_number() -> None:
    rows = [
        {"group": g, "domain": "all", "per_seed": [{"accuracy": a}]} for g, a in (("labelled", 0.5), ("canary", None))
    ]
    found = {"results": [{"method": "knn", **row} for row in rows]}
    reference = {"results": [{"method": "zero-shot", **row} for row in rows]}
    cell = Cell.of("f", "plain", "knn", found, reference)
    assert cell.accuracy["labelled"] == 0.5
    assert "50.0 | nan" in cell.line()


def test_recorded_is_the_whole_file_and_domains_come_one_after_the_other() -> None:
    features = make_features(60)
    assert (settings(features, "recorded").order, settings(features, "recorded").events) == ("recorded", 60)
    assert (settings(features, "plain").order, settings(features, "plain").events) == ("by-domain", 2_400)
    assert settings(features, "no label").label_rate == 0.0
