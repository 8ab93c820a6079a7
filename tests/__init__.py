"""Everything that proves the daemon; `application` and `receiver` play the world around it."""
