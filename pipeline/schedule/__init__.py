"""When runs are started, and again if they fail: the built-in scheduler, and going through past dates."""
