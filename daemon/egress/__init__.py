"""Guarded HTTP requests to customers' URLs: one POST in, one `Outcome` out."""
