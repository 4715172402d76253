"""People like an applicant, and what became of them: the nearest former customers by what moves their scores."""
