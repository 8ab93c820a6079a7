"""The daemon in a network of its own, where forbidden addresses are near and would answer."""
