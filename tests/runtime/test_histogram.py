"""The histogram's buckets."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from daemon.runtime.metrics.histogram import Histogram


def bucket_counts(values: Iterable[float], bounds: list[float]) -> dict[str, float]:
    histogram = Histogram("test", "Test.", bounds)
    for value in values:
        histogram.observe(value)
    (family,) = histogram.collect()
    return {each.labels["le"]: each.value for each in family.samples if each.name == "test_bucket"}


@given(
    st.lists(st.floats(0, 20)),
    st.lists(st.floats(0.1, 10), min_size=1, max_size=5, unique=True).map(sorted),
)
def test_a_bucket_counts_the_values_up_to_its_bound(
    values: list[float], bounds: list[float]
) -> None:
    seen = [*values, *bounds]

    counted = bucket_counts(seen, bounds)

    expected: dict[str, float] = {str(bound): sum(v <= bound for v in seen) for bound in bounds}
    assert counted == expected | {"+Inf": len(seen)}
