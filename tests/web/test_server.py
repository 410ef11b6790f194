"""Who is let in, from where, and that one person's page shows nothing of another's."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from gradio.utils import get_upload_folder

from tuneglm.errors import ConfigError, ModelError
from tuneglm.web.files import Workplace
from tuneglm.web.foresee import Plans
from tuneglm.web.guard import language_of
from tuneglm.web.record import Page
from tuneglm.web.server import bound_socket, make_app, where_to_open
from tuneglm.web.site import Site, named_models
from tuneglm.web.tab_data import DataActs
from tuneglm.web.tab_export import ExportActs
from tuneglm.web.tab_train import TrainActs
from tuneglm.web.talk import Models
from tuneglm.web.train_form import Form
from tuneglm.web.users import Sessions, is_local, refuse_open_door, users_of
from tuneglm.web.words import Words

USERS = {"one": "first secret", "two": "第二个密码"}


def site_in(folder: Path, *, is_open: bool) -> Site:
    return Site(Workplace(folder, 10_000, 20_000), is_open, named_models([]), folder / "sets")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def app(folder: Path) -> Any:
    return make_app(site_in(folder, is_open=False), USERS, "")


@pytest.fixture
def client(app: Any) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://page.example", follow_redirects=False) as client:
        yield client


def enter(client: TestClient, name: str) -> None:
    answer = client.post("/login", data={"name": name, "password": USERS[name]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie


def test_nobody_comes_in_without_a_password(client: TestClient) -> None:
    html = {"accept": "text/html"}
    for path in ("/", "/zh/", "/en/", "/en/config", "/en/gradio_api/info"):
        for headers, status in (({}, 401), (html, 303)):
            answer = client.get(path, headers=headers)
            assert answer.status_code == status, path
            assert "open /login at this address" in answer.text, path
            assert "请先登录：用浏览器打开" in answer.text, path
        assert answer.headers["location"] == "/login"
    assert client.post("/en/gradio_api/queue/join", json={}).status_code == 401
    assert client.post("/en/gradio_api/upload", files={"files": b"x"}).status_code == 401
    wrong = client.post("/login", data={"name": "one", "password": "guess"})
    assert wrong.status_code == 401
    assert "do not belong together" in wrong.text
    assert client.get("/en/").status_code == 401
    enter(client, "one")
    assert client.get("/en/").status_code == 200
    client.get("/logout")
    assert client.get("/en/").status_code == 401


def test_attempts_are_counted(app: Any) -> None:
    with TestClient(app, client=("198.51.100.7", 1), base_url="http://page.example") as client:
        wrong = {"name": "one", "password": "guess"}
        codes = [client.post("/login", data=wrong).status_code for _ in range(12)]
    assert codes == [401] * 10 + [429] * 2


def test_a_request_of_another_page_is_refused(client: TestClient) -> None:
    enter(client, "one")
    foreign = {"origin": "http://evil.example"}
    assert client.post("/en/gradio_api/queue/join", headers=foreign).status_code == 403
    assert client.get("/en/", headers={"origin": "http://page.example"}).status_code == 200
    # of a page in a sandbox: it may look, and nothing else
    for origin in ("null", "http://[", "", "page.example"):
        sent = client.post("/en/gradio_api/queue/join", headers={"origin": origin}, json={})
        assert sent.status_code == 403, origin
    assert client.get("/en/", headers={"origin": "null"}).status_code == 200


@pytest.mark.parametrize(
    "name", ["../../evil.json", "/etc/evil.json", "..\\evil.json", "evil.json"]
)
def test_what_is_sent_lies_where_uploads_lie(client: TestClient, folder: Path, name: str) -> None:
    """Through the server, as a program would send it."""
    enter(client, "one")
    before = {*folder.parent.rglob("*.json")}
    answer = client.post("/en/gradio_api/upload", files={"files": (name, b"[]")})
    assert answer.status_code == 200
    received = Path(answer.json()[0])
    assert received.resolve().is_relative_to(Path(get_upload_folder()).resolve())
    page = Page(site_in(folder, is_open=False), Words("en"), Models(), Plans())
    *_, said = DataActs(page).upload([str(received)], [], request_of("one"))
    assert "done" in said
    (made,) = {*folder.parent.rglob("*.json")} - before
    assert made.parent == folder / "users" / "one" / "uploads"
    assert not received.exists()


def test_what_is_too_large_is_not_received(client: TestClient) -> None:
    enter(client, "one")
    answer = client.post("/en/gradio_api/upload", files={"files": ("a.json", bytes(30_000))})
    assert answer.status_code == 413


def test_a_browser_is_told_to_fetch_nothing_from_elsewhere(client: TestClient) -> None:
    enter(client, "one")
    policy = client.get("/en/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "http" not in policy.replace("https:", "")


def test_files_of_the_machine_are_not_given_out(client: TestClient, folder: Path) -> None:
    enter(client, "one")
    uploads = folder / "users" / "two" / "uploads"
    uploads.mkdir(parents=True, exist_ok=True)
    (uploads / "rows.json").write_text("secret", encoding="utf-8")
    for path in ("/etc/passwd", uploads / "rows.json", f"{folder}/../x", "../../etc/passwd"):
        answer = client.get(f"/en/gradio_api/file={path}")
        assert answer.status_code in (403, 404), path
        assert "secret" not in answer.text


def test_on_this_machine_other_names_are_refused(tmp_path: Path) -> None:
    app = make_app(site_in(tmp_path, is_open=True), {}, "")
    with TestClient(app, base_url="http://127.0.0.1:7860", follow_redirects=False) as client:
        for language, page in (("zh-CN,zh;q=0.9", "/zh/"), ("en-GB", "/en/"), ("de", "/en/")):
            answer = client.get("/", headers={"accept-language": language})
            assert answer.headers["location"] == page
            assert "in a browser" in answer.text and "用浏览器打开" in answer.text
        assert client.get("/zh/").status_code == 200
        # the language that was chosen is kept
        assert client.get("/", headers={"accept-language": "en"}).headers["location"] == "/zh/"
        for host in ("evil.example", "[", "127.0.0.1.evil.example"):
            answer = client.get("/en/", headers={"host": host})
            assert answer.status_code == 403, host
            assert "--user-file" in answer.text and "只回应本机" in answer.text


def test_who_signs_in_is_told_with_what(client: TestClient) -> None:
    for language, said in (("zh-CN", "用户名是 owner"), ("en", "the name is owner")):
        assert said in client.get("/login", headers={"accept-language": language}).text


def test_the_door_speaks_the_language_of_the_address(client: TestClient) -> None:
    headers = {"accept": "text/html", "accept-language": "en"}
    for path, said in (("/zh", "用户名是 owner"), ("/en/", "the name is owner")):
        assert client.get(path, headers=headers).headers["location"] == "/login"
        assert said in client.get("/login", headers=headers).text


def test_the_address_that_is_printed_can_be_typed() -> None:
    assert where_to_open("127.0.0.1", 7860) == "http://127.0.0.1:7860"
    assert where_to_open("fe80::1", 7860) == "http://[fe80::1]:7860"
    for everywhere, here in (("0.0.0.0", "127.0.0.1"), ("::", "[::1]")):
        told = where_to_open(everywhere, 7861)
        assert told.startswith(f"http://{here}:7861 ") and everywhere not in told.split(here)[1]


@pytest.mark.parametrize(
    ("accepted", "chosen", "language"),
    [
        ("zh-TW", None, "zh"),
        ("en;q=0.5, zh;q=0.9", None, "zh"),
        ("fr, en;q=0.3", None, "en"),
        ("", None, "en"),
        ("zh", "en", "en"),
        ("zh", "xx", "zh"),
        (";q=;;,q", None, "en"),
    ],
)
def test_the_language_is_the_browsers_or_the_chosen(
    accepted: str, chosen: str | None, language: str
) -> None:
    assert language_of(accepted, chosen) == language


def test_users_are_read_from_a_file_and_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNEGLM_WEB_PASSWORD", raising=False)
    file = tmp_path / "users.txt"
    file.write_text("# ours\none:a:b\n\ntwo:第二\n", encoding="utf-8")
    assert users_of(file) == {"one": "a:b", "two": "第二"}
    assert users_of(None) == {}
    monkeypatch.setenv("TUNEGLM_WEB_PASSWORD", "word")
    assert users_of(None) == {"owner": "word"}
    for text in ("one", "one:", ":x", "../x:y", ""):
        monkeypatch.delenv("TUNEGLM_WEB_PASSWORD", raising=False)
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError):
            users_of(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        users_of(tmp_path / "none.txt")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::", "example.org"])
def test_a_door_to_others_needs_a_password(host: str) -> None:
    with pytest.raises(ConfigError, match="no password"):
        refuse_open_door(host, {})
    refuse_open_door(host, USERS)


def test_this_machine_is_known() -> None:
    assert all(map(is_local, ("localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]")))
    assert not any(map(is_local, ("", "0.0.0.0", "localhost.evil.example", "127.0.0.1.example")))


def test_sessions_end() -> None:
    sessions = Sessions(USERS)
    secret = sessions.enter("one", USERS["one"])
    assert sessions.user(secret) == "one"
    assert sessions.enter("one", USERS["two"]) is None
    assert sessions.enter("nobody", "") is None
    assert sessions.user(None) is None and sessions.user("guess") is None
    sessions.leave(secret)
    assert sessions.user(secret) is None


def test_a_port_that_is_taken_is_said() -> None:
    with bound_socket("127.0.0.1", 0) as bound:
        bound.listen()
        with pytest.raises(ConfigError, match="Cannot listen"):
            bound_socket("127.0.0.1", bound.getsockname()[1])
    with pytest.raises(ConfigError, match="Cannot listen"):
        bound_socket("127.0.0.1", 99999)


def test_models_are_those_that_the_owner_names(tmp_path: Path) -> None:
    model = named_models([])["demo"]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "glm").symlink_to(model)
    models = named_models([tmp_path / "models"])
    assert [*models] == ["demo", "glm"]
    with pytest.raises(ModelError, match="holds none"):
        named_models([tmp_path])
    site = Site(Workplace(tmp_path), False, models, tmp_path)
    assert site.model_path("glm") == str(models["glm"])
    for name in ("/etc", "OWNER/NAME", "..", str(model)):
        with pytest.raises(ModelError, match="There is no model"):
            site.model_path(name)
    assert Site(Workplace(tmp_path), True, models, tmp_path).model_path("a/b") == "a/b"


def request_of(user: str) -> Any:
    return SimpleNamespace(username=user, session_hash=user)


def page_in(folder: Path) -> Page:
    return Page(site_in(folder, is_open=False), Words("en"), Models(), Plans())


def test_only_what_was_sent_is_taken_for_an_upload(tmp_path: Path) -> None:
    """Else a request that names another file would have it copied, and removed."""
    work, other = tmp_path / "work", tmp_path / "other.json"
    other.write_text("SECRET", encoding="utf-8")
    acts = DataActs(page_in(work))
    _, _, said = acts.upload([str(other)], [], request_of("one"))
    assert "was not uploaded here" in said
    assert other.is_file()
    assert not [*work.rglob("*.json")]


OUTSIDE = ["/etc/passwd", "../two/uploads/rows.json", "../../secret.json", "rows.json", ".."]


@pytest.mark.parametrize("name", OUTSIDE)
def test_data_of_elsewhere_is_neither_shown_nor_checked_nor_deleted(
    tmp_path: Path, name: str
) -> None:
    other = tmp_path / "users" / "two" / "uploads"
    other.mkdir(parents=True)
    (other / "rows.json").write_text('[{"instruction": "a", "output": "SECRET"}]', "utf-8")
    acts = DataActs(page_in(tmp_path))
    asked = request_of("one")
    for said in (
        acts.preview([name], "demo", asked),
        acts.check([name], "demo", asked),
        acts.check([name], "", asked),
        acts.delete([name], asked),
    ):
        assert "refusal" in "".join(map(str, said))
        assert "SECRET" not in "".join(map(str, said))
    assert (other / "rows.json").is_file()
    # whose file it is sees it
    assert "SECRET" in str(acts.preview(["rows.json"], "demo", request_of("two")))


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/b", "", "..", "users", "uploads"])
def test_a_run_or_an_export_of_elsewhere_is_not_begun(tmp_path: Path, name: str) -> None:
    import gradio as gr

    page = page_in(tmp_path)
    with gr.Blocks():
        form = Form(page)
        form.add()
        form.parts["run_name"] = gr.Textbox()
    values = {key: getattr(part, "value", None) for key, part in form.parts.items()}
    values |= {"model": "demo", "data": [], "name": "a", "author": "b", "run_name": name}
    given = [values[key] for key in form.keys]
    said, *_ = TrainActs(page, form).start(request_of("one"), *given)
    assert "refusal" in said
    if name not in ("users", "uploads"):
        said = ExportActs(page).start(request_of("one"), "demo", name, False, "", "", "", "")
        assert "refusal" in said
    made = {path.name for path in tmp_path.rglob("*")}
    assert made <= {"users", "one", "exports", "uploads", "processes"}
