"""The daemon in a network namespace, where forbidden addresses exist and would respond."""
