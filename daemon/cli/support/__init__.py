"""What commands share: options, times, the console, signals."""
