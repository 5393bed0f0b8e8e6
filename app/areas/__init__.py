"""Areas: WHERE.

Owns: the division tree with its versions, grid polygons, datums, the import of both.
Promises: a point finds its grid, or says why it is uncertain and which grids come into question; an
import is written whole or not at all; what an area was is never overwritten.
Never: people, units, or a code taken apart to guess its ancestors.
"""
