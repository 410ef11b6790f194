#!/bin/sh
# LoRA on weights in 4 bits, for a card of 8 GB: needs pip install "tuneglm[quant]".
# --quantization_bit 8 is closer to the whole weights, and takes twice the room.
set -e
python "$(dirname "$0")/../src/finetune.py" \
    --do_train \
    --dataset alpaca_gpt4_zh \
    --finetuning_type lora \
    --quantization_bit 4 \
    --output_dir output/lora_4bit \
    --per_device_train_batch_size 1 \
    --gradient_accumulation_steps 16 \
    --lr_scheduler_type cosine \
    --logging_steps 10 \
    --save_steps 1000 \
    --learning_rate 5e-5 \
    --num_train_epochs 1.0 \
    --fp16 \
    "$@"
