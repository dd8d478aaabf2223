"""The loop: what a system has to do to sit in it, one decision, one episode, and who plays."""
