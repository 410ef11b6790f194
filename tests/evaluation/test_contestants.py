"""Which model stands beside a result, whatever the method that made it."""

import json
from pathlib import Path

import pytest

from tests.conftest import Configure
from tuneglm.checkpoints import write_run_file
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError, ModelError
from tuneglm.evaluation.contestants import Contestant, contestants_of, run_of
from tuneglm.evaluation.evaluate import output_folder
from tuneglm.evaluation.wanted import Wanted


def bases(folder: Path, **wanted: object) -> list[Contestant]:
    asked = Wanted(str(folder), base=True, **wanted)  # type: ignore[arg-type]
    return contestants_of(folder, run_of(folder), asked)


def test_of_an_adapter_it_is_what_the_adapter_names(run_folder: Path) -> None:
    tuned, base = bases(run_folder)
    assert (tuned.name, tuned.path) == ("tuned", run_folder)
    assert (base.name, base.path.resolve()) == ("base", MODEL_FOLDER.resolve())


def test_of_one_on_top_of_others_it_has_the_others(run_folder: Path, tmp_path: Path) -> None:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes((run_folder / name).read_bytes())
    chain = {"adapters": [str(run_folder)]}
    (tmp_path / "earlier_adapters.json").write_text(json.dumps(chain))
    _, base = bases(tmp_path)
    assert base.path.resolve() == MODEL_FOLDER.resolve() and base.adapters == (str(run_folder),)


def test_of_whole_weights_it_is_what_the_run_began_with(
    configure: Configure, run_folder: Path, tmp_path: Path
) -> None:
    config = configure(tmp_path, "method=full", f"model.adapters={run_folder}")
    write_run_file(tmp_path, config)
    (tmp_path / "config.json").write_text("{}")
    _, base = bases(tmp_path)
    assert base.path.resolve() == MODEL_FOLDER.resolve() and base.adapters == (str(run_folder),)


def test_of_a_model_with_an_adapter_it_is_the_model(run_folder: Path) -> None:
    tuned, base = bases(MODEL_FOLDER, adapters=(str(run_folder),))
    assert (tuned.name, tuned.adapters) == ("tuned", (str(run_folder),))
    assert (base.path, base.adapters) == (MODEL_FOLDER, ())
    with pytest.raises(ConfigError, match="is a model by itself"):
        bases(MODEL_FOLDER)


def test_a_report_goes_into_a_result_and_beside_a_model(run_folder: Path) -> None:
    def folder_for(path: Path, **wanted: object) -> Path:
        asked = Wanted(str(path), **wanted)  # type: ignore[arg-type]
        return output_folder(path, run_of(path), asked)

    assert folder_for(run_folder) == run_folder / "evaluation"
    assert folder_for(MODEL_FOLDER) == Path(f"{MODEL_FOLDER.name}-evaluation")
    assert folder_for(MODEL_FOLDER, output="x") == Path("x")


def test_a_base_that_moved_is_said(run_folder: Path, tmp_path: Path) -> None:
    config = json.loads((run_folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(tmp_path / "gone")
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="is not there any more"):
        bases(tmp_path)
