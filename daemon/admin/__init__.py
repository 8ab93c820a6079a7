"""What the daemon serves over HTTP to its operators."""
