"""The operations of the API, one resource class per noun."""
