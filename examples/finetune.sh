#!/bin/sh
# Tune a model with LoRA on one GPU, or on the processor where there is none.
# The model is named in src/config.py (CHATGLM_REPO_NAME), or behind this script:
#   sh examples/finetune.sh --model_name_or_path path/to/chatglm-6b
set -e
python "$(dirname "$0")/../src/finetune.py" \
    --do_train \
    --dataset alpaca_gpt4_zh \
    --finetuning_type lora \
    --output_dir output/lora \
    --per_device_train_batch_size 4 \
    --gradient_accumulation_steps 4 \
    --lr_scheduler_type cosine \
    --logging_steps 10 \
    --save_steps 1000 \
    --learning_rate 5e-5 \
    --num_train_epochs 1.0 \
    --fp16 \
    "$@"
