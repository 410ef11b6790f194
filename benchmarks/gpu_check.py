"""What a GPU computes, against what is known to be right, and what it takes.

    python benchmarks/gpu_check.py attention              packed rows by each kernel
    python benchmarks/gpu_check.py kernels                norm, gate, rotation by Triton and torch
    python benchmarks/gpu_check.py runs --family chatglm  small models tuned by the command line
    python benchmarks/gpu_check.py decoding               steps as graphs, and how fast they are
    python benchmarks/gpu_check.py make FOLDER …          a ChatGLM3-6B of random weights
    python benchmarks/gpu_check.py speed FOLDER           runs on it beside transformers' Trainer

Each prints a line for every check and ends in 1 where one failed; `--json FILE` keeps
the figures. Without a GPU the same is done on the processor, where less can go wrong.
"""

import argparse
import contextlib
import copy
import gc
import io
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from plan_accuracy import CONFIGS, GIB, Run, build, write_rows
from torch import Tensor

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LENGTHS = (31, 9, 200, 5, 170, 126, 12, 300)
WINDOW, PREFIX = 64, 20
# of a norm: float32's own rounding, also of a kernel that adds in another order; half precision
# may be so many times as far off as by plain sdpa
FLOAT32, FLEX, TIMES = 2e-5, 1e-3, 3.0


class Report:
    """Lines of a table, and what they hold."""

    def __init__(self, file: Path | None) -> None:
        self.file, self.entries, self.failed = file, list[dict[str, Any]](), 0

    def add(self, name: str, ok: bool, **figures: Any) -> None:
        """A check and what came of it; written at once, as the process may be stopped."""
        self.failed += not ok
        self.entries.append({"name": name, "ok": ok, **figures})
        words = " ".join(f"{key}={_short(value)}" for key, value in figures.items())
        print(f"{'ok  ' if ok else 'FAIL'} {name:58} {words}", flush=True)
        if self.file is not None:
            content = {"device": device_name(), "torch": torch.__version__, "checks": self.entries}
            self.file.write_text(json.dumps(content, indent=1, ensure_ascii=False))


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)[-600:] if isinstance(value, str) else str(value)


def device_name() -> str:
    """The card's name."""
    return torch.cuda.get_device_name() if DEVICE.type == "cuda" else "cpu"


# attention ---------------------------------------------------------------------------------------


def networks() -> dict[str, tuple[Any, str]]:
    """Name → config of a small model with heads of 64, and the family that places its rows."""
    from transformers import Glm4Config, MistralConfig

    from tuneglm.demo import model_folder
    from tuneglm.models import family_named

    wide = {"hidden_size": 256, "num_layers": 3, "num_attention_heads": 4}
    glm = {"ffn_hidden_size": 512, "kv_channels": 64, "multi_query_group_num": 2}
    changes = {
        "chatglm": {**wide, "inner_hidden_size": 512, "max_sequence_length": 1024},
        "chatglm3": {**wide, **glm, "seq_length": 1024},
    }
    made: dict[str, tuple[Any, str]] = {}
    for family, change in changes.items():
        published = json.loads((model_folder(family) / "config.json").read_text("utf-8"))
        layout: Any = family_named(family).layout
        made[family] = layout.to_native_config(published | change), family
    rotated = copy.deepcopy(made["chatglm3"][0])
    rotated.rope_parameters = {**rotated.rope_parameters, "rope_theta": 5_000_000.0}
    made["glm4"] = rotated, "glm4"
    sizes: dict[str, Any] = {
        "vocab_size": 1024,
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "pad_token_id": 3,
    }
    made["native glm4"] = Glm4Config(**sizes), "native"
    made["native with a window"] = MistralConfig(**sizes, sliding_window=WINDOW), "native"
    return made


def network(config: Any, dtype: torch.dtype, attention: str = "sdpa") -> Any:
    """The same weights in every type; the tables of rotation stay in float32."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    config = copy.deepcopy(config)
    whole = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for weight in whole.parameters():
            if weight.ndim > 1:
                weight.normal_(std=0.05)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention)
    model.load_state_dict(whole.state_dict())
    return model.to(DEVICE).train()


def token_rows(config: Any, family: str) -> list[Any]:
    """Random rows, the first half context, the second answer."""
    from tuneglm.data.encoded import UNTRAINED, Encoded

    draw = torch.Generator().manual_seed(0)
    rows = []
    for length in LENGTHS:
        ids = torch.randint(10, config.vocab_size - 10, (length,), generator=draw).tolist()
        answer = max(2, length // 2)
        if family == "chatglm":
            marks = {config.gmask_token_id, config.mask_token_id, config.bos_token_id}
            ids = [11 if token in marks else token for token in ids]
            ids[answer - 2 : answer] = [config.gmask_token_id, config.bos_token_id]
        labels = [UNTRAINED] * answer + ids[answer:]
        rows.append(Encoded(ids, labels, [False] * length))
    return rows


def put_a_prefix(model: Any) -> None:
    """A prefix of random keys and values, the same each time."""
    from tuneglm.models.prefix import PrefixEncoder, prefix_sizes, put_prefix

    torch.manual_seed(1)
    encoder = PrefixEncoder(PREFIX, prefix_sizes(model.config), None, None)
    encoder.dropout.p = 0.0
    put_prefix(model.requires_grad_(False), encoder)


def alone(model: Any, rows: Sequence[Any], context: Any) -> tuple[Tensor, Tensor]:
    """Each row by itself: logits (all tokens, vocabulary), and all gradients in one vector."""
    ids = [torch.tensor([row.input_ids], device=DEVICE) for row in rows]
    with context():
        logits = [model(each, use_cache=False).logits[0] for each in ids]
    return gradients(model, torch.cat(logits), rows)


def together(model: Any, rows: Sequence[Any], context: Any) -> tuple[Tensor, Tensor]:
    """The same of the packed rows."""
    from tuneglm.data.collate import concatenate

    batch = {name: each.to(DEVICE) for name, each in concatenate(rows).items()}
    del batch["labels"]
    with context():
        logits = model(**batch, use_cache=False).logits[0]
    return gradients(model, logits, rows)


def gradients(model: Any, logits: Tensor, rows: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of the mean loss as one vector in float32."""
    model.zero_grad()
    parts = logits.float().split([row.length for row in rows])
    losses = [
        torch.nn.functional.cross_entropy(
            part[:-1], torch.tensor(row.labels[1:], device=DEVICE), reduction="sum"
        )
        for part, row in zip(parts, rows, strict=True)
    ]
    torch.stack(losses).sum().div(sum(row.trained_tokens for row in rows)).backward()
    each = [weight.grad.float().flatten() for weight in model.parameters() if weight.requires_grad]
    return logits.detach().float(), torch.cat(each)


