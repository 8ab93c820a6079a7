"""The HTTP server: listening, limits on connections, the application, readiness."""
