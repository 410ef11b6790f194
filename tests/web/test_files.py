"""Nothing of a browser names a path outside of its person's folder."""

from pathlib import Path

import pytest

from tuneglm.errors import DataError, OutputError
from tuneglm.export import DIFFERENT, UNFINISHED
from tuneglm.web.files import NOT_EXPORTED, Workplace, inside

OUTSIDE = [
    "..",
    ".",
    "",
    "../secret.json",
    "a/../../secret.json",
    "a/b",
    "/etc/passwd",
    "..\\secret",
    "a\\b",
    ".hidden",
    "a\0b",
    "a\nb",
    "-rf",
    "~",
    "a.",
    "a ",
    "x" * 200,
]


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    (tmp_path / "work").mkdir()
    (tmp_path / "secret.json").write_text("[]", encoding="utf-8")
    return Workplace(tmp_path / "work", upload=1000, room=2500)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_is_no_name_is_refused_everywhere(place: Workplace, name: str) -> None:
    for asked in (place.run, place.export, place.of_user, place.delete_uploads):
        with pytest.raises(OutputError):
            asked(name)
    with pytest.raises(DataError):
        place.data_file(name)


@pytest.mark.parametrize("name", ["run-1", "星河", "a b", "model.v2", "_x", "r(2)+"])
def test_what_people_call_their_runs_is_a_name(place: Workplace, name: str) -> None:
    assert place.run(name) == place.root / name


def test_a_link_is_not_followed(place: Workplace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "run.yaml").write_text("model: {path: x}", encoding="utf-8")
    (place.root / "linked").symlink_to(elsewhere)
    uploads = place.root / "uploads"
    uploads.mkdir()
    (uploads / "rows.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(OutputError, match="leads out of its folder"):
        place.run("linked")
    assert [*place.runs()] == []
    assert place.data() == {}
    with pytest.raises(DataError):
        place.data_file("rows.json")
    with pytest.raises(OutputError):
        place.delete_uploads("rows.json")
    assert (tmp_path / "secret.json").is_file()


def test_a_folder_of_the_page_that_is_a_link_is_not_used(place: Workplace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "rows.json").write_text("[]", encoding="utf-8")
    (place.root / "uploads").symlink_to(elsewhere)
    assert place.data() == {}
    source = tmp_path / "new.json"
    source.write_text("[]", encoding="utf-8")
    with pytest.raises(OutputError, match="is a link"):
        place.save_upload(source, "new.json")
    assert [path.name for path in elsewhere.iterdir()] == ["rows.json"]


def test_folders_of_the_page_are_no_runs(place: Workplace) -> None:
    for name in ("uploads", "exports", "users", "processes"):
        with pytest.raises(OutputError, match="folder of the page"):
            place.run(name)


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("rows.json", "rows.json"),
        ("../../rows.json", "rows.json"),
        ("C:\\data\\rows.jsonl", "rows.jsonl"),
        ("我的 数据.csv", "我的-数据.csv"),
        ("a.jsonl.gz", "a.jsonl.gz"),
        (".json.json", "json.json"),
    ],
)
def test_an_upload_lies_in_its_folder(
    place: Workplace, tmp_path: Path, name: str, saved: str
) -> None:
    source = tmp_path / "temporary"
    source.write_text("[]", encoding="utf-8")
    path = place.save_upload(source, name)
    assert path == place.root / "uploads" / saved
    assert place.data_file(saved) == path


def test_a_second_upload_of_a_name_replaces_nothing(place: Workplace, tmp_path: Path) -> None:
    source = tmp_path / "temporary"
    for text in ("one", "two", "three"):
        source.write_text(text, encoding="utf-8")
        place.save_upload(source, "rows.json.gz")
    saved = place.data()
    assert [*saved] == ["rows-2.json.gz", "rows-3.json.gz", "rows.json.gz"]
    assert saved["rows.json.gz"].read_text(encoding="utf-8") == "one"


def test_sizes_are_limited(place: Workplace, tmp_path: Path) -> None:
    source = tmp_path / "temporary"
    source.write_bytes(bytes(1001))
    with pytest.raises(DataError, match="may have"):
        place.save_upload(source, "large.json")
    source.write_bytes(bytes(1000))
    place.save_upload(source, "a.json")
    place.save_upload(source, "b.json")
    with pytest.raises(DataError, match="would take more"):
        place.save_upload(source, "c.json")
    place.delete_uploads("a.json")
    place.save_upload(source, "c.json")


@pytest.mark.parametrize("name", ["run.sh", "rows", "run.yaml", "x.json.exe", ".gz", "a.py.gz"])
def test_what_holds_no_rows_is_not_taken(place: Workplace, tmp_path: Path, name: str) -> None:
    source = tmp_path / "temporary"
    source.write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="no file of rows"):
        place.save_upload(source, name)


def test_people_are_apart(place: Workplace, tmp_path: Path) -> None:
    one, other = place.of_user("one"), place.of_user("other")
    source = tmp_path / "temporary"
    source.write_text("[]", encoding="utf-8")
    one.save_upload(source, "rows.json")
    assert [*one.data()] == ["rows.json"]
    assert other.data() == place.data() == {}
    with pytest.raises(DataError):
        other.data_file("rows.json")


def test_inside_is_judged_after_links_above_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    # the owner may put the whole workplace behind a link; what is in it may not lead out
    assert inside(tmp_path / "linked", "run") == tmp_path / "linked" / "run"


def test_an_export_is_there_when_it_is_whole(place: Workplace) -> None:
    assert NOT_EXPORTED == (UNFINISHED, DIFFERENT)
    begun = [(f"whole{ending}", "config.json") for ending in NOT_EXPORTED]
    for name, file in (("whole", "config.json"), ("gguf", "a.gguf"), ("none", "x.txt"), *begun):
        place.export(name).mkdir(parents=True)
        (place.export(name) / file).write_text("", encoding="utf-8")
    assert [folder.name for folder in place.exported()] == ["gguf", "whole"]
    assert [folder.name for folder in place.exports()] == ["whole"]
