"""Will it fit: the memory of a step by part, its time, the largest batch, other choices."""
