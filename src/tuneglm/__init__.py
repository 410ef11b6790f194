"""Fine-tune the GLM family, and talk to the result."""
