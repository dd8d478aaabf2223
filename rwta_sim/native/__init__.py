"""Native code: C++ functions and libraries, compiled where there is a compiler and kept in a cache."""

from rwta_sim.native.folder import cache_folder
from rwta_sim.native.function import address, native_function

__all__ = ["address", "cache_folder", "native_function"]
