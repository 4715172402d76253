"""What an installation is made of: this machine, this program, its folder, its secrets, its identity."""
