"""Damage to files, as hypothesis draws it."""

import struct

from hypothesis import strategies as st

# What a size or a count is likely to be changed to.
NUMBERS = (0, 1, 2**16, 2**31 - 1, 2**32 - 1)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with a few bytes changed, cut out, doubled or put in, or its end cut off."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(found) - 1)))
        kind = draw(st.sampled_from(["bit", "byte", "number", "cut", "leave out", "double", "add"]))
        if kind == "bit" and found:
            found[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and found:
            found[place] = draw(st.integers(0, 255))
        elif kind == "number":
            found[place : place + 4] = struct.pack("<I", draw(st.sampled_from(NUMBERS)))
        elif kind == "cut":
            del found[place:]
        elif kind == "leave out":
            del found[place : place + draw(st.integers(1, 40))]
        elif kind == "double":
            found[place:place] = found[place : place + draw(st.integers(1, 60))]
        else:
            found[place:place] = draw(st.binary(min_size=1, max_size=8))
    return bytes(found)
