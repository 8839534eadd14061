"""key_loop.py: finds in a kernel's blocks (isa.py) the loop that computes, and what one full step of it executes.

A step is a way through the loop, from its first block back to it. Of those that do the multiply-adds asked for, and exponentials where
there are any (some subgroups may leave them to others), it is the one that loads most from memory, as a branch around a load is taken beyond the ends of tensors, and of these the one with the fewest
instructions: steps that mask, scale or set something aside have more. Loops inside are executed as often as the multiply-adds need,
in equal shares; those without any, not at all where there is a way around them.
SPDX-License-Identifier: MIT
"""
import collections

# So much of the multiply-adds must be found as such: compilers begin sums with a multiplication.
ENOUGH = 0.7


class Step:
    """Instructions of a step, by their class, and by class and lanes; bytes that a lane moves; multiply-adds, of a subgroup for
    matrices."""

    def __init__(self):
        self.count = collections.Counter()
        self.count_of_lanes = collections.Counter()
        self.size = collections.Counter()
        self.madds = collections.Counter()

    def add(self, block, times):
        for i in block.code:
            self.count[i.kind] += i.count * times
            self.count_of_lanes[i.kind, i.lanes] += i.count * times
            self.size[i.kind] += i.size * i.count * times
            self.madds[i.kind] += i.madds * i.count * times

    def total_madds(self, width):
        return self.madds["matrix"] or self.madds["fma"] * width

    def instructions(self):
        return sum(self.count.values())


def reachable(blocks):
    order, seen, stack = [], {0}, [(0, iter(blocks[0].next))]
    while stack:
        at, rest = stack[-1]
        following = next((n for n in rest if n not in seen), None)
        if following is None:
            order.append(at)
            stack.pop()
        else:
            seen.add(following)
            stack.append((following, iter(blocks[following].next)))
    return order[::-1]


def dominators(blocks, order):
    before = collections.defaultdict(set)
    for at in order:
        for n in blocks[at].next:
            before[n].add(at)
    dominated = {at: set(order) for at in order}
    dominated[0] = {0}
    changed = True
    while changed:
        changed = False
        for at in order[1:]:
            new = {at} | set.intersection(*(dominated[b] for b in before[at]))
            if new != dominated[at]:
                dominated[at], changed = new, True
    return dominated, before


def loops_of(blocks):
    """Each loop's header, and its blocks."""
    order = reachable(blocks)
    dominated, before = dominators(blocks, order)
    loops = collections.defaultdict(set)
    for at in order:
        for header in blocks[at].next:
            if header not in dominated[at]:
                continue
            body, stack = loops[header], [at]
            body.add(header)
            while stack:
                b = stack.pop()
                if b not in body:
                    body.add(b)
                    stack += before[b]
    return order, loops


def edges_within(blocks, loops, header):
    """The ways inside a loop, None for the one back; an inner loop is passed once."""
    body = loops[header]
    edges = {}
    for at in body:
        edges[at] = []
        for n in blocks[at].next:
            if n == header:
                edges[at].append(None)
            elif n in loops and at in loops[n]:
                edges[at] += [e for e in blocks[n].next if e in body and e not in loops[n]]
            elif n in body:
                edges[at].append(n)
    return edges


def block_facts(blocks, inner, width):
    """Multiply-adds, bytes loaded (but in inner loops), instructions, and whether there are exponentials, of each block."""
    facts = []
    for at, block in enumerate(blocks):
        step = Step()
        step.add(block, 1)
        loaded = sum(i.size * i.count for i in block.code if i.kind == "global" and not i.store)
        facts.append((step.total_madds(width), 0 if at in inner else loaded, step.instructions(), bool(step.count["exp"])))
    return facts


def prune(ways):
    """Without those that others are better than in everything."""
    kept = []
    for way in sorted(ways, key=lambda w: (-w[0], -w[1], w[2], -w[3])):
        if not any(k[0] >= way[0] and k[1] >= way[1] and k[2] <= way[2] and k[3] >= way[3] for k in kept):
            kept.append(way)
    return kept


def best_way(blocks, order, loops, header, width, useful):
    """The blocks of a step of the loop, or None."""
    inner = set().union(*(body for h, body in loops.items() if h != header and body < loops[header]))
    facts, edges = block_facts(blocks, inner, width), edges_within(blocks, loops, header)
    place = {at: i for i, at in enumerate(order)}

    ways = {}
    for at in sorted(loops[header], key=place.get, reverse=True):
        ahead = []
        for n in edges[at]:
            ahead += [(0, 0, 0, False, ())] if n is None else ways.get(n, [])
        m, b, c, e = facts[at]
        ways[at] = prune([(m + w[0], b + w[1], c + w[2], e or w[3], (at,) + w[4]) for w in ahead])
    enough = [w for w in ways[header] if w[0] >= ENOUGH * (useful or 0)] or ways[header]
    if not useful:
        enough = [w for w in enough if w[0] == max(w[0] for w in enough)]
    return min(enough, key=lambda w: (-w[3], -w[1], w[2]))[4] if enough else None


def inner_times(blocks, loops, header, way, width, useful):
    """How often the blocks of a way are executed: more than once in inner loops, if that is what the multiply-adds need."""
    times = dict.fromkeys(way, 1)
    outside, inside = Step(), []
    inner = [body & set(way) for h, body in loops.items() if h != header and body < loops[header] and h in way]
    inner = [b for b in inner if not any(b < other for other in inner)]
    for body in inner:
        step = Step()
        for at in body:
            step.add(blocks[at], 1)
        if step.total_madds(width):
            inside.append((body, step.total_madds(width)))
    for at in way:
        if not any(at in body for body in inner):
            outside.add(blocks[at], 1)
    if not useful or not inside or outside.total_madds(width) >= ENOUGH * useful:
        return times
    for body, madds in inside:
        for at in body:
            times[at] = useful / len(inside) / madds
    return times


def find(blocks, width, useful):
    """The Step that does `useful` multiply-adds a subgroup with the fewest instructions; None: there is no such loop. If it is
    not known how many are useful, the one that does most."""
    if not blocks:
        return None
    order, loops = loops_of(blocks)
    found = []
    for header in loops:
        way = best_way(blocks, order, loops, header, width, useful)
        if not way:
            continue
        step = Step()
        for at, times in inner_times(blocks, loops, header, way, width, useful).items():
            step.add(blocks[at], times)
        if step.total_madds(width) >= (ENOUGH * useful if useful else 1):
            found.append(step)
    if useful:
        return min(found, key=Step.instructions, default=None)
    return max(found, key=lambda s: s.total_madds(width), default=None)
