"""Any model that transformers knows, through its own chat template."""
