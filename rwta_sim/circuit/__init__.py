"""Circuits: what defines a network, its equations in Brian2, its mean field, and what it tells of a decision."""
