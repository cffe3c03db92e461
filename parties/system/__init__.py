"""What the operating system gives: signals, and worker processes with limits."""
