"""Pure scoring code: the data dictionary, the model and its explanations, without any input or output."""
