"""GLM-4 in its published layout: its tokenizer, its prompt and its weights."""
