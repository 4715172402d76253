"""What happens, in order: flows, file input, settings and the command line."""

from flows.installation.machine import prepare_libraries

# Before any module imports a library that reads its settings when it is loaded.
prepare_libraries()
