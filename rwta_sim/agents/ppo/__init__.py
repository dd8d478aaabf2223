"""Ordinary networks trained by the PPO of Stable-Baselines3, which act as they are or, converted, as spikes."""

from rwta_sim.agents.ppo.experiment import PPOExperiment

__all__ = ["PPOExperiment"]
