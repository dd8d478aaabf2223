"""The lab: training, run folders, recordings: what is done with any system."""
