"""Stochastic spiking neurons that learn by back-propagation through their noise, the reparameterisation trick."""
