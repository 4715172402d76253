"""What happens, in order: flows, file input, settings and the command line."""
