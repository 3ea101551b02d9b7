"""Does a checkpoint hold exactly the tensors a model has?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from magi_core.errors import MagiError, echo

LISTED = 8  # names of each kind in a message


def check_state_dict(
    expected: Mapping[str, Sequence[int]],
    found: Mapping[str, Sequence[int]],
    where: object,
    more: Sequence[str] = (),
) -> None:
    """One `MagiError` that lists missing, extra and misshapen tensors (8 of each, with counts), or nothing.

    expected, found: name -> shape. where: the file or folder, for the message. more: further faults already
    known.
    """
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    misshapen = [
        f"{name} is {_size(found[name])}, expected {_size(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    parts = [
        listing
        for title, names in (
            ("missing", missing),
            ("not part of this model", extra),
            ("of another size", misshapen),
            ("stored as other numbers", list(more)),
        )
        if (listing := _listing(title, names))
    ]
    if parts:
        raise MagiError(
            f"{where} does not fit the model it looks like: {len(missing)} tensors missing, "
            f"{len(extra)} extra, {len(misshapen)} misshapen.\n" + "\n".join(parts) + "\n"
            "The download is incomplete or the files are of another model: download the folder again."
        )


def _listing(title: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    rest = f"\n  and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{title} ({len(names)}):\n  " + "\n  ".join(echo(name, quoted=False) for name in names[:LISTED]) + rest


def _size(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in shape) or "a single number"
