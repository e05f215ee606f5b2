"""What two texts begin and end with. Pure, and quick on long texts that differ little."""


def common_head[S: (str, bytes)](one: S, other: S) -> int:
    """How many characters, or bytes, both begin with; a binary search over comparisons of slices."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def common_tail[S: (str, bytes)](one: S, other: S, most: int) -> int:
    """How many characters, or bytes, up to `most`, both end with."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return low
