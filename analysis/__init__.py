"""Analysis of run folders: rasters, firing rates, learning curves, weights, films. Reads, never trains."""

from rwta_sim.analysis.bootstrap import bootstrap_interval, difference_interval, effect_size
from rwta_sim.analysis.comparison import plot_comparison, plot_costs, plot_scores, returns_by_step
from rwta_sim.analysis.curves import plot_learning_bands, plot_learning_curve
from rwta_sim.analysis.decoding import decode, mutual_information, trajectories, tuning_curves
from rwta_sim.analysis.energy import energy, plot_energy
from rwta_sim.analysis.figures import RASTER_DECISIONS, draw_figures, draw_lesions
from rwta_sim.analysis.films import PICTURE_SIZE, check_film, save_film
from rwta_sim.analysis.firing import (
    correlations,
    cross_correlogram,
    distances,
    fano_factors,
    firing_rates,
    intervals,
)
from rwta_sim.analysis.lesions import plot_lesions
from rwta_sim.analysis.psth import decision_times, plot_psth, psth
from rwta_sim.analysis.rasters import plot_episode, plot_raster
from rwta_sim.analysis.rates import circuit_rates, neuron_rates, plot_rates
from rwta_sim.analysis.report import write_report
from rwta_sim.analysis.robustness import area, curve_of, draw_robustness, plot_robustness, save_areas
from rwta_sim.analysis.spike_trains import spike_trains
from rwta_sim.analysis.style import paper_style, save_figure
from rwta_sim.analysis.sweeps import plot_sweep, save_sweep, save_trials, sweep_table
from rwta_sim.analysis.three_factors import plot_reward_contrast, plot_three_factors, three_factors
from rwta_sim.analysis.tuning import action_tuning, plot_tuning, state_tuning
from rwta_sim.analysis.weights import plot_weight_evolution, plot_weights, weight_evolution

__all__ = [
    "PICTURE_SIZE",
    "RASTER_DECISIONS",
    "action_tuning",
    "area",
    "bootstrap_interval",
    "check_film",
    "circuit_rates",
    "correlations",
    "cross_correlogram",
    "curve_of",
    "decision_times",
    "decode",
    "difference_interval",
    "distances",
    "draw_figures",
    "draw_lesions",
    "draw_robustness",
    "effect_size",
    "energy",
    "fano_factors",
    "firing_rates",
    "intervals",
    "mutual_information",
    "neuron_rates",
    "paper_style",
    "plot_comparison",
    "plot_costs",
    "plot_energy",
    "plot_episode",
    "plot_learning_bands",
    "plot_learning_curve",
    "plot_lesions",
    "plot_psth",
    "plot_raster",
    "plot_rates",
    "plot_reward_contrast",
    "plot_robustness",
    "plot_scores",
    "plot_sweep",
    "plot_three_factors",
    "plot_tuning",
    "plot_weight_evolution",
    "plot_weights",
    "psth",
    "returns_by_step",
    "save_areas",
    "save_figure",
    "save_film",
    "save_sweep",
    "save_trials",
    "spike_trains",
    "state_tuning",
    "sweep_table",
    "three_factors",
    "trajectories",
    "tuning_curves",
    "weight_evolution",
    "write_report",
]
