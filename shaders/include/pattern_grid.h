/* Windows of a grid: neighborhoods and Swin's shifted windows of one to three axes. C and GLSL.
 *
 * Slots are box after box of the grid, row-major, and row-major in a box; boxes at the border have slots without a
 * token. Maps in the order of tokens have boxes of one token. Coordinates count from the first box, in which some slots
 * may lead the first token.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PATTERN_GRID_H
#define VKA_PATTERN_GRID_H

#include "params.h"
#include "pattern_bits.h"

#ifndef VKA_GLSL
#    define uint uint32_t
#endif

/* ---- an axis --------------------------------------------------------------------------------------------------- */

VKA_STRUCT(grid_axis) {
    int size;
    int lead;
    int box;
    int boxes;
    int window;
    int stride;
    int dilation;
    bool causal;
    bool swin;
    int shift;
    uint comb;
}
VKA_END(grid_axis);

/* Keys lo, lo + dilation, .. hi; none where hi < lo. */
VKA_STRUCT(axis_keys) {
    int lo;
    int hi;
}
VKA_END(axis_keys);

VKA_FN grid_axis axis_of(VKA_PROGRAM uint term, uint number) {
    uint at = term + number * VKA_UINT(VKA_AXIS_WORDS);
    grid_axis a;
    a.size = VKA_INT(VKA_OF(at, VKA_AXIS_SIZE));
    a.box = VKA_INT(VKA_OF(at, VKA_AXIS_BOX));
    a.lead = VKA_INT(VKA_OF(at, VKA_AXIS_LEAD));
    a.boxes = a.box == 1 ? a.size : (a.lead + a.size + a.box - 1) / a.box;
    a.window = VKA_INT(VKA_OF(at, VKA_AXIS_WINDOW));
    a.stride = VKA_INT(VKA_OF(at, VKA_AXIS_STRIDE));
    a.dilation = VKA_INT(VKA_OF(at, VKA_AXIS_DILATION));
    a.causal = VKA_OF(at, VKA_AXIS_CAUSAL) != 0u;
    a.swin = VKA_OF(term, VKA_TERM_KIND) == VKA_UINT(VKA_TERM_SWIN);
    a.shift = VKA_INT(VKA_OF(at, VKA_AXIS_SHIFT));
    a.comb = VKA_OF(at, VKA_AXIS_COMB);
    return a;
}

/* The window of query i among n tokens, as NATTEN's csrc/include/natten/cuda/reference/mask.hpp has it
 * (get_win_start, get_win_end): that of the leader of its group of `stride` queries. The middle one leads, and the
 * window moves inward at the edges; with causality the last one leads, and the window ends with the query itself. */
VKA_FN axis_keys window_of(grid_axis a, int i, int n) {
    int group = a.stride == 1 ? i : i / a.stride * a.stride;
    int leader = VKA_MIN(group + (a.causal ? a.stride - 1 : a.stride / 2), n - 1);
    axis_keys k;
    if (a.causal) {
        k.lo = VKA_MAX(leader - a.window + 1, 0);
        k.hi = i;
    } else {
        k.lo = VKA_MIN(VKA_MAX(leader - a.window / 2, 0), n - a.window);
        k.hi = k.lo + a.window - 1;
    }
    return k;
}

/* Swin rolls the grid by -shift, cuts it into windows, and masks within the last one what was not beside each other
 * (microsoft/Swin-Transformer, models/swin_transformer.py, attn_mask). In coordinates of the grid those are the runs
 * 0 .. shift - 1, then `window` tokens each, the last one cut off by the end. */
VKA_FN axis_keys shifted_window_of(grid_axis a, int x) {
    axis_keys k;
    k.lo = x < a.shift ? 0 : a.shift + (x - a.shift) / a.window * a.window;
    k.hi = x < a.shift ? a.shift - 1 : VKA_MIN(k.lo + a.window, a.size) - 1;
    return k;
}

