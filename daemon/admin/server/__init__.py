"""The HTTP server: the socket, connection limits, middlewares, the application, readiness."""