def distance(one: Tensor, other: Tensor) -> float:
    """Of two tensors, as a share of the second's norm."""
    return float((one - other).norm() / other.norm())


@contextlib.contextmanager
def counted() -> Iterator[dict[str, int]]:
    """How often the kernel that takes rows of unlike length was called."""
    from tuneglm.models import varlen

    calls, own = {"kernel": 0}, varlen._by_kernel

    def count(*arguments: Any, **named: Any) -> Any:
        calls["kernel"] += 1
        return own(*arguments, **named)

    varlen._by_kernel = count  # type: ignore[assignment]
    try:
        yield calls
    finally:
        varlen._by_kernel = own


def autocast() -> Any:
    """As the Trainer computes with bf16=true."""
    return torch.autocast(DEVICE.type, torch.bfloat16)


def attention(report: Report, only: str) -> None:
    """Packed rows by each kernel against the rows alone by sdpa in float32."""
    for name, (config, family) in networks().items():
        if only in name:
            for prefix in (False, True):
                _attention_of(report, name, config, family, prefix)


def _attention_of(report: Report, name: str, config: Any, family: str, prefix: bool) -> None:
    from tuneglm.models import family_named
    from tuneglm.models.attention import keep_rows_apart

    rows, place = token_rows(config, family), family_named(family).place_rows
    whole, half = torch.float32, torch.bfloat16

    def made(dtype: torch.dtype, attention: str, apart: bool) -> Any:
        model = network(config, dtype, attention)
        if apart:
            keep_rows_apart(model, place)
        if prefix:
            put_a_prefix(model)
        return model

    right = alone(made(whole, "sdpa", False), rows, contextlib.nullcontext)
    plain = alone(made(half, "sdpa", False), rows, contextlib.nullcontext)
    plainly = [distance(*pair) for pair in zip(plain, right, strict=True)]
    cases = [
        ("float32, row by row", whole, "sdpa", contextlib.nullcontext),
        ("bfloat16", half, "sdpa", contextlib.nullcontext),
        ("float32 under autocast", whole, "sdpa", autocast),
        ("float32, flex", whole, "flex_attention", contextlib.nullcontext),
        ("bfloat16, flex", half, "flex_attention", contextlib.nullcontext),
    ]
    for title, dtype, kernel, context in cases:
        if kernel == "flex_attention" and (DEVICE.type == "cpu" or "window" in name or prefix):
            continue
        title = f"{name}{' with a prefix' if prefix else ''} · {title}"
        began = time.perf_counter()
        try:
            with counted() as calls:
                found = together(made(dtype, kernel, True), rows, context)
        except Exception:
            report.add(title, False, error=traceback.format_exc())
            continue
        logits, gradient = (distance(*pair) for pair in zip(found, right, strict=True))
        exact = dtype == whole and context is contextlib.nullcontext
        closest = FLEX if kernel == "flex_attention" else FLOAT32
        allowed = [closest] * 2 if exact else [TIMES * each for each in plainly]
        at_once = DEVICE.type == "cuda" and kernel == "sdpa" and not exact
        at_once = at_once and not (prefix and "window" in name)
        ok = logits <= allowed[0] and gradient <= allowed[1] and at_once == (calls["kernel"] > 0)
        report.add(
            title,
            ok,
            logits=logits,
            gradient=gradient,
            by_sdpa=[float(f"{each:.2g}") for each in plainly],
            varlen=calls["kernel"],
            seconds=time.perf_counter() - began,
        )


# kernels -----------------------------------------------------------------------------------------

TOKENS, CALLS = 2048, 50
# of the largest number: sums in another order, and one step of bfloat16's
APART = {torch.float32: 3e-6, torch.bfloat16: 2.0**-7}


class Case(NamedTuple):
    """Something that is computed by kernels of these names, from these tensors."""

    name: str
    compute: Callable[..., Any]
    given: tuple[Tensor, ...]
    kernels: tuple[str, ...]


