"""When what few bars make of an indicator counts as what all of them make of it (pure)."""

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.float64]

OF_ITS_RANGE = 1e-6  # what a fading memory may be off by, of the range of the middle half of the values


def allowed(values: Column) -> float:
    """How far a value may be from another one that counts as the same: a millionth of the range of the middle half of all values."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [25, 75]) if len(finite) else (0.0, 0.0)
    return float(OF_ITS_RANGE * (high - low))


def agree(known: Column | None, whole: Column | None, tolerance: float) -> tuple[bool, bool]:
    """Whether two stretches of values agree, and whether bit for bit."""
    if known is None or whole is None or len(known) != len(whole):
        return False, False
    exact = bool(np.array_equal(known, whole, equal_nan=True))
    with np.errstate(invalid="ignore"):
        near = np.isclose(known, whole, rtol=0.0, atol=tolerance, equal_nan=True)
    return bool(near.all()), exact
