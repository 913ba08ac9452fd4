"""Slow and obvious twin of vsrd_ray/labelers/vsrd/grouping.py: every window is walked frame by frame."""


def groups(counting, *, min_shared, num_sources):
    """Lists (ids, targets, middle target, its candidates); `counting`: readable frame -> set of counting ids."""
    frames = sorted(counting)
    members = {}
    for target in frames:
        candidates = _candidates(counting, frames, target, min_shared)
        if counting[target] and len(candidates) >= num_sources:
            members.setdefault(frozenset(counting[target]), []).append((target, candidates))
    result = []
    for ids, entries in members.items():
        middle, candidates = entries[len(entries) // 2]
        result.append((sorted(ids), [target for target, _ in entries], middle, candidates))
    return result


def _candidates(counting, frames, target, min_shared):
    found = []
    for step in (1, -1):
        position = frames.index(target) + step
        while 0 <= position < len(frames):
            shared = counting[target] & counting[frames[position]]
            if not counting[target] or len(shared) / len(counting[target]) < min_shared:
                break
            found.append(frames[position])
            position += step
    return sorted(found)


def sources(candidates, num_sources):
    """The middle element of each of nearly equal runs, the longer runs first."""
    length, longer = divmod(len(candidates), num_sources)
    chosen, start = [], 0
    for run in range(num_sources):
        size = length + (run < longer)
        chosen.append(candidates[start + size // 2])
        start += size
    return chosen