def kernel_cases(dtype: torch.dtype) -> list[Case]:
    """At the sizes of ChatGLM3-6B and of others; some in half precision alone."""
    from transformers.models.glm import modeling_glm
    from transformers.models.llama import modeling_llama

    from tuneglm.models import fast
    from tuneglm.models.chatglm import modeling_chatglm

    def drawn(*shape: int, trained: bool = True, dtype: torch.dtype = dtype) -> Tensor:
        draw = torch.Generator().manual_seed(len(shape) + shape[-1])
        return torch.randn(shape, generator=draw).to(DEVICE, dtype).requires_grad_(trained)

    def norm(states: Tensor, weight: Tensor) -> Any:
        return fast._Norm.apply(states, weight, 1e-5)

    wide, ways = drawn(1, TOKENS, 4096), ("norm", "norm_back")
    gate, values = drawn(1, TOKENS, 13696), drawn(1, TOKENS, 13696)
    cases = [
        Case("norm of 4096, trained", norm, (wide, drawn(4096)), ways),
        Case("gate of 13696", fast._Gated.apply, (gate, values), ("gated", "gated_back")),
        Case(
            "gate of halves of 27392",
            fast._GatedPair.apply,
            (drawn(1, TOKENS, 27392),),
            ("gated", "gated_back"),
        ),
        _rotation("neighbours of half a head", modeling_glm, drawn, (32, 2), 64),
    ]
    if dtype == torch.float32:
        return cases
    whole = torch.float32
    heads = drawn(1, TOKENS, 32, 128)
    return [
        *cases,
        Case("norm of 4096, frozen", norm, (wide, drawn(4096, trained=False)), ways),
        Case("norm of 4096, trained in float32", norm, (wide, drawn(4096, dtype=whole)), ways),
        Case("norm of heads of 128", norm, (heads, drawn(128, trained=False)), ways),
        _rotation("halves of a head", modeling_llama, drawn, (32, 8), 128),
        _rotation("quarters of a head", modeling_chatglm, drawn, (32, 32), 128),
    ]


