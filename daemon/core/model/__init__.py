"""Ids and frozen values that the packages pass to one another, one file per subject."""
