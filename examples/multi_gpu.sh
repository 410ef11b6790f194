#!/bin/sh
# The same on several GPUs, one process each: so many as configs/accelerate/ddp.yaml says (2).
# LoRA goes too; freeze, full and p_tuning by --finetuning_type.
set -e
root="$(dirname "$0")/.."
accelerate launch --config_file "$root/configs/accelerate/ddp.yaml" "$root/src/finetune.py" \
    --do_train \
    --dataset alpaca_gpt4_zh \
    --finetuning_type lora \
    --output_dir output/lora_multi \
    --per_device_train_batch_size 4 \
    --gradient_accumulation_steps 4 \
    --lr_scheduler_type cosine \
    --logging_steps 10 \
    --save_steps 1000 \
    --learning_rate 5e-5 \
    --num_train_epochs 1.0 \
    --fp16 \
    "$@"
