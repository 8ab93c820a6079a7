"""Samples of a page of Prometheus metrics, by name and labels."""

from prometheus_client.parser import text_string_to_metric_families


def samples(page: str) -> dict[str, float]:
    """Return every sample; its key is `name label=value …`, labels in order."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
