"""A large instruction set, read, rendered, encoded and kept: rows a second, memory, second start.

    python benchmarks/encoding_speed.py --tokenizers FOLDER [--data FILE] [--rows N]
        [--workers N] [--family NAME]

The rows are synthesised: questions and sentences of the answers in FILE (Alpaca
rows in JSON; by default tuneglm's own demo text) are drawn anew, so that no two
rows are alike. FOLDER holds the published tokenizers, one folder a family; `native`
is GLM-4's as transformers itself saves it, with a chat template. Then, for one process,
where the processor's time goes; `tokenising` is the library beneath alone.
"""

import argparse
import gc
import json
import multiprocessing
import os
import random
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from tuneglm.data import pipeline
from tuneglm.data.blocks import SetEncoder
from tuneglm.data.encode import Encoder
from tuneglm.data.encoded_store import opened
from tuneglm.data.examples import load_examples
from tuneglm.data.pipeline import encode_data
from tuneglm.data_config import DataConfig
from tuneglm.demo.corpus import general_rows
from tuneglm.models import FAMILIES
from tuneglm.models.encoder import encoder_of
from tuneglm.models.native import tokenization

FOLDERS = {
    "chatglm": "chatglm-6b",
    "chatglm2": "chatglm2-6b",
    "chatglm3": "chatglm3-6b",
    "glm4": "glm-4-9b-chat",
}
SENTENCE = re.compile(r"[^。！？\n.!?]+[。！？\n.!?]?")
PROFILED = 20_000


def main() -> None:
    """Print a table of the families."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--family", help="one of them alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        synthesise(path, given.rows, source(given.data))
        size = path.stat().st_size
        print(f"{given.rows:,} rows, {size / given.rows:.0f} bytes each")
        for family, name in FOLDERS.items():
            asked = given.family in (None, family)
            if asked and (given.tokenizers / name).is_dir():
                measure(family, given.tokenizers / name, path, given.rows, given.workers)
        asked = given.family in (None, "native")
        if asked and (given.tokenizers / FOLDERS["glm4"]).is_dir():
            saved = as_transformers_saves_it(given.tokenizers / FOLDERS["glm4"], Path(folder))
            measure("native", saved, path, given.rows, given.workers)


def as_transformers_saves_it(published: Path, folder: Path) -> Path:
    """GLM-4's tokenizer as a folder that nothing tells from one of another model."""
    saved = folder / "native"
    FAMILIES["glm4"].load_tokenizer(published).save_pretrained(saved)
    (saved / "tokenizer.model").unlink()
    path = saved / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["family"]
    path.write_text(json.dumps({**config, "tokenizer_class": "PreTrainedTokenizerFast"}))
    return saved


def source(path: Path | None) -> list[dict[str, str]]:
    """Rows to draw from."""
    if path is None:
        return [dict(row) for row in general_rows()]
    rows: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def synthesise(path: Path, count: int, rows: list[dict[str, str]]) -> None:
    """Write `count` rows of the same make, of which no two are alike."""
    draw = random.Random(0)
    sentences = [[text for text in SENTENCE.findall(row["output"]) if text.strip()] for row in rows]
    every = [text for texts in sentences for text in texts]
    lengths = [max(1, len(texts)) for texts in sentences]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            answer = "".join(draw.choice(every) for _ in range(draw.choice(lengths)))
            row = {
                "instruction": f"{draw.choice(rows)['instruction']} {number}",
                "input": draw.choice(rows).get("input", ""),
                "output": answer,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def measure(family: str, folder: Path, path: Path, rows: int, workers: int | None) -> None:
    """One line a family, and one of where the time goes."""
    known = FAMILIES[family]
    tokenizer = known.load_tokenizer(folder)
    with tempfile.TemporaryDirectory() as cache:
        config = DataConfig.model_validate({"train": str(path), "cache": cache, "workers": workers})
        encoder = encoder_of(config, tokenizer, known)
        started = time.perf_counter()
        with peak_memory() as memory:
            data = encode_data(load_examples(config), encoder, config)
        seconds = time.perf_counter() - started
        again = time.perf_counter()
        encode_data(load_examples(config), encoder, config)
        again = time.perf_counter() - again
    print(
        f"{family:9} {rows / seconds:9,.0f} rows/s · {data.train.tokens / rows:.0f} tokens a row · "
        f"{max(memory):,.0f} MiB at most · second start {again:.2f} s",
        flush=True,
    )
    shares = profiled(family, encoder, tokenizer, config)
    total = sum(shares.values())
    print(
        "          one process: "
        + ", ".join(f"{name} {100 * part / total:.0f}%" for name, part in shares.most_common())
        + f" of {1e6 * total / min(PROFILED, rows):.0f} µs a row",
        flush=True,
    )


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """MiB of this process and its children, shared pages counted once (Linux)."""
    seen, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.3):
            seen.append(sum(map(proportional, processes())) / 1024)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def processes() -> list[str]:
    """This process and its children."""
    own = Path("/proc/self").resolve().name
    tasks = Path(f"/proc/{own}/task").glob("*/children")
    return [own, *(child for task in tasks for child in task.read_text().split())]


def proportional(process: str) -> int:
    """KiB of a process, of pages that it shares its part."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+)", text, re.M)
    return int(found[1]) if found else 0


def profiled(family: str, encoder: Encoder, tokenizer: Any, config: DataConfig) -> Counter[str]:
    """Seconds of each part of the way, for the first rows, in this process."""
    spent: Counter[str] = Counter()

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            # of the processor: what else runs on the machine does not count
            started = time.process_time()
            result = call(*arguments, **named)
            spent[name] += time.process_time() - started
            return result

        return run

    (examples,) = load_examples(config).train
    # as in the processes that encode, each of which has one thread
    alone = multiprocessing.parent_process
    multiprocessing.parent_process = lambda: multiprocessing.current_process()  # type: ignore[assignment, return-value]
    gc.disable()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    beneath = tokenization if family == "native" else tokenizer
    encode = "_encode" if family == "native" else "encode_bulk"
    original = getattr(beneath, encode)
    setattr(beneath, encode, timed("tokenising", original))
    render = timed("rendering", encoder.render)
    job = SetEncoder(examples, Encoder(render, encoder.rule, encoder.name))
    block = timed("encoding", job.block)
    rows = examples.rows()
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder) / "store") as store:
        append = timed("writing", store.append)
        take = timed("reading", lambda: list(islice(rows, pipeline.BLOCK)))
        read = 0
        while read < PROFILED and (taken := take()):
            encoded, counts = block(taken)
            read += len(taken)
            append(encoded, read, counts.as_json())
    setattr(beneath, encode, original)
    multiprocessing.parent_process = alone
    gc.enable()
    spent["encoding"] -= spent["rendering"]
    spent["rendering"] -= spent["tokenising"]
    return spent


if __name__ == "__main__":
    main()
