"""What Windows or macOS lacks is asked for behind a guard; files are UTF-8 on every system.

A guard is a condition on the system (`os.name`, `sys.platform`, multiprocessing's methods)
in the function that asks. A room may be behind its door: the command that opens it refuses.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src"
# room → the file whose command refuses where the system lacks what the room needs
DOORS = {"web": SOURCES / "tuneglm" / "web_cli.py"}
REFUSAL = 'if os.name == "nt":\n        raise ConfigError('

# what Windows has not
MODULES = {
    *("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "readline", "syslog", "curses"),
}
NAMES = {
    "os": {
        *("fork", "forkpty", "killpg", "setsid", "getsid", "setpgid", "setpgrp", "getpgid"),
        *("getpgrp", "getuid", "geteuid", "getgid", "getegid", "getgroups", "chown", "lchown"),
        *("fchown", "mkfifo", "mknod", "sched_getaffinity", "sched_setaffinity", "statvfs"),
        *("fstatvfs", "sysconf", "uname", "getloadavg", "nice", "wait", "wait3", "wait4", "pread"),
        *("pwrite", "sendfile", "posix_fadvise", "posix_spawn", "kill", "sync", "lockf", "fchdir"),
        *("O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK", "O_DIRECT", "O_SYNC", "WNOHANG"),
        *("register_at_fork", "getpriority", "setpriority", "memfd_create", "eventfd"),
    },
    "signal": {
        *("SIGKILL", "SIGHUP", "SIGPIPE", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGSTOP"),
        *("SIGCONT", "SIGTSTP", "SIGWINCH", "SIGQUIT", "alarm", "setitimer", "pthread_kill"),
        *("pause", "sigwait", "pthread_sigmask", "siginterrupt", "set_wakeup_fd"),
    },
    "socket": {"AF_UNIX", "socketpair", "SO_REUSEPORT"},
    "select": {"poll", "epoll", "kqueue"},
    "time": {"tzset"},
}
KEYWORDS = {"preexec_fn", "pass_fds", "process_group"}
METHODS = {"send_signal"}
GUARDS = ("os.name", "sys.platform", "get_all_start_methods()")
# paths of a system's own, read where they are there
SYSTEM_PATH = re.compile(r"['\"]/(proc|sys|dev|tmp|etc|var)/")
LOOKS = ("exists()", "is_file()", "suppress(OSError)")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> list[Path]:
    return sorted(SOURCES.rglob("*.py"))


def asked(node: ast.AST) -> str | None:
    """What a piece of code asks of the system, where Windows lacks it."""
    if isinstance(node, ast.Import):
        return next((each.name for each in node.names if each.name in MODULES), None)
    if isinstance(node, ast.ImportFrom):
        names = NAMES.get(node.module or "", set())
        taken = {each.name for each in node.names} & names
        return node.module if node.module in MODULES else next(iter(taken), None)
    if isinstance(node, ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        return f"{owner}.{node.attr}" if node.attr in NAMES.get(owner, set()) else None
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            return node.func.attr
        return next((each.arg for each in node.keywords if each.arg in KEYWORDS), None)
    return None


def unguarded(code: ast.AST, guarded: bool = False) -> Iterator[str]:
    """Everything of that kind in code that is in no function with a guard."""
    for node in ast.iter_child_nodes(code):
        inner = guarded
        if isinstance(node, Function):
            text = ast.unparse(node)
            inner = guarded or any(guard in text for guard in GUARDS)
        what = asked(node)
        if what is not None and not inner:
            yield what
        yield from unguarded(node, inner)


def unseen(code: ast.Module) -> Iterator[str]:
    """Functions that read a path of the system's own without looking whether it is there."""
    constants = {
        target.id
        for node in code.body
        if isinstance(node, ast.Assign) and SYSTEM_PATH.search(ast.unparse(node))
        for part in node.targets
        for target in ast.walk(part)
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(code):
        if isinstance(node, Function):
            text = ast.unparse(node)
            uses = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} & constants
            if (uses or SYSTEM_PATH.search(text)) and not any(look in text for look in LOOKS):
                yield node.name


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(SOURCES)))
def test_nothing_is_asked_for_that_a_system_lacks(path: Path) -> None:
    code = ast.parse(path.read_text(encoding="utf-8"))
    room = path.relative_to(SOURCES).parts[1:2]
    if not set(room) & DOORS.keys():
        assert list(unguarded(code)) == []
    assert list(unseen(code)) == []


def test_what_is_in_a_room_behind_a_door_is_reached_through_it() -> None:
    for room, door in DOORS.items():
        assert REFUSAL in door.read_text(encoding="utf-8")
        imports = re.compile(rf"(from|import) tuneglm\.{room}\b")
        others = [path for path in sources() if room not in path.parts and path != door]
        assert [path for path in others if imports.search(path.read_text("utf-8"))] == []


def test_the_search_finds_what_it_looks_for() -> None:
    text = (
        "import fcntl\nfrom signal import SIGKILL\n"
        "def stop(p):\n    os.killpg(1, signal.SIGHUP)\n    run(preexec_fn=p)\n"
        "def guarded():\n    if os.name != 'nt':\n        os.fork()\n"
        "MEMORY = Path('/proc/meminfo')\n"
        "def read():\n    return MEMORY.read_text()\n"
    )
    code = ast.parse(text)
    found = {"fcntl", "SIGKILL", "os.killpg", "signal.SIGHUP", "preexec_fn"}
    assert set(unguarded(code)) == found
    assert list(unseen(code)) == ["read"]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(SOURCES)))
def test_text_is_utf_8_whatever_the_system_writes(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        known = any(each.arg in ("encoding", "errors") for each in node.keywords)
        if name in ("read_text", "write_text"):
            known |= len(node.args) > (name == "write_text")
        elif name == "open" or (isinstance(node.func, ast.Name) and node.func.id == "open"):
            modes = [each.value for each in node.args if isinstance(each, ast.Constant)]
            of_text = [mode for mode in modes if re.fullmatch("[rwax+]+", str(mode))]
            known |= not of_text and bool(node.args)
        else:
            continue
        assert known, f"{path}:{node.lineno}: {ast.unparse(node)}"


def test_names_of_files_are_names_on_every_system() -> None:
    for folder in ("src", "docs", "tests", "examples", "configs", "benchmarks"):
        for path in (ROOT / folder).rglob("*"):
            assert not re.search(r'[<>:"|?*\\]|[ .]$', path.name), path
