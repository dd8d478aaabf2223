"""A simulation that one watches and turns the dials of in the browser: ``rwta-sim live``."""
