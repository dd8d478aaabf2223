"""Native code: C++ functions and libraries, compiled where there is a compiler and kept in a cache."""

from rwta_sim.native.folder import cache_folder
from rwta_sim.native.function import Piece, address, native_function

__all__ = ["Piece", "address", "cache_folder", "native_function"]