def _rotation(name: str, file: Any, drawn: Any, heads: tuple[int, int], turned: int) -> Case:
    """Queries and keys with heads of 128 by a file's function, and by what stands in for it."""
    from tuneglm.models import rotary

    form = rotary.form_of(file.apply_rotary_pos_emb)
    assert form is not None, file
    turn = rotary.by_kernel(file.apply_rotary_pos_emb, form)
    angles = torch.arange(TOKENS)[:, None] / 10_000 ** torch.linspace(0, 1, turned // 2)
    angles = torch.cat((angles, angles), dim=-1)[None].to(DEVICE)
    given = tuple(drawn(1, TOKENS, each, 128) for each in heads)
    tables = [each.to(given[0].dtype) for each in (angles.cos(), angles.sin())]

    def compute(query: Tensor, key: Tensor) -> Any:
        return turn(query.transpose(1, 2), key.transpose(1, 2), *tables)

    return Case(f"rotation of {name}", compute, given, ("turn", "turn"))


@contextlib.contextmanager
def launches(by_kernels: bool) -> Iterator[list[str]]:
    """Kernels taken, or nothing by them; the names of those that were launched."""
    from tuneglm.models import kernels

    names, own, take = list[str](), kernels._kernel, kernels.take

    def kernel(name: str) -> Any:
        names.append(name)
        return own(name)

    kernels._kernel = kernel  # type: ignore[assignment]
    if not by_kernels:
        kernels.take = lambda states: False
    try:
        yield names
    finally:
        kernels._kernel, kernels.take = own, take


def arriving_at(case: Case) -> list[Tensor]:
    """A gradient for each of what a case computes, the same each time."""
    with torch.no_grad():
        found = case.compute(*case.given)
    outputs = found if isinstance(found, tuple) else (found,)
    draw = torch.Generator(DEVICE).manual_seed(1)
    return [
        torch.randn(each.shape, generator=draw, device=DEVICE).to(each.dtype) for each in outputs
    ]


def there_and_back(case: Case, arriving: Sequence[Tensor]) -> list[Tensor]:
    """What is computed, and the gradients of what it is computed from."""
    found = case.compute(*case.given)
    outputs = found if isinstance(found, tuple) else (found,)
    trained = [each for each in case.given if each.requires_grad]
    return [*outputs, *torch.autograd.grad(outputs, trained, arriving)]


def microseconds(case: Case, arriving: Sequence[Tensor]) -> tuple[float, float]:
    """Of a call forward and back: on the GPU, and until all of it was handed over; medians."""
    spans, handed = [], []
    for _ in range(CALLS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        began = time.perf_counter()
        begin.record()
        there_and_back(case, arriving)
        end.record()
        handed.append(time.perf_counter() - began)
        torch.cuda.synchronize()
        spans.append(begin.elapsed_time(end))
    return 1e3 * statistics.median(spans), 1e6 * statistics.median(handed)


def kernels_of(case: Case, arriving: Sequence[Tensor]) -> int | None:
    """How many kernels a call is, where the profiler can say."""
    from torch.profiler import ProfilerActivity, profile

    try:
        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            there_and_back(case, arriving)
            torch.cuda.synchronize()
        events = [each for each in profiled.events() or [] if each.device_type.name == "CUDA"]
    except (RuntimeError, AssertionError):  # a profiler that cannot look into this GPU
        return None
    return len(events) or None


def by_kernels(report: Report, only: str) -> None:
    """Each kernel against torch: values and gradients, the same bits twice, what it takes."""
    from tuneglm.models import kernels

    if not kernels.are_at_hand():
        report.add("kernels", False, error="They need a GPU, and triton.")
        return
    for dtype in APART:
        for case in kernel_cases(dtype):
            name = f"{case.name} · {str(dtype).removeprefix('torch.')}"
            if only in name:
                _by_kernels_of(report, name, case)


def _by_kernels_of(report: Report, name: str, case: Case) -> None:
    from tuneglm.models import kernels

    began = time.perf_counter()
    try:
        with launches(False):
            arriving = arriving_at(case)
            right = there_and_back(case, arriving)
        with launches(True) as names, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = there_and_back(case, arriving)
            ready = time.perf_counter() - began
            again = there_and_back(case, arriving)
        pairs = [(one.detach(), other.detach()) for one, other in zip(found, right, strict=True)]
        apart = [
            float((one.float() - other.float()).abs().max() / other.float().abs().max())
            for one, other in pairs
        ]
        # what comes out in float32 was rounded on its way, where anything that went in was
        ok = max(apart) <= max(APART[each.dtype] for each in case.given)
        ok = ok and all(one.dtype == other.dtype for one, other in pairs)
        same = all(torch.equal(one, other) for one, other in zip(found, again, strict=True))
        launched = tuple(names) == 2 * case.kernels and kernels._state["works"]
        figures: dict[str, Any] = {"apart": [float(f"{each:.2g}") for each in apart]}
        if not launched:
            figures["error"] = f"{names} {[str(each.message) for each in said]}"
        for title, chosen in (("triton", True), ("torch", False)):
            with launches(chosen):
                taken, handed = microseconds(case, arriving)
                figures[title] = f"{taken:.0f}us/{handed:.0f}us/{kernels_of(case, arriving)}"
    except Exception:
        report.add(name, False, error=traceback.format_exc())
    else:
        figures |= {"same_bits": same, "first_call": ready}
        report.add(name, ok and same and launched, **figures)
    finally:
        kernels._state["works"] = True  # for the next ones


# runs --------------------------------------------------------------------------------------------

METHODS = {
    "full": ("training.learning_rate=0.0005",),
    "freeze": ("method.layers=1", "method.modules=all"),
    "lora": ("method.targets=all", "training.learning_rate=0.003"),
    "p_tuning": ("method.length=6", "method.dropout=0"),
    "prompt": ("method.length=6",),
}
EXACT = ("model.dtype=float32", "training.bf16=false")
HALF = ("model.dtype=float16", "training.fp16=true", "training.bf16=false")
PACKED = ("data.batching=packed", "training.per_device_train_batch_size=1")
CHECKPOINTED = ("training.gradient_checkpointing=true",)


def command(*words: str) -> tuple[int, str]:
    """`tuneglm WORDS` in this process: its exit code, and all that it printed."""
    from tuneglm.cli import main

    printed = io.StringIO()
    code = 1
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            main(words)
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception:
            printed.write(traceback.format_exc())
    return code, printed.getvalue()


class CommandError(Exception):
    """A command that ended in another code than 0."""


class Runs:
    """Runs of one small model, each in a folder of its own."""

    def __init__(self, report: Report, family: str, folder: Path, only: str) -> None:
        self.report, self.family, self.folder, self.only = report, family, folder, only
        self.model, self.rows = folder / "model", folder / "rows.json"
        build(self.model, Run(family, 256, 3, ()), vocabulary=8192)
        write_rows(self.rows)
        self.count = 0

    def train(self, *settings: str, model: Path | None = None, folder: Path | None = None) -> Path:
        """The folder of a run of three steps."""
        self.count += 1
        output = folder or self.folder / f"run-{self.count}"
        code, printed = command(
            "train",
            f"model.path={model or self.model}",
            *(
                []
                if any(each.startswith("data.train=") for each in settings)
                else [f"data.train={self.rows}"]
            ),
            "data.cutoff=128",
            f"training.output_dir={output}",
            "training.max_steps=3",
            "training.per_device_train_batch_size=4",
            "training.logging_steps=1",
            "training.save_strategy=no",
            "memory_check=off",
            *settings,
        )
        if code:
            raise CommandError(printed)
        return output

    def check(self, name: str, run: Callable[[], dict[str, Any]]) -> None:
        """Run it, and say what came of it; an AssertionError or a failed command is a fault."""
        if not re.search(self.only, name):
            return
        began = time.perf_counter()
        try:
            figures = run()
        except Exception as error:
            words = str(error) if isinstance(error, CommandError) else traceback.format_exc()
            self.report.add(f"{self.family} · {name}", False, error=words)
        else:
            seconds = time.perf_counter() - began
            self.report.add(f"{self.family} · {name}", True, **figures, seconds=seconds)

    def cell(self, *settings: str, model: Path | None = None) -> dict[str, Any]:
        """Train, load by the one path, answer."""
        output = self.train(*settings, model=model)
        found = losses(output)
        assert len(found) == 3 and all(each == each for each in found), found
        return {"losses": [round(each, 4) for each in found], "answer": len(answer(output))}


def losses(folder: Path) -> list[float]:
    """Of each step."""
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [entry["loss"] for entry in entries if "loss" in entry]


def answer(folder: Path) -> str:
    """What the result says to a question, drawn greedily."""
    from tuneglm import ChatConfig, ChatModel

    chat = ChatModel(folder)
    assert str(chat.model.device).startswith(DEVICE.type), chat.model.device
    settings = ChatConfig(temperature=0, max_new_tokens=6)
    question = [{"role": "user", "content": "你好"}]
    drawn = chat.reply(question, settings)
    assert chat.replies([question] * 2, settings)[0] == drawn.strip()
    return drawn


def farthest(one: Sequence[float], other: Sequence[float], allowed: float) -> dict[str, Any]:
    """How far two curves are apart, as a share."""
    assert len(one) == len(other), (one, other)
    apart = max(abs(a - b) / abs(b) for a, b in zip(one, other, strict=True))
    assert apart <= allowed, f"{one} and {other}: {apart:.2g} apart, {allowed:.2g} allowed"
    return {"apart": apart}


def weights_of(folder: Path) -> bytes:
    """The file of a result's weights."""
    from tuneglm.checkpoints import RESULTS

    return next((folder / name).read_bytes() for name in RESULTS if (folder / name).is_file())


def runs(report: Report, family: str, only: str) -> None:
    """Every method and width, and what must come out the same in two ways."""
    with tempfile.TemporaryDirectory() as name:
        made = Runs(report, family, Path(name), only)
        for method, settings in METHODS.items():
            own = (f"method={method}", *settings)
            for bits in (16,) if method == "full" else (16, 8, 4):
                made.check(
                    f"{method}, {bits} bits",
                    lambda own=own, bits=bits: made.cell(*own, f"model.bits={bits}"),  # type: ignore[misc]
                )
            made.check(f"{method}, float16", lambda own=own: made.cell(*own, *HALF))  # type: ignore[misc]
            made.check(
                f"{method}, packed is padded, float32",
                lambda own=own: _packed_is_padded(made, own, EXACT, 1e-4),  # type: ignore[misc]
            )
            made.check(
                f"{method}, packed is padded, bfloat16",
                lambda own=own: _packed_is_padded(made, own, (), 1e-2),  # type: ignore[misc]
            )
            made.check(
                f"{method}, checkpointing on is off",
                lambda own=own: _checkpointing(made, own),  # type: ignore[misc]
            )
            made.check(f"{method}, resumed", lambda own=own: _resumed(made, own))  # type: ignore[misc]
        _others(made)


def _packed_is_padded(
    made: Runs, own: Sequence[str], settings: Sequence[str], allowed: float
) -> dict[str, Any]:
    """All rows in one step."""
    plain = (*own, *settings, "training.optim=sgd", "training.learning_rate=0.01")
    size = "training.per_device_train_batch_size=64"
    padded = losses(made.train(*plain, size))
    return farthest(losses(made.train(*plain, *PACKED, size)), padded, allowed)


def _checkpointing(made: Runs, own: Sequence[str]) -> dict[str, Any]:
    once = losses(made.train(*own, *PACKED, *CHECKPOINTED))
    return farthest(once, losses(made.train(*own, *PACKED)), 5e-3)


def _resumed(made: Runs, own: Sequence[str]) -> dict[str, Any]:
    """A run that goes on from its third step against the one that nobody stopped."""
    from tuneglm.checkpoints import RESULTS

    saving = ("training.save_strategy=steps", "training.save_steps=3", "training.max_steps=6")
    folder = made.train(*own, *saving)
    whole, weights = losses(folder), weights_of(folder)
    again = made.train(*own, *saving)
    repeats = losses(again) == whole and weights_of(again) == weights
    for path in folder.iterdir():
        if path.name in RESULTS:
            path.unlink()
        elif path.name == "checkpoint-6":
            shutil.rmtree(path)
    made.train(*own, *saving, folder=folder)
    equal = losses(folder) == whole and weights_of(folder) == weights
    apart = farthest(losses(folder), whole, 1e-3)
    # where the same command twice is not the same run, this one cannot be
    assert equal or not repeats, f"the same run twice is equal, resumed it is not: {apart}"
    return {"bitwise": equal, "same run twice bitwise": repeats, **apart}


def _others(made: Runs) -> None:
    """Official packed weights, float16 in few bits, flex_attention, a merged adapter, the plan."""
    lora = ("method=lora", *METHODS["lora"])
    for bits in (8, 4):
        packed = made.folder / f"int{bits}"
        made.check(
            f"official int{bits} written",
            lambda packed=packed, bits=bits: _ran(  # type: ignore[misc]
                "export", str(made.model), str(packed), "--bits", str(bits)
            ),
        )
        made.check(f"lora, int{bits}", lambda packed=packed: made.cell(*lora, model=packed))  # type: ignore[misc]
        made.check(
            f"lora, int{bits}, float16",
            lambda packed=packed: made.cell(*lora, *HALF, model=packed),  # type: ignore[misc]
        )
        made.check(
            f"lora, {bits} bits, float16",
            lambda bits=bits: made.cell(*lora, *HALF, f"model.bits={bits}"),  # type: ignore[misc]
        )
        made.check(
            f"lora, {bits} bits, checkpointing, packed",
            lambda bits=bits: made.cell(*lora, *PACKED, *CHECKPOINTED, f"model.bits={bits}"),  # type: ignore[misc]
        )
    made.check("lora, bits=auto, memory foreseen", lambda: _foreseen(made, lora))
    made.check("lora, evaluated", lambda: made.cell(*lora, "data.evaluation_rows=5"))
    if DEVICE.type == "cuda":
        for method in ("lora", "full", "p_tuning"):
            own = (f"method={method}", *METHODS[method])
            made.check(f"{method}, flex_attention", lambda own=own: _flex(made, own))  # type: ignore[misc]
    made.check("held to the base beside an identity", lambda: _identity(made))
    made.check("merged", lambda: _merged(made, lora))
    made.check("chat in a pipe", lambda: _chat(made))


def _ran(*words: str) -> dict[str, Any]:
    code, printed = command(*words)
    if code:
        raise CommandError(printed)
    return {}


def _foreseen(made: Runs, own: Sequence[str]) -> dict[str, Any]:
    return made.cell(*own, "memory_check=refuse", "model.bits=auto")


def _flex(made: Runs, own: Sequence[str]) -> dict[str, Any]:
    """Packs of unlike length: the kernel is compiled for more than one."""
    steps = ("training.max_steps=8", "data.tokens_per_batch=200")
    flexed = losses(made.train(*own, *PACKED, *steps, "model.attention=flex_attention"))
    return farthest(flexed, losses(made.train(*own, *PACKED, *steps)), 5e-3)


def _identity(made: Runs) -> dict[str, Any]:
    """Replay rows in padded batches, and questions asked while it trains."""
    names = ("data.identity.name=Aurora", "data.identity.author=Northwind Labs")
    more = ("data.identity.languages=en", f"data.dir={made.folder / 'data'}", "stage.kl=0.5")
    more = (*more, f"data.train=[{{path: {made.rows}, replay: true}}]")
    saving = ("training.save_strategy=steps", "probe.questions=2", "data.cutoff=128")
    return made.cell(*names, *more, *saving, "training.max_steps=3")


def _merged(made: Runs, own: Sequence[str]) -> dict[str, Any]:
    tuned = made.train(*own, *EXACT)
    _ran("export", str(tuned), f"{tuned}-whole")
    return {"answer": len(answer(Path(f"{tuned}-whole")))}


def _chat(made: Runs) -> dict[str, Any]:
    typed, sys.stdin = sys.stdin, io.StringIO("你好\n/clear\nhello\n")
    try:
        code, printed = command("chat", str(made.model), "--max-new-tokens", "4")
    finally:
        sys.stdin = typed
    if code:
        raise CommandError(printed)
    return {"printed": len(printed)}


# decoding ----------------------------------------------------------------------------------------

WRITTEN = 128  # tokens of an answer
PROMPT = 64
ROWS_AT_ONCE = (1, 8)


def decoding(report: Report, size: str) -> None:
    """Answers by graphs against answers by `generate`; then tokens a second of a large model."""
    from tuneglm.demo import model_folders

    for family, folder in model_folders().items():
        for bits in (16, 4):
            _checked(report, f"{family}, {bits} bits · a chat by graphs", folder, bits)
    model = random_model(size).eval()
    for rows in ROWS_AT_ONCE:
        generated = _generated(model, rows)
        plain, _ = _by_batch(model, rows, is_recorded=False)
        recorded, graphs = _by_batch(model, rows, is_recorded=True)
        report.add(
            f"{rows} at once",
            graphs > 0 or DEVICE.type == "cpu",
            by_generate=generated,
            by_batch=plain,
            by_graphs=recorded,
            graphs=graphs,
        )


def _checked(report: Report, name: str, folder: Path, bits: int) -> None:
    """A conversation of three answers, greedily, both ways; the type is float32."""
    from tuneglm import ChatConfig, ChatModel

    settings = ChatConfig(temperature=0, max_new_tokens=40)
    try:
        chat = ChatModel(folder, dtype="float32", bits=bits)  # type: ignore[arg-type]
        said = [
            [{"role": "user", "content": words}] for words in ("你是谁？", "3+4=", "hello " * 9)
        ]
        found = [chat.reply(each, settings) for each in said]
        alone, chat._alone = chat._alone, None
        wanted = [chat.reply(each, settings) for each in said]
    except Exception:
        report.add(name, False, error=traceback.format_exc())
        return
    graphs = 0 if alone is None else len(alone._batch._graphs._graphs)  # type: ignore[union-attr]
    report.add(
        name,
        found == wanted and (graphs > 0 or DEVICE.type == "cpu"),
        graphs=graphs,
        equal=sum(one == other for one, other in zip(found, wanted, strict=True)),
    )


def _prompts(model: Any, rows: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(10, model.config.vocab_size - 10, (rows, PROMPT), generator=draw)


def _generated(model: Any, rows: int) -> float:
    """Tokens a second of transformers' own loop, with its usual cache."""
    ids = _prompts(model, rows).to(DEVICE)
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    times = []
    for _ in range(2):
        began = synchronized()
        model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=WRITTEN, **options)
        times.append(synchronized() - began)
    return rows * WRITTEN / times[-1]


def _by_batch(model: Any, count: int, is_recorded: bool) -> tuple[float, int]:
    """Tokens a second of a running batch, and how many graphs it has recorded."""
    from tuneglm.models import family_named
    from tuneglm.models.named_adapters import NamedAdapters
    from tuneglm.writing.batch import Batch
    from tuneglm.writing.fitting import kept_shapes
    from tuneglm.writing.places import place
    from tuneglm.writing.row import Row, Sampling
    from tuneglm.writing.slots import Slots

    family, prompts = family_named("chatglm3"), _prompts(model, count).tolist()
    slots = Slots(kept_shapes(model, prompts[0]), count, PROMPT + WRITTEN + 8, model.device)
    batch = Batch(model, NamedAdapters(model, {}, family), slots)
    if not is_recorded:
        batch._graphs = None
    seconds = 0.0
    for _ in range(2):
        rows = [Row(each, WRITTEN, Sampling(temperature=0), "base") for each in prompts]
        began = synchronized()
        for row in rows:
            place(row, model.config, family)
            batch.join(row)
        while not all(row.is_ready for row in rows):
            batch.read()
        for _ in range(WRITTEN):
            batch.write()
        seconds = synchronized() - began
        for row in rows:
            batch.leave(row)
    graphs = 0 if batch._graphs is None else len(batch._graphs._graphs)
    return count * WRITTEN / seconds, graphs


# speed -------------------------------------------------------------------------------------------

SIZES = {
    "6b": CONFIGS["chatglm3-6b"],
    "small": CONFIGS["chatglm3-6b"]
    | {"hidden_size": 256, "num_layers": 3, "num_attention_heads": 4}
    | {"kv_channels": 64, "ffn_hidden_size": 512},
}
ROWS, EPOCHS = 96, 3
# the last steps of a run, which are not timed: how long the GPU computes in them is looked at
LOOKED_AT = 3
PEER = "transformers' Trainer and peft, lora, padded by 4"
SAID = ("Memory", "Time", "Loss")
SPEED_RUNS = {
    "lora, packed by 1,024": ("method=lora", "packed"),
    "lora, packed by 1,024, without Triton": ("method=lora", "packed", "torch"),
    "lora, padded by 4": ("method=lora",),
    "lora, padded by 4, without Triton": ("method=lora", "torch"),
    "lora, 4 bits, packed by 1,024": ("method=lora", "model.bits=4", "packed"),
    "p_tuning, padded by 4": ("method=p_tuning",),
    "lora, 8 bits, padded by 4": ("method=lora", "model.bits=8"),
    "freeze, padded by 4": ("method=freeze",),
    "lora, checkpointing, packed by 1,024": ("method=lora", "packed", *CHECKPOINTED),
    "lora, 4 bits, padded by 4": ("method=lora", "model.bits=4"),
}
BY_FOUR = ("training.per_device_train_batch_size=4",)
BY_TOKENS = ("data.batching=packed", "data.tokens_per_batch=1024")
TARGETS = ["q_proj", "k_proj", "v_proj"]


def random_model(size: str) -> Any:
    """ChatGLM3's network in bfloat16, drawn where it will compute."""
    from transformers import AutoModelForCausalLM

    from tuneglm.models import family_named

    layout: Any = family_named("chatglm3").layout
    torch.manual_seed(0)
    config = layout.to_native_config(SIZES[size])
    with torch.device(DEVICE):
        return AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16, attn_implementation="sdpa"
        )


def make(report: Report, folder: Path, size: str, tokenizer: Path, data: Path) -> None:
    """A model's folder as published, with a tokenizer, and the rows that are trained on."""
    from tuneglm.models import family_named
    from tuneglm.models.published import save_published

    began = time.perf_counter()
    layout: Any = family_named("chatglm3").layout
    model = random_model(size)
    drawn = time.perf_counter() - began
    save_published(model, layout, folder)
    for file in (*tokenizer.glob("tokenizer*"), *tokenizer.glob("*.model")):
        shutil.copy(file, folder / file.name)
    rows = json.loads(data.read_text("utf-8"))[:ROWS]
    (folder / "rows.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    written = time.perf_counter() - began - drawn
    report.add("a model of random weights", True, drawn=drawn, written=written)


def synchronized() -> float:
    """The time, when the device has done all that it was asked."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def memory_in_use(forget: bool = False) -> tuple[float, float]:
    """GiB of tensors at most, and of what torch reserved for them."""
    if DEVICE.type != "cuda":
        return 0.0, 0.0
    peaks = torch.cuda.max_memory_allocated() / GIB, torch.cuda.max_memory_reserved() / GIB
    if forget:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return peaks


def speed(report: Report, folder: Path, size: str, only: str, seconds: float) -> None:
    """Ours by the command line, and transformers' Trainer with peft, on the same rows."""
    began = time.perf_counter()
    _measured(
        report, "transformers' Trainer and peft, lora, padded by 4", lambda: _peers(size, folder)
    )
    for name, settings in SPEED_RUNS.items():
        if only in name and time.perf_counter() - began < seconds:
            _measured(report, name, lambda settings=settings: _ours(folder, settings))  # type: ignore[misc]


def _measured(report: Report, name: str, run: Callable[[], dict[str, Any]]) -> None:
    memory_in_use(forget=True)
    began = time.perf_counter()
    try:
        figures = run()
    except Exception as error:
        words = str(error) if isinstance(error, CommandError) else traceback.format_exc()
        report.add(name, False, error=words)
    else:
        report.add(name, True, **figures, seconds=time.perf_counter() - began)


class Kernels:
    """What the GPU does in a run's last steps, by torch's profiler."""

    def __init__(self) -> None:
        self._profiler: Any = None
        self._began = self._seconds = 0.0

    def follow(self, left: int) -> None:
        """Called at the end of each step, with the number of those that are left."""
        if DEVICE.type == "cuda" and left == LOOKED_AT:
            self._profiler = torch.profiler.profile(
                activities=[torch.profiler.ProfilerActivity.CUDA]
            )
            self._profiler.start()
            self._began = synchronized()
        elif self._profiler is not None and left == 0:
            self._seconds = synchronized() - self._began
            self._profiler.stop()

    def figures(self) -> dict[str, Any]:
        """Kernels a step, the share of the time in which one runs, and the longest by name."""
        if self._profiler is None or not self._seconds:
            return {}
        found = sorted(self._profiler.key_averages(), key=lambda each: -each.self_device_time_total)
        busy = sum(each.self_device_time_total for each in found) / 1e6
        return {
            "kernels_a_step": sum(each.count for each in found) // LOOKED_AT,
            "busy": busy / self._seconds,
            "busy_seconds_a_step": busy / LOOKED_AT,
            "longest": [
                f"{each.self_device_time_total / 1e3 / LOOKED_AT:.1f} ms {each.key[:60]}"
                for each in found[:8]
            ],
        }


def rates(marks: Sequence[tuple[float, int]], untimed: int) -> dict[str, float]:
    """From the end of the first epoch, in which kernels are loaded and memory is first asked for.

    untimed  steps at the end that are left out
    """
    warm = len(marks) // EPOCHS
    (first, before), (last, after) = marks[warm - 1], marks[-1 - untimed]
    return {
        "tokens_per_second": (after - before) / (last - first),
        "seconds_a_step": (last - first) / (len(marks) - untimed - warm),
    }


def _peers(size: str, folder: Path) -> dict[str, Any]:
    from peft import LoraConfig, get_peft_model
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from tuneglm.data.collate import collate

    rows = encoded_rows(folder)
    marks: list[tuple[float, int]] = []

    class Watching(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            marks.append((synchronized(), state.num_input_tokens_seen))

    with tempfile.TemporaryDirectory() as output:
        adapted = LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM")
        trainer = Trainer(
            model=get_peft_model(random_model(size), adapted),
            args=TrainingArguments(
                output,
                per_device_train_batch_size=4,
                num_train_epochs=EPOCHS,
                learning_rate=1e-4,
                bf16=True,
                use_cpu=DEVICE.type == "cpu",
                save_strategy="no",
                report_to="none",
                logging_steps=1000,
                remove_unused_columns=False,
                disable_tqdm=True,
                include_num_input_tokens_seen="non_padding",
            ),
            train_dataset=rows,
            data_collator=lambda items: collate(items, pad_token_id=0),
            callbacks=[Watching()],
        )
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
    peaks = memory_in_use()
    return {**rates(marks, 0), "allocated": peaks[0], "reserved": peaks[1]}


def encoded_rows(folder: Path) -> Any:
    """The rows as ours are encoded."""
    from tuneglm.config import load_config
    from tuneglm.data.examples import load_examples
    from tuneglm.data.pipeline import encode_data
    from tuneglm.models import family_named
    from tuneglm.models.encoder import encoder_of
    from tuneglm.models.loading import load_tokenizer

    config = load_config(None, [*_settings(folder), "training.output_dir=output"])
    family = family_named("chatglm3")
    tokenizer = load_tokenizer(folder, family=family.name)
    encoder = encoder_of(config.data, tokenizer, family)
    return encode_data(load_examples(config.data), encoder, config.data).train.rows


def _settings(folder: Path) -> list[str]:
    return [
        f"model.path={folder}",
        "model.family=chatglm3",
        f"data.train={folder / 'rows.json'}",
        "data.cutoff=512",
        f"training.num_train_epochs={EPOCHS}",
    ]


def _ours(folder: Path, settings: Sequence[str]) -> dict[str, Any]:
    from tuneglm.config import load_config
    from tuneglm.models import kernels
    from tuneglm.plan.planning import plan
    from tuneglm.plan.records import PROCESS
    from tuneglm.reports.run import Progression

    batching = BY_TOKENS if "packed" in settings else BY_FOUR
    given = [*_settings(folder), *batching, *(each for each in settings if "=" in each)]
    kernels._state["works"] = "torch" not in settings
    started = time.perf_counter()
    planned = plan(load_config(None, given), choices=False)
    planning = time.perf_counter() - started
    memory_in_use(forget=True)
    marks: list[tuple[float, int]] = []
    begun: list[float] = []
    kernels = Kernels()
    own_end, own_begin = Progression.on_step_end, Progression.on_train_begin

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **named: Any) -> None:
        own_end(self, args, state, control, **named)
        marks.append((synchronized(), state.num_input_tokens_seen))
        # a profiler that cannot be had leaves the figures of the run as they are
        with contextlib.suppress(RuntimeError):
            kernels.follow(state.max_steps - state.global_step)

    def on_train_begin(self: Any, args: Any, state: Any, control: Any, **named: Any) -> None:
        begun.append(time.perf_counter())
        own_begin(self, args, state, control, **named)

    Progression.on_step_end = on_step_end  # type: ignore[method-assign]
    Progression.on_train_begin = on_train_begin  # type: ignore[method-assign]
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as output:
            code, printed = command(
                "train", *given, f"training.output_dir={output}/out", "memory_check=off"
            )
    finally:
        Progression.on_step_end, Progression.on_train_begin = own_end, own_begin  # type: ignore[method-assign]
    if code:
        raise CommandError(printed)
    peaks = memory_in_use()
    parts = {name: round(size / GIB, 3) for name, size in planned.memory.parts.items() if size}
    foreseen = (planned.memory.peak - planned.memory.parts[PROCESS]) / GIB
    return {
        **rates(marks, LOOKED_AT),
        "allocated": peaks[0],
        "reserved": peaks[1],
        "foreseen": foreseen,
        "off": foreseen / peaks[1] - 1 if peaks[1] else None,
        "until_first_step": begun[0] - started,
        "planning": planning,
        "planned_seconds_a_step": planned.seconds,
        **kernels.figures(),
        "parts": parts,
        "said": [
            line for line in printed.splitlines() if line[:6] in ("Memory", "Time  ", "Loss  ")
        ],
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("attention")
    part.add_argument("--only", default="", help="networks whose name holds this")
    part = parts.add_parser("kernels")
    part.add_argument("--only", default="", help="checks whose name holds this")
    part = parts.add_parser("runs")
    part.add_argument("--family", default="chatglm3", choices=("chatglm", "chatglm3"))
    part.add_argument("--only", default="", help="checks whose name this expression finds")
    part = parts.add_parser("decoding")
    part.add_argument("--size", choices=tuple(SIZES), default="6b")
    for name in ("make", "speed"):
        part = parts.add_parser(name)
        part.add_argument("folder", type=Path)
        part.add_argument("--size", choices=tuple(SIZES), default="6b")
        if name == "make":
            part.add_argument("--tokenizer", type=Path, required=True, help="ChatGLM3's folder")
            part.add_argument("--data", type=Path, required=True, help="rows in a JSON file")
        else:
            part.add_argument("--only", default="", help="runs whose name holds this")
            part.add_argument("--seconds", type=float, default=1e9, help="begin none after these")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    report = Report(given.json)
    if given.part == "attention":
        attention(report, given.only)
    elif given.part == "kernels":
        by_kernels(report, given.only)
    elif given.part == "runs":
        runs(report, given.family, given.only)
    elif given.part == "decoding":
        decoding(report, given.size)
    elif given.part == "make":
        make(report, given.folder, given.size, given.tokenizer, given.data)
    else:
        speed(report, given.folder, given.size, given.only, given.seconds)
    print(f"{len(report.entries)} checks on {device_name()}, {report.failed} failed")
    sys.exit(report.failed > 0)


if __name__ == "__main__":
    main()
