"""What comes through a pipe comes once: kept on disk, it can be read as often as a file."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tuneglm.errors import DataError


def kept(pipe: Path) -> Path:
    """A file with all that comes through the pipe; it is removed when this process ends.

    Raises DataError where several processes would share the pipe, and where there is no room.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise DataError(
            f"`{pipe}` is a pipe, and several processes of a run cannot read one.",
            "write its rows into a file",
        )
    descriptor, name = tempfile.mkstemp(prefix="tuneglm-")
    copy = Path(name)
    atexit.register(copy.unlink, missing_ok=True)
    try:
        with os.fdopen(descriptor, "wb") as file, pipe.open("rb") as source:
            shutil.copyfileobj(source, file)
    except OSError as error:
        copy.unlink(missing_ok=True)
        raise DataError(
            f"What comes through `{pipe}` cannot be kept in `{copy.parent}`: {error.strerror}.",
            "name another folder (TMPDIR=FOLDER), or write it into a file yourself",
        ) from None
    return copy
