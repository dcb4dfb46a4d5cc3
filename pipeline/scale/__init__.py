"""How long an epoch would take on machines that are not there, and on which grid it would be shortest."""
