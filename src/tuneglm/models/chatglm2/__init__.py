"""ChatGLM2: its tokenizer, its prompt and its weights."""