/* Keys that a query at coordinate x sees. Dilated, the axis falls apart into residue classes, each with its window. */
VKA_FN axis_keys axis_sees(grid_axis a, int coordinate) {
    axis_keys k;
    int x = coordinate - a.lead;
    if (a.swin) {
        k = shifted_window_of(a, x);
    } else if (a.dilation == 1) {
        k = window_of(a, x, a.size);
    } else {
        int residue = x % a.dilation;
        k = window_of(a, x / a.dilation, (a.size - residue + a.dilation - 1) / a.dilation);
        k.lo = residue + k.lo * a.dilation;
        k.hi = residue + k.hi * a.dilation;
    }
    k.lo += a.lead;
    k.hi += a.lead;
    return k;
}

/* A range that holds all keys that the queries q0 .. q1 see: bounds of a window never fall as queries grow, nor as
 * their class does. */
VKA_FN axis_keys axis_hull(grid_axis a, int q0, int q1) {
    axis_keys k;
    if (a.dilation == 1) {
        k.lo = axis_sees(a, q0).lo;
        k.hi = axis_sees(a, q1).hi;
        return k;
    }
    q0 -= a.lead;
    q1 -= a.lead;
    int i0 = q0 / a.dilation, i1 = q1 / a.dilation;
    k.lo = window_of(a, i0, a.size / a.dilation).lo * a.dilation;
    k.hi = window_of(a, i1, (a.size + a.dilation - 1) / a.dilation).hi * a.dilation;
    k.lo += i0 == i1 ? q0 % a.dilation : 0;
    k.hi += i0 == i1 ? q1 % a.dilation : a.dilation - 1;
    k.hi = VKA_MIN(k.hi, a.size - 1) + a.lead;
    k.lo += a.lead;
    return k;
}

/* The first box at or after b that has keys of the queries q0 .. q1, which see keys of `hull`. */
VKA_FN uint axis_next(grid_axis a, axis_keys hull, int q0, int q1, uint b) {
    if (hull.hi < hull.lo || VKA_INT(b) > hull.hi / a.box)
        return VKA_PATTERN_NONE;
    b = VKA_MAX(b, VKA_UINT(hull.lo / a.box));
    b = next_congruent(q0, q1, a.dilation, a.box, b);
    return VKA_INT(b) <= hull.hi / a.box ? b : VKA_PATTERN_NONE;
}

/* Is there a token at a coordinate, as far as the axis knows? */
VKA_FN bool axis_has(grid_axis a, int coordinate) {
    return coordinate >= a.lead && coordinate < a.lead + a.size;
}

VKA_FN bool axis_holds(grid_axis a, axis_keys k, int x) {
    return x >= k.lo && x <= k.hi && (a.dilation == 1 || (x - k.lo) % a.dilation == 0);
}

/* ---- the grid -------------------------------------------------------------------------------------------------- */

VKA_STRUCT(grid_axes) {
    grid_axis z;
    grid_axis y;
    grid_axis x;
}
VKA_END(grid_axes);

VKA_STRUCT(grid_point) {
    int z;
    int y;
    int x;
}
VKA_END(grid_point);

VKA_FN grid_axes grid_of(VKA_PROGRAM uint term) {
    grid_axes g;
    g.z = axis_of(VKA_W term, 0u);
    g.y = axis_of(VKA_W term, 1u);
    g.x = axis_of(VKA_W term, 2u);
    return g;
}

VKA_FN bool grid_has_boxes(grid_axes g) {
    return g.x.box != 1;
}

/* The coordinates of box `number`, in boxes. */
VKA_FN grid_point box_point(grid_axes g, uint number) {
    uint width = VKA_UINT(g.x.boxes), height = VKA_UINT(g.y.boxes), line = number / width;
    grid_point p;
    p.x = VKA_INT(number - line * width);
    p.z = VKA_INT(line / height);
    p.y = VKA_INT(line) - p.z * g.y.boxes;
    return p;
}

/* The coordinates of a slot; where they are not in the grid, there is no token. */
VKA_FN grid_point slot_point(grid_axes g, uint slot) {
    if (!grid_has_boxes(g))
        return box_point(g, slot);
    uint width = VKA_UINT(g.x.box), area = VKA_UINT(g.y.box) * width, volume = VKA_UINT(g.z.box) * area;
    uint number = slot / volume, inside = slot - number * volume;
    grid_point p = box_point(g, number);
    p.z = p.z * g.z.box + VKA_INT(inside / area);
    p.y = p.y * g.y.box + VKA_INT(inside % area / width);
    p.x = p.x * g.x.box + VKA_INT(inside % width);
    return p;
}

