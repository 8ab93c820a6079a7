"""Everything that proves the daemon; `application`, `house`, `receiver` play the world around it."""
