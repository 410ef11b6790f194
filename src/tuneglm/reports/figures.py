"""Figures of a run for people, made of numbers alone."""


def smoothed(values: tuple[float, ...], weight: float = 0.8) -> list[float]:
    """Exponential mean, with the start corrected for its few values."""
    mean, results = 0.0, []
    for count, value in enumerate(values, 1):
        mean = weight * mean + (1 - weight) * value
        results.append(mean / (1 - weight**count))
    return results


def duration(seconds: float) -> str:
    """`0:42`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