VKA_FN bool in_grid(grid_axes g, grid_point p) {
    return axis_has(g.z, p.z) && axis_has(g.y, p.y) && axis_has(g.x, p.x);
}

VKA_FN uint point_token(grid_axes g, grid_point p) {
    int line = (p.z - g.z.lead) * g.y.size + p.y - g.y.lead;
    return in_grid(g, p) ? VKA_UINT(line * g.x.size + p.x - g.x.lead) : VKA_PATTERN_NONE;
}

VKA_FN uint grid_token(grid_axes g, uint slot) {
    return point_token(g, slot_point(g, slot));
}

/* The box around the slots i0 .. i1: of a tile that is a box, itself; otherwise lines and planes as soon as the
 * slots go on to the next one. */
VKA_STRUCT(grid_span) {
    grid_point first;
    grid_point last;
}
VKA_END(grid_span);

VKA_FN grid_span span_of(grid_axes g, uint i0, uint i1) {
    grid_span s;
    s.first = slot_point(g, i0);
    s.last = slot_point(g, i1);
    if (!grid_has_boxes(g)) {
        bool planes = s.first.z != s.last.z, lines = planes || s.first.y != s.last.y;
        s.first.y = planes ? 0 : s.first.y;
        s.last.y = planes ? g.y.size - 1 : s.last.y;
        s.first.x = lines ? 0 : s.first.x;
        s.last.x = lines ? g.x.size - 1 : s.last.x;
    }
    return s;
}

/* Places beyond the grid see nothing: they don't make a span of queries wider. */
VKA_FN grid_span query_span(grid_axes g, uint i0, uint i1) {
    grid_span s = span_of(g, i0, i1);
    s.first.z = VKA_MAX(s.first.z, g.z.lead);
    s.first.y = VKA_MAX(s.first.y, g.y.lead);
    s.first.x = VKA_MAX(s.first.x, g.x.lead);
    s.last.z = VKA_MIN(s.last.z, g.z.lead + g.z.size - 1);
    s.last.y = VKA_MIN(s.last.y, g.y.lead + g.y.size - 1);
    s.last.x = VKA_MIN(s.last.x, g.x.lead + g.x.size - 1);
    return s;
}

/* ---- the term -------------------------------------------------------------------------------------------------- */

VKA_FN uint grid_next(VKA_PROGRAM uint term, uint i0, uint i1, uint t) {
    grid_axes g = grid_of(VKA_W term);
    grid_span q = query_span(g, i0, i1);
    axis_keys kz = axis_hull(g.z, q.first.z, q.last.z), ky = axis_hull(g.y, q.first.y, q.last.y),
              kx = axis_hull(g.x, q.first.x, q.last.x);
    uint boxes = grid_has_boxes(g) ? 1u : VKA_HEAD(VKA_PROGRAM_KEY_TILE); /* of a tile */
    grid_point from = box_point(g, t * boxes);
    uint z = VKA_UINT(from.z), y = VKA_UINT(from.y), x = VKA_UINT(from.x);
    /* The first box at or after it whose coordinates are all seen. A coordinate that moves on sets those after it to
     * 0; one that has no next makes the one before it move on, which happens twice at most. */
    for (uint attempt = 0u; attempt < 3u; ++attempt) {
        uint next_z = axis_next(g.z, kz, q.first.z, q.last.z, z);
        if (next_z == VKA_PATTERN_NONE)
            return VKA_PATTERN_NONE;
        y = next_z > z ? 0u : y;
        x = next_z > z ? 0u : x;
        z = next_z;
        uint next_y = axis_next(g.y, ky, q.first.y, q.last.y, y);
        if (next_y == VKA_PATTERN_NONE) {
            z += 1u;
            y = 0u;
            x = 0u;
            continue;
        }
        x = next_y > y ? 0u : x;
        y = next_y;
        uint next_x = axis_next(g.x, kx, q.first.x, q.last.x, x);
        if (next_x != VKA_PATTERN_NONE)
            return ((z * VKA_UINT(g.y.boxes) + y) * VKA_UINT(g.x.boxes) + next_x) / boxes;
        y += 1u;
        x = 0u;
    }
    return VKA_PATTERN_NONE;
}

