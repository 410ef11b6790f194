"""The sections of `make bench`: who races whom at what, and against which goal.

A section is a function from Settings to the lines of the table; SECTIONS names them.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from decoding_contenders import NEW_TOKENS, chat, generate, prompts_of
from loss_curves import difference_to_noise
from machine import available_gib, product_ways, rates_in_turns
from starting import ROWS, help_seconds, refusal_seconds, second_start
from training_contenders import Job, contend
from training_peers import commands
from training_race import Contender, Result, race
from training_shapes import QUICK, SHAPES, TINY, Material, material
from training_table import Measured, Row, speed_and_memory
from training_turns import MIB

TRAINER = ("padded", "by length", "flattened", "one row × 4")
PRODUCTS_BY = "products by "
PRODUCTS, TINY_PRODUCTS = 50, 1  # GFLOP of a turn
TINY_ROWS = 200  # of a second start
GIB_OF_A_CONTENDER = 4
UNUSED = 1.5  # oneDNN this much faster than torch.mm: the processor's float32 is left unused


@dataclass(frozen=True)
class Settings:
    """How much is measured, and of what.

    rounds, tokens  turns of each contender, and the real tokens of one
    quick, tiny     smaller models and fewer contenders; what only shows that all of it runs
    """

    rounds: int
    tokens: int
    threads: int
    quick: bool
    ours: tuple[str, ...]
    folder: Path
    data: Path | None
    tokenizers: Path | None
    tiny: bool = False

    def material(self, name: str) -> Material:
        """Model and rows of a shape, made when they are first asked for."""
        shape = (TINY if self.tiny else QUICK if self.quick else SHAPES)[name]
        known = _MADE.get((self.folder, name))
        if known is None:
            made = material(shape, self.folder / name, self.data, self.tokenizers)
            known = _MADE[self.folder, name] = made
        return known

    def job(self, name: str, **options: Any) -> Job:
        """A job on a shape."""
        made = self.material(name)
        paths = (str(made.model), str(made.data), str(made.examples))
        return Job(*paths, threads=self.threads, settings=self.ours, **options)

    def race(
        self, names: Sequence[str], job: Job, *more: Contender, of_one_model: bool = True
    ) -> dict[str, Result]:
        """Contenders by name, and others, in turns."""
        contenders = [Contender(name, contend, (name, job)) for name in names]
        results = race([*contenders, *more], self.rounds, self.tokens, of_one_model=of_one_model)
        for name, each in results.items():
            print(
                f"    {name:24} {each.rate:9,.0f} {_unit(name):8} {each.above:8,.0f} MiB above "
                f"{each.base:,.0f}, loaded {each.loaded:,.0f}",
                flush=True,
            )
        return results


def _unit(name: str) -> str:
    return "GFLOP/s" if name.startswith(PRODUCTS_BY) else "tokens/s"


_MADE: dict[tuple[Path, str], Material] = {}


def lora(settings: Settings, name: str) -> Measured:
    """LoRA on a native model: the Trainer's four settings, and the limit that products set."""
    made = settings.material(name)
    job = settings.job(name)
    sizes = (made.shape.hidden, made.shape.inner, settings.threads)
    work = TINY_PRODUCTS if settings.tiny else PRODUCTS
    ways = [
        Contender(f"{PRODUCTS_BY}{way}", rates_in_turns, (*sizes, way), work=work)
        for way in product_ways(None)
    ]
    names = ("padded", "one row × 4") if settings.quick else TRAINER
    peers = [Contender(trainer, contend, (trainer, job)) for trainer in names]
    if not settings.quick:
        installed = commands(job).items()
        peers += [Contender(peer, command=line, may_fail=True) for peer, line in installed]
    # not more at once than memory holds, and ours among each of these groups
    size = max(1, available_gib() // GIB_OF_A_CONTENDER - 1)
    pairs, ours, products = {}, [], {}
    for start in range(0, len(peers), size):
        group = peers[start : start + size]
        results = settings.race(("ours",), job, *group, *(() if start else ways))
        ours.append(results.pop("ours"))
        for way in () if start else ways:
            products[way.name.removeprefix(PRODUCTS_BY)] = results.pop(way.name).rate
        pairs |= {peer: Pair(ours[-1], theirs) for peer, theirs in results.items()}
    return lora_rows(f"LoRA, {name}", made, pairs, ours[0], products)


@dataclass(frozen=True)
class Pair:
    """Ours and another's result of one race."""

    ours: Result
    theirs: Result

    @property
    def speed(self) -> float:
        """How many times faster ours is."""
        return self.ours.rate / self.theirs.rate

    @property
    def memory(self) -> float:
        """Which share of their memory ours takes."""
        return self.ours.above / self.theirs.above


def lora_rows(
    work: str, made: Material, pairs: dict[str, Pair], ours: Result, rates: dict[str, float]
) -> Measured:
    """The lines of LoRA: `ours` ran in the race in which `rates`, of products, were measured."""
    default = pairs["padded"]
    fastest = min(pairs, key=lambda name: pairs[name].speed)
    leanest = max(pairs, key=lambda name: pairs[name].memory)
    fast, lean = pairs[fastest], pairs[leanest]
    best = max(rates, key=lambda name: rates[name])
    unused = rates[best] > UNUSED * rates["torch.mm"]
    limit = rates[best] * 1e9 / made.operations
    goal = 2.3 if unused else 1.25
    rows = [
        *speed_and_memory(work, "Trainer, padded", default.ours, default.theirs, 3.5, 0.25),
        speed_and_memory(work, f"fastest peer: {fastest}", fast.ours, fast.theirs, goal, 0.7)[0],
        speed_and_memory(work, f"leanest peer: {leanest}", lean.ours, lean.theirs, goal, 0.7)[1],
        Row(
            f"{work}, share of the machine's limit",
            f"{PRODUCTS_BY}{best}",
            f"{ours.rate:,.0f}/s",
            f"{limit:,.0f}/s",
            ours.rate / limit,
            0.75,
        ),
    ]
    details = {
        "shape": made.shape.words,
        "tokens_a_row": made.tokens / len(json.loads(made.examples.read_text())),
        "trained_share": made.trained / made.tokens,
        "operations_a_token": made.operations,
        "gflop_per_second": rates,
        "contenders": {
            name: {"ours": pair.ours.as_json(), "theirs": pair.theirs.as_json()}
            for name, pair in pairs.items()
        },
    }
    return Measured(rows, details)


def published(settings: Settings) -> Measured:
    """LoRA on ChatGLM-6B's layout, against the published algorithm."""
    results = settings.race(("ours", "published"), settings.job("C"))
    ours, theirs = results["ours"], results["published"]
    rows = speed_and_memory("LoRA, C", "the published algorithm", ours, theirs, 6, 0.15)
    return Measured(rows, {"contenders": as_json(results)})


def method(
    settings: Settings, work: str, against: str, speed: float, memory: float, **options: Any
) -> Measured:
    """Another way of tuning A, against the Trainer with padded batches."""
    results = settings.race(("ours", "padded"), settings.job("A", **options))
    rows = speed_and_memory(work, against, results["ours"], results["padded"], speed, memory)
    return Measured(rows, {"contenders": as_json(results)})


def full(settings: Settings) -> Measured:
    """Full tuning: gradients and the optimizer's two moments are the same on both sides."""
    found = method(settings, "full", "Trainer, padded", 2.2, 0.6, method="full")
    weights = settings.material("A").model.glob("*.safetensors")
    # 16 bits in the files, three times 32 beside the model
    states = sum(file.stat().st_size for file in weights) / 2 * 12 / MIB
    ours, theirs = (
        found.details["contenders"][name]["above_mib"] - states for name in ("ours", "padded")
    )
    activations = Row(
        "full, memory of activations",
        "Trainer, padded",
        f"{ours:,.0f} MiB",
        f"{theirs:,.0f} MiB",
        ours / theirs,
        0.6,
        is_least=False,
    )
    return Measured([found.rows[0], activations], {**found.details, "states_mib": states})


def bfloat16(settings: Settings) -> Measured:
    """LoRA in bfloat16 against our own float32, where the processor has instructions for it."""
    import torch

    from tuneglm.models.precision import Capability

    # in a tiny run its speed is no matter
    if not settings.tiny and not Capability.of(torch.device("cpu")).bfloat16:
        return Measured(details={"left out": "this processor has no bfloat16"})
    jobs = {name: settings.job("A", dtype=name) for name in ("bfloat16", "float32")}
    contenders = [Contender(name, contend, ("ours", job)) for name, job in jobs.items()]
    results = settings.race((), jobs["float32"], *contenders, of_one_model=False)
    rows = speed_and_memory(
        "bf16", "our float32", results["bfloat16"], results["float32"], 1.5, 0.7
    )
    details: dict[str, Any] = {"contenders": as_json(results)}
    if not settings.quick:
        data, folder = settings.material("A").data, settings.folder / "curves"
        distance, noise = difference_to_noise(data, folder, settings.threads)
        rows.append(
            Row(
                "bf16, loss over 300 steps",
                "float32 of another seed",
                f"{distance:.4f} from float32",
                f"{noise:.4f} from float32",
                distance / noise,
                1,
                is_least=False,
            )
        )
        details |= {"distance": distance, "noise": noise}
    return Measured(rows, details)


def decoding(settings: Settings) -> Measured:
    """One chat after another, and eight at once, on A."""
    model = str(settings.material("A").model)
    prompts = prompts_of(model)
    results: dict[int, dict[str, Result]] = {}
    for several in (1, len(prompts)):
        contenders = [
            Contender(f"ours, {several}", chat, (model, several, settings.threads)),
            *(
                Contender(
                    f"generate, {cache}, {several}",
                    generate,
                    (model, prompts, several, cache, settings.threads),
                )
                for cache in ("dynamic", "static")
            ),
        ]
        work = NEW_TOKENS * several * (1 if settings.quick else 2)
        contenders = [replace(each, work=work) for each in contenders]
        results[several] = settings.race((), settings.job("A"), *contenders)
    rows = []
    ours = {several: found.pop(f"ours, {several}") for several, found in results.items()}
    for several, goal in ((1, 1.5), (len(prompts), 1.3)):
        best = max(results[several], key=lambda name: results[several][name].rate)
        rows.append(_decoded(several, best, ours[several], results[several][best], goal))
    one, eight = ours[1], ours[len(prompts)]
    rows.append(_decoded(len(prompts), "our one", eight, one, 5))
    details = {str(several): as_json(found) for several, found in results.items()}
    return Measured(rows, {**details, "ours": {str(k): v.as_json() for k, v in ours.items()}})


def _decoded(several: int, against: str, ours: Result, theirs: Result, goal: float) -> Row:
    work = "decoding one chat" if several == 1 else f"decoding {several} at once"
    speeds = (f"{ours.rate:,.1f}/s", f"{theirs.rate:,.1f}/s")
    return Row(work, against, *speeds, ours.rate / theirs.rate, goal)


def starting(settings: Settings) -> Measured:
    """From the command to what it does."""
    model = settings.material("A").model
    times = 1 if settings.tiny else 2 if settings.quick else 5
    rows = TINY_ROWS if settings.tiny else 5_000 if settings.quick else ROWS
    helped, refused = help_seconds(times), refusal_seconds(model, times)
    folder = settings.folder / "starting"
    found = second_start(model, folder, settings.data, rows, 1 if settings.quick else 3)
    first, again, loading = found
    return Measured(
        [
            Row(
                f"second start on {rows:,} rows, to the first step",
                "loading the model",
                f"{again:.1f} s",
                f"{loading:.1f} s",
                again / loading,
                1.1,
                is_least=False,
            ),
            Row("`tuneglm --help`", "", f"{helped:.2f} s", "", helped, 0.3, is_least=False),
            Row(
                "`tuneglm train` to a refused config",
                "",
                f"{refused:.2f} s",
                "",
                refused,
                1,
                is_least=False,
            ),
        ],
        {"first_start": first, "second_start": again, "loading": loading},
    )


def as_json(results: dict[str, Result]) -> dict[str, Any]:
    """Results by name."""
    return {name: each.as_json() for name, each in results.items()}


SECTIONS: dict[str, Callable[[Settings], Measured]] = {
    "lora-A": lambda settings: lora(settings, "A"),
    "lora-B": lambda settings: lora(settings, "B"),
    "lora-C": published,
    "freeze": lambda settings: method(
        settings, "freeze, last 3 layers", "Trainer, padded", 6, 0.15, method="freeze"
    ),
    "p_tuning": lambda settings: method(
        settings, "P-tuning v2", "peft's prefix tuning", 3, 0.25, method="p_tuning"
    ),
    "full": full,
    "4-bit": lambda settings: method(
        settings, "4-bit LoRA", "Trainer, bitsandbytes, peft", 1.5, 0.35, bits=4
    ),
    "bf16": bfloat16,
    "decoding": decoding,
    "starting": starting,
}
