"""Builds every part of a daemon from its configuration. Only here is anything constructed."""
