"""What operators ask for: status, watch, schedule, backups, checks before a start."""
