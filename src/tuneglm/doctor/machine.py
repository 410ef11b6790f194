"""Devices and what each can do, memory, disk, hubs."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import torch

from tuneglm.doctor.finding import Finding
from tuneglm.hub import Hub, reached
from tuneglm.models.precision import Capability
from tuneglm.packages import missing
from tuneglm.plan.capacity import GIB, device_memory, gib
from tuneglm.processors import use_threads

# a model of 6 billion weights in 16 bits, and its checkpoints
DISK = 20 * GIB
# where Linux tells of a driver, whether or not torch can use it
DRIVER = Path("/proc/driver/nvidia/version")


def machine() -> Iterator[Finding]:
    """All of it; hubs are waited for some seconds."""
    yield from _gpus()
    if torch.backends.mps.is_available():
        yield _device("mps", torch.device("mps"), "Apple GPU")
    count = os.cpu_count() or 1
    yield _device("cpu", torch.device("cpu"), f"{count} cores, {use_threads().words}")
    yield from _disks()
    yield from _hubs()


def _gpus() -> Iterator[Finding]:
    if not torch.cuda.is_available():
        yield _no_gpu()
        return
    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        words = f"{found.name}, compute capability {found.major}.{found.minor}"
        yield _device(f"cuda:{index}", torch.device("cuda", index), words)


def _no_gpu() -> Finding:
    if DRIVER.exists() or shutil.which("nvidia-smi"):
        built = torch.version.cuda
        words = f"a driver is here, and PyTorch ({torch.__version__}) cannot use it"
        remedy = (
            "this PyTorch is built without CUDA: install another, see https://pytorch.org"
            if built is None
            else f"it is built for CUDA {built}: update the driver, or see CUDA_VISIBLE_DEVICES"
        )
        return Finding("gpu", "ill", words, remedy)
    return Finding("gpu", "note", "none: the processor trains", "small models, or rent a GPU")


def _device(what: str, device: torch.device, words: str) -> Finding:
    """What a device can do; it is asked to multiply in the type that would be chosen."""
    chosen = Capability.of(device).computed_in
    try:
        ones = torch.ones(64, 64, dtype=chosen, device=device)
        computes = float((ones @ ones)[0, 0]) == len(ones)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        return Finding(what, "ill", f"{words}: cannot compute: {reason}", "update its driver")
    memory = device_memory(device)
    room = "" if memory is None else f", {gib(memory)} GiB free"
    native = "computes in bfloat16" if chosen == torch.bfloat16 else f"computes in {_name(chosen)}"
    abilities = [native, f"attention: {', '.join(_kernels(device))}", _bits(device)]
    return Finding(what, "well" if computes else "ill", f"{words}{room}; {'; '.join(abilities)}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _kernels(device: torch.device) -> Iterator[str]:
    """Attention that is faster than plain products: by torch's own names, and flash-attn's."""
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        if torch.backends.cuda.is_flash_attention_available() and major >= 8:
            yield "flash (torch)"
        if torch.backends.cuda.mem_efficient_sdp_enabled():
            yield "memory-efficient (torch)"
        if find_spec("flash_attn") is not None:
            yield "flash_attention_2"
    yield "sdpa"


def _bits(device: torch.device) -> str:
    """Whether bitsandbytes packs here: it is let do so."""
    if missing("quant"):
        return "8 and 4 bits need bitsandbytes"
    import bitsandbytes

    weight = torch.ones(64, 64, device=device)
    try:
        packed, state = bitsandbytes.functional.quantize_4bit(weight, quant_type="nf4")
        back = bitsandbytes.functional.dequantize_4bit(packed, state)
    except (RuntimeError, NotImplementedError, ValueError) as error:
        return f"bitsandbytes cannot pack here: {' '.join(str(error).split())}"
    return "8 and 4 bits" if torch.allclose(back, weight) else "bitsandbytes packs wrongly here"


def _disks() -> Iterator[Finding]:
    from huggingface_hub.constants import HF_HUB_CACHE

    places = {"disk, here": Path.cwd(), "disk, hub's cache": _existing(Path(HF_HUB_CACHE))}
    for what, place in places.items():
        free = shutil.disk_usage(place).free
        little = free < DISK
        remedy = "a model of 6 billion weights takes 12 GiB, each checkpoint more" if little else ""
        words = f"{gib(free)} GiB free in {place}"
        writable = os.access(place, os.W_OK)
        if not writable:
            words, remedy = f"{place} cannot be written", "take the right to it, or another place"
        yield Finding(what, "ill" if not writable else "note" if little else "well", words, remedy)


def _existing(place: Path) -> Path:
    return next(each for each in (place, *place.parents) if each.exists())


def _hubs() -> Iterator[Finding]:
    hubs = get_args(Hub)
    with ThreadPoolExecutor(len(hubs)) as pool:
        answers = list(pool.map(reached, hubs))
    for hub, (address, answered) in zip(hubs, answers, strict=True):
        if answered and os.environ.get("HF_HUB_OFFLINE") and hub == "huggingface":
            yield Finding(hub, "note", f"{address} answers, and HF_HUB_OFFLINE forbids asking it")
        elif answered:
            yield Finding(hub, "well", f"{address} answers")
        else:
            variable = {"huggingface": "HF_ENDPOINT", "modelscope": "MODELSCOPE_DOMAIN"}[hub]
            yield Finding(
                hub,
                "note",
                f"{address} does not answer",
                f"fetch models by hand into a folder, or name a mirror by {variable}",
            )
