"""File input and output: applications, samples, spreadsheets."""
