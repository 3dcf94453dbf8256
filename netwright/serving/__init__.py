"""The network at work: the model as a file of data only, and answers for new rows."""
