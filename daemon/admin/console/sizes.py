"""Sizes as people read them."""

UNITS = ("bytes", "KB", "MB", "GB", "TB")
STEP = 1024


def size(count: int) -> str:
    """`812 bytes`, `1.4 GB`."""
    value, unit = float(count), UNITS[0]
    for larger in UNITS[1:]:
        if value < STEP:
            break
        value, unit = value / STEP, larger
    return f"{count} {unit}" if unit == UNITS[0] else f"{value:.1f} {unit}"
