"""What `tuneglm doctor` finds: whatever is broken is told of, with what to do."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conftest import Configure
from tuneglm.cli import main
from tuneglm.demo import MODEL_FOLDER
from tuneglm.doctor import machine, software
from tuneglm.doctor.finding import Finding
from tuneglm.doctor.model import model
from tuneglm.training import train


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tuneglm.doctor.machine.reached", lambda hub: (f"https://{hub}", hub == "modelscope")
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL_FOLDER, tmp_path / "model"))


def states(findings: Iterable[Finding]) -> dict[str, str]:
    return {each.what: each.state for each in findings}


def test_a_whole_model_is_well(folder: Path) -> None:
    assert states(model(str(folder))) == dict.fromkeys(
        ("model", "weights", "room", "tokenizer"), "well"
    )


def test_a_file_that_is_cut_off(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:5000])
    found = {each.what: each for each in model(str(folder))}
    assert found["weights"].state == "ill" and file.name in found["weights"].words
    assert found["weights"].remedy


def test_a_config_of_another_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for change, word in (({"num_layers": 7}, "is missing"), ({"ffn_hidden_size": 64}, "shape")):
        text = json.dumps(config | change)
        (folder / "config.json").write_text(text, encoding="utf-8")
        (found,) = (each for each in model(str(folder)) if each.what == "weights")
        assert found.state == "ill" and word in found.words, found


def test_a_folder_without_weights_or_tokenizer(folder: Path) -> None:
    for path in [*folder.glob("*.safetensors"), *folder.glob("tokenizer*")]:
        path.unlink()
    found = states(model(str(folder)))
    assert (found["weights"], found["tokenizer"]) == ("ill", "ill")


def test_a_model_that_does_not_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneglm.doctor.model.device_memory", lambda device: 1000)
    (found,) = (each for each in model(str(folder)) if each.what == "room")
    assert found.state == "note" and "model.bits=4" in found.remedy


def test_an_id_of_a_hub_is_not_fetched() -> None:
    (found,) = model("owner/name")
    assert found.state == "note" and "asked of the hub" in found.words


def test_a_mistyped_folder_is_no_id(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder.parent.parent)
    (found,) = model(f"{folder.parent.name}/modle")
    assert found.state == "ill" and "no folder" in found.words
    assert f"did you mean `{Path(folder.parent.name, 'model')}`?" in found.remedy


def test_a_run_its_adapter_and_a_base_that_is_gone(
    configure: Configure, tmp_path: Path, folder: Path
) -> None:
    output = tmp_path / "out"
    train(configure(output, f"model.path={folder}", "training.max_steps=1"))
    found = {each.what: each for each in model(str(output))}
    assert {each.state for each in found.values()} == {"well"}
    assert {"run", "adapter", "base", "weights"} <= found.keys()
    folder.rename(tmp_path / "elsewhere")
    assert states(model(str(output)))["base"] == "ill"
    (checkpoint,) = output.glob("checkpoint-*")
    (checkpoint / "adapter_model.safetensors").write_bytes(b"")
    assert states(model(str(output)))["checkpoint"] == "note"


def test_a_driver_that_torch_cannot_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(machine, "DRIVER", tmp_path)
    monkeypatch.setattr("torch.version.cuda", None)
    (found,) = machine._gpus()
    assert found.state == "ill" and "pytorch.org" in found.remedy
    monkeypatch.setattr("torch.version.cuda", "12.8")
    (found,) = machine._gpus()
    assert "12.8" in found.remedy


def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "version_of", lambda name: None if name == "peft" else "1")
    monkeypatch.setattr("tuneglm.packages.find_spec", lambda name: None)
    found = {each.what: each for each in software.software()}
    assert found["peft"].state == "ill"
    assert found["quant"].state == "note" and "tuneglm[quant]" in found["quant"].remedy


def test_what_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise OSError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr("tuneglm.doctor.software.importlib.import_module", broken)
    found = {each.what: each for each in software.software()}
    assert found["torch"].state == "ill" and "libcudart" in found["torch"].words


def test_hubs_and_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {each.what: each for each in machine.machine()}
    assert found["huggingface"].state == "note" and "HF_ENDPOINT" in found["huggingface"].remedy
    assert found["modelscope"].state == "well"
    monkeypatch.setattr(machine, "DISK", 2**62)
    assert {each.state for each in machine._disks()} == {"note"}


def test_the_command(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    with pytest.raises(SystemExit) as left:
        main(["doctor", str(folder), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert left.value.code == 0
    assert {"what", "state", "words", "remedy"} == set(found[0])
    with pytest.raises(SystemExit) as left:
        main(["doctor", str(folder / "nothing")])
    assert left.value.code == 1
    assert "1 will not work" in capsys.readouterr().out
