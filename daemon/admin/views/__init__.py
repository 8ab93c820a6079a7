"""Functions that build responses of the API from the values of the core and the store."""
