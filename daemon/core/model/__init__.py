"""Ids and frozen values that the packages hand to one another, one file per subject."""
