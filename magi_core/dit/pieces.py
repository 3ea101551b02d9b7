"""How a forward's rows are cut, so that what a block makes on its way is as wide as a piece, and no wider."""

from __future__ import annotations

FEWEST, MOST = 8192, 16384  # rows that keep matrix products efficient; rows beyond which they gain nothing


def pieces(chunks: int, size: int) -> list[slice]:
    """Rows of `chunks` chunks of `size` rows, in order: whole chunks together, or equal parts of one chunk."""
    if size > MOST:
        parts = -(-size // MOST)
        borders = [chunk * size + size * part // parts for chunk in range(chunks) for part in range(parts)]
    else:
        borders = [chunk * size for chunk in range(0, chunks, -(-FEWEST // size))]
    return [slice(*pair) for pair in zip(borders, [*borders[1:], chunks * size], strict=True)]


def widest_piece(chunks: int, size: int) -> int:
    """Rows of the largest piece."""
    return max(piece.stop - piece.start for piece in pieces(chunks, size))
