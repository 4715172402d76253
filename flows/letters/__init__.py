"""What is handed out in writing: the customer sheet, the decision letter and the model report, as PDF."""
