"""What would get a yes: an exhaustive search over amount and duration for applications that are not accepted."""
