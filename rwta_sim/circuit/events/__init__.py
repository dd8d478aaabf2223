"""Networks of winner-take-all circuits from event to event, without a time step."""

from rwta_sim.circuit.events.network import EventCredit, EventNetwork, check_events

__all__ = ["EventCredit", "EventNetwork", "check_events"]
