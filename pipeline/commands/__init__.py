"""What each command of `funkflow` takes and prints; cli.py puts them together."""
