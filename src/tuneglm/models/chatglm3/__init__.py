"""ChatGLM3: its tokenizer, its prompt and its weights."""