/* Of the 32 slots of a box from p on, which begins a line, the first ones of the lines that are seen. */
VKA_FN uint box_lines(grid_axes g, axis_keys kz, axis_keys ky, grid_point p) {
    int y_begin = p.y / g.y.box * g.y.box, y_end = y_begin + g.y.box;
    uint bits = 0u;
    for (uint done = 0u; done < 32u; done += VKA_UINT(g.x.box)) {
        if (axis_holds(g.z, kz, p.z) && axis_holds(g.y, ky, p.y))
            bits |= 1u << done;
        p.y += 1;
        p.z += p.y == y_end ? 1 : 0;
        p.y = p.y == y_end ? y_begin : p.y;
    }
    return bits;
}

/* What is seen of a line of a box that begins at coordinate x. box_lines * box_line is the word of a query. */
VKA_FN uint box_line(grid_axes g, axis_keys kx, int x) {
    return key_bits_stepped(kx.lo, kx.hi, kx.lo, g.x.dilation, g.x.comb, VKA_UINT(x)) & ((1u << g.x.box) - 1u);
}

/* Keys that a query sees, axis by axis. */
VKA_STRUCT(grid_keys) {
    axis_keys z;
    axis_keys y;
    axis_keys x;
}
VKA_END(grid_keys);

VKA_FN grid_keys grid_sees(grid_axes g, grid_point q) {
    grid_keys k;
    k.z = axis_sees(g.z, q.z);
    k.y = axis_sees(g.y, q.y);
    k.x = axis_sees(g.x, q.x);
    return k;
}

/* Of the 32 slots from p on, in the order of tokens, those that are seen: line after line. */
VKA_FN uint token_word(grid_axes g, grid_keys k, grid_point p) {
    uint bits = 0u;
    for (uint done = 0u; done < 32u;) {
        uint line = VKA_UINT(g.x.size - p.x);
        if (axis_holds(g.z, k.z, p.z) && axis_holds(g.y, k.y, p.y)) {
            uint ahead = key_bits_stepped(k.x.lo, k.x.hi, k.x.lo, g.x.dilation, g.x.comb, VKA_UINT(p.x));
            bits |= (line < 32u ? ahead & ((1u << line) - 1u) : ahead) << done;
        }
        done += line;
        p.x = 0;
        p.y += 1;
        p.z += p.y == g.y.size ? 1 : 0;
        p.y = p.y == g.y.size ? 0 : p.y;
    }
    return bits;
}

VKA_FN uint grid_word(VKA_PROGRAM uint term, uint i, uint j0) {
    grid_axes g = grid_of(VKA_W term);
    grid_point q = slot_point(g, i), p = slot_point(g, j0);
    if (!in_grid(g, q))
        return 0u;
    grid_keys k = grid_sees(g, q);
    return grid_has_boxes(g) ? box_lines(g, k.z, k.y, p) * box_line(g, k.x, p.x) : token_word(g, k, p);
}

VKA_FN bool axis_is_full(grid_axis a, int q0, int q1, int k0, int k1) {
    return a.dilation == 1 && axis_sees(a, q1).lo <= k0 && axis_sees(a, q0).hi >= k1;
}

VKA_FN bool grid_is_full(VKA_PROGRAM uint term, uint i0, uint i1, uint j0, uint j1) {
    grid_axes g = grid_of(VKA_W term);
    grid_span q = query_span(g, i0, i1), k = span_of(g, j0, j1);
    return axis_is_full(g.z, q.first.z, q.last.z, k.first.z, k.last.z) &&
           axis_is_full(g.y, q.first.y, q.last.y, k.first.y, k.last.y) &&
           axis_is_full(g.x, q.first.x, q.last.x, k.first.x, k.last.x);
}

#ifndef VKA_GLSL
#    undef uint
#endif

#endif
