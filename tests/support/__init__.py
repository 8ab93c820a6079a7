"""What tests share: the application, receivers, servers and daemons around the code under test."""
