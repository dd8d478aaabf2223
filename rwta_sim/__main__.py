"""``python -m rwta_sim`` is ``rwta-sim``."""

from rwta_sim.cli import main

if __name__ == "__main__":
    main()
