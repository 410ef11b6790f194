"""What `import tuneglm` offers, used as transformers' own objects are."""

import logging
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast, pipeline

import tuneglm
from tests.conftest import Configure
from tuneglm.demo import MODEL_FOLDER, model_folders

QUESTION = [{"role": "user", "content": "法国的首都是哪里？"}]


def test_the_names() -> None:
    assert tuneglm.__all__ == [
        "ChatConfig",
        "ChatModel",
        "RunConfig",
        "UserError",
        "load_config",
        "load_model",
        "load_tokenizer",
        "train",
    ]
    assert all(callable(getattr(tuneglm, name)) for name in tuneglm.__all__)


def test_importing_does_not_import_torch() -> None:
    program = "import sys, tuneglm; tuneglm.load_config; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_kernel_that_nobody_needs_is_not_missed() -> None:
    """Of what bitsandbytes says on processors with bfloat16, that alone is not passed on."""
    said = logging.getLogger("bitsandbytes.backends.cpu.ops")
    missed = "Failed to load CPU gemm_4bit_forward from kernels-community: %s."
    records = [
        said.makeRecord(said.name, logging.WARNING, "", 0, each, (), None)
        for each in (missed, "Something else.")
    ]
    assert [bool(said.filter(record)) for record in records] == [False, True]
    program = "import tuneglm.models, peft"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, "gemm_4bit" in done.stderr) == (0, False)


def test_train_is_the_function_also_after_training(configure: Configure, tmp_path: Path) -> None:
    result = tuneglm.train(configure(tmp_path / "out"))
    assert callable(tuneglm.train)
    answer = tuneglm.ChatModel(result.folder).reply(QUESTION, tuneglm.ChatConfig(max_new_tokens=8))
    assert isinstance(answer, str)


def test_a_model_is_a_pretrained_model(tmp_path: Path) -> None:
    model = tuneglm.load_model(MODEL_FOLDER, dtype="float32", device="cpu")
    assert isinstance(model, PreTrainedModel)
    ids = torch.arange(300, 320)[None]
    copied = pickle.loads(pickle.dumps(model))
    output = model(ids, labels=ids, output_hidden_states=True)
    assert output.loss.isfinite()
    assert len(output.hidden_states) == model.config.num_hidden_layers + 1
    model.save_pretrained(tmp_path / "native")
    tuneglm.load_tokenizer(MODEL_FOLDER).save_pretrained(tmp_path / "native")
    again = tuneglm.load_model(tmp_path / "native", dtype="float32", device="cpu")
    assert torch.equal(again(ids).logits, output.logits)
    assert torch.equal(copied(ids).logits, output.logits)


def test_a_tokenizer_is_a_fast_tokenizer() -> None:
    tokenizer = tuneglm.load_tokenizer(MODEL_FOLDER)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    batch = tokenizer(["你好", "hello there"], padding=True, return_tensors="pt")
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    ids = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True)["input_ids"]
    assert tokenizer.decode(ids).endswith("<|assistant|>")


def test_a_text_generation_pipeline_answers_and_stops() -> None:
    model, tokenizer = tuneglm.load_model(MODEL_FOLDER), tuneglm.load_tokenizer(MODEL_FOLDER)
    generate = pipeline("text-generation", model=model, tokenizer=tokenizer)
    (answer,) = generate(QUESTION, max_new_tokens=40, do_sample=False)
    assert answer["generated_text"][-1]["content"].strip() == "法国的首都是巴黎。"


def test_a_chat_streams_what_it_replies() -> None:
    chat = tuneglm.ChatModel(MODEL_FOLDER, dtype="float32")
    greedy = tuneglm.ChatConfig(temperature=0)
    pieces = list(chat.stream(QUESTION, greedy))
    assert len(pieces) > 3
    assert "".join(pieces) == chat.reply(QUESTION, greedy) == "法国的首都是巴黎。"
    assert chat.replies([QUESTION], greedy) == ["法国的首都是巴黎。"]
    several = [*QUESTION, {"role": "assistant", "content": "巴黎。"}]
    several.append({"role": "user", "content": "2+3="})
    assert "5" in chat.reply(several, greedy)


@pytest.mark.parametrize("folder", model_folders().values(), ids=lambda folder: folder.name)
def test_prompts_of_unlike_length_are_answered_together_as_alone(folder: Path) -> None:
    chat = tuneglm.ChatModel(folder, dtype="float32")
    greedy = tuneglm.ChatConfig(temperature=0, max_new_tokens=24)
    questions = ("你好", "What is the capital of France?", "3 + 4 = ", "请问，法国的首都是哪里？")
    asked = [[{"role": "user", "content": question}] for question in questions]
    assert len({len(chat.prompt(each)) for each in asked}) > 1
    assert chat.padded_replies(asked, greedy) == chat.replies(asked, greedy)
