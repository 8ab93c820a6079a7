"""
The largest subscription that is accepted.

Matching runs on the event loop that serves every tenant, so a filter larger than anyone needs is
unusable, whether the API or the application wrote it.
"""

LONGEST_TEXT = 16 * 1024  # characters, as PostgreSQL prints the filter
MOST_TYPES = 100
MOST_IDS = 1000  # of workspaces, and of campaigns
MOST_PATHS = 100
MOST_SEGMENTS = 16
MOST_VALUES = 1000  # of all paths together
