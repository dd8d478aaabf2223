"""``python -m rwta_sim`` is ``rwta-sim``."""

from rwta_sim.cli import main

main()
