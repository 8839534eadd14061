#version 450
// Dynamic routing between capsules (Sabour, Frosst and Hinton 2017).
//
// An input's logit for an output is its vote times the sum of all outputs so far: no logits are stored, and an iteration reads
// the votes in one pass. A workgroup takes them a few inputs a step: logits, a pair of input and output an invocation; their
// softmax; the sums over inputs, some vectors of four channels an invocation, of every input or of each of several slices.
//
// VKA_FLAG_CAPSULE_WHOLE: a workgroup owns an entry and does all iterations. Otherwise a dispatch is one. The first iteration
// couples everything alike, so that a workgroup can own an output. In later ones workgroups share the inputs of an entry; each
// leaves its sums in the workspace, and the one that is the last to count itself adds them up, in an order that never changes.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "float_bits.glsl"
#include "params/capsule_routing.h"

// Of the dispatch: push.z0 the iteration.

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 1u;
layout(constant_id = VKA_SPEC_D) const uint DIM = 1u;
layout(constant_id = VKA_SPEC_BC) const uint OUTPUTS = 1u;
layout(constant_id = VKA_SPEC_BR) const uint STEP = 1u;
layout(constant_id = VKA_SPEC_TC) const uint LANES = 1u;
layout(constant_id = VKA_SPEC_COLS) const uint COLS = 1u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_capsule_routing_params p;
};

#define VOTES_TYPE TYPE_OF(VKA_ROLE_X)
#define OUT_TYPE TYPE_OF(VKA_ROLE_OUT)
#define BIAS_TYPE TYPE_OF(VKA_ROLE_CAPSULE_BIAS)
#define COUPLING_TYPE TYPE_OF(VKA_ROLE_CAPSULE_COUPLING)

VKA_INPUT(VKA_BIND_X, votes)
VKA_READERS(votes, VKA_BIND_X, VOTES_TYPE)
VKA_INPUT(VKA_BIND_CAPSULE_BIAS, bias)
VKA_READERS(bias, VKA_BIND_CAPSULE_BIAS, BIAS_TYPE)
VKA_OUTPUT(VKA_BIND_CAPSULE_OUT, out)
VKA_WRITERS(out, OUT_TYPE)
VKA_OUTPUT(VKA_BIND_CAPSULE_COUPLING, coupling)
VKA_WRITERS(coupling, COUPLING_TYPE)
// Of each entry: the sums of each part, their sum, the sum of all outputs so far; then a counter of each entry.
layout(set = 0, binding = VKA_BIND_CAPSULE_WORKSPACE, std430) coherent buffer workspace_vectors {
    vec4 workspace[];
};
layout(set = 0, binding = VKA_BIND_CAPSULE_WORKSPACE, std430) coherent buffer workspace_counters {
    uint workspace_words[];
};

const bool WHOLE = (FLAGS & VKA_FLAG_CAPSULE_WHOLE) != 0u;
const bool SHARED = (FLAGS & VKA_FLAG_CAPSULE_SHARED) != 0u;
const bool VEC4 = (FLAGS & VKA_FLAG_CAPSULE_VEC4) != 0u;
const bool VEC4_OUT = (FLAGS & VKA_FLAG_CAPSULE_VEC4_OUT) != 0u;
const uint VECTORS = (DIM + 3u) / 4u;          // of an output
const uint COLUMNS = OUTPUTS * VECTORS;        // of all outputs
const uint KEPT = SHARED ? COLUMNS : 1u;
const uint SLICERS = GROUP_SIZE < 256u ? GROUP_SIZE : 256u; // sums that slices have, at most
const uint SLICED = SLICERS > KEPT ? SLICERS : KEPT;

shared float weights[STEP * OUTPUTS]; // logits, then coupling coefficients
shared float lane_maxima[LANES > 1u ? STEP * LANES : 1u];
shared float lane_sums[LANES > 1u ? STEP * LANES : 1u];
shared vec4 slices[SLICED]; // sums of slices, then of the entry
shared vec4 outputs[KEPT];  // their sum over iterations
shared bool is_last;

vec4 total[COLS];

struct Entry {
    uint number;                // in the dispatch
    uint votes, out_, coupling; // where it begins in each tensor
    uint sums, outputs;         // in the workspace
};

// Columns that a workgroup sums. Few are summed by several slices of it, each of which takes every so many-th input; many by
// rounds, in each of which an invocation has another column.
struct Columns {
    uint first, count, slices, rounds;
};

Columns all_columns() {
    return Columns(0u, COLUMNS, max(SLICERS / COLUMNS, 1u), COLS);
}

vec4 vote_of(Entry e, uint i, uint column) {
    uint row = e.votes + i * p.votes.h + column / VECTORS * p.votes.n;
    return votes_row4(row, p.votes.d, column % VECTORS, DIM, VEC4);
}

vec4 outputs_of(Entry e, uint column) {
    if (SHARED) // no choice of two values, both of which would be loaded
        return outputs[column];
    return workspace[e.outputs + column];
}

// ---- coupling ---------------------------------------------------------------------------------------------------------

// Logits of the inputs first .. first + count - 1.
void compute_logits(Entry e, uint first, uint count) {
    for (uint pair = gl_LocalInvocationIndex; pair < count * OUTPUTS; pair += GROUP_SIZE) {
        uint i = first + pair / OUTPUTS, j = pair % OUTPUTS;
        float sum = 0.0;
        for (uint d = 0u; d < VECTORS; ++d)
            sum += dot(vote_of(e, i, j * VECTORS + d), outputs_of(e, j * VECTORS + d));
        weights[pair] = sum;
    }
}

// exp(-a) of a >= 0, whatever a driver makes of large ones.
float decay(float a) {
    return a < 87.0 ? exp(-a) : 0.0;
}

// The softmax of each input's logits, of which an invocation has every LANES-th. What is not finite makes the factor NaN.
void couple(Entry e, uint first, uint count, bool stores) {
    uint lane = gl_LocalInvocationIndex % LANES, place = gl_LocalInvocationIndex / LANES, at = place * OUTPUTS;
    bool there = place < count;
    float maximum = -3.4028234663852886e38, sum = 0.0;
    for (uint j = lane; there && j < OUTPUTS; j += LANES)
        maximum = is_nonfinite(weights[at + j]) ? uintBitsToFloat(EXPONENT) : max(maximum, weights[at + j]);
    if (LANES > 1u) {
        if (there)
            lane_maxima[gl_LocalInvocationIndex] = maximum;
        barrier();
        for (uint l = 0u; there && l < LANES; ++l)
            maximum = max(maximum, lane_maxima[place * LANES + l]);
    }
    for (uint j = lane; there && j < OUTPUTS; j += LANES) {
        weights[at + j] = decay(maximum - weights[at + j]);
        sum += weights[at + j];
    }
    if (LANES > 1u) {
        if (there)
            lane_sums[gl_LocalInvocationIndex] = sum;
        barrier();
        sum = 0.0;
        for (uint l = 0u; there && l < LANES; ++l)
            sum += lane_sums[place * LANES + l];
    }
    float factor = is_nonfinite(maximum) ? uintBitsToFloat(0x7fc00000u) : 1.0 / sum;
    for (uint j = lane; there && j < OUTPUTS; j += LANES) {
        weights[at + j] *= factor;
        if (stores)
            coupling_put(e.coupling + (first + place) * p.coupling.h + j * p.coupling.n, weights[at + j]);
    }
}

// Coefficients of the first iteration, of some outputs.
void store_equal_coupling(Entry e, uint first, uint outputs) {
    for (uint pair = gl_LocalInvocationIndex; pair < p.inputs * outputs; pair += GROUP_SIZE) {
        uint at = e.coupling + pair / outputs * p.coupling.h + (first + pair % outputs) * p.coupling.n;
        coupling_put(at, 1.0 / float(OUTPUTS));
    }
}

// ---- sums -------------------------------------------------------------------------------------------------------------

uint slice_of(Columns c) {
    return c.count < GROUP_SIZE ? gl_LocalInvocationIndex / c.count : 0u;
}
// The invocation's column in a round, counted from the first; c.count and above: it has none.
uint column_of(Columns c, uint n) {
    if (c.count >= GROUP_SIZE)
        return gl_LocalInvocationIndex + n * GROUP_SIZE;
    return slice_of(c) < c.slices ? gl_LocalInvocationIndex % c.count : c.count;
}

// Adds the inputs of a step: a sum of their own first, as long sums would lose digits.
void add_inputs(Entry e, Columns c, uint first, uint count, bool equal) {
    uint slice = slice_of(c);
    [[unroll]] for (uint n = 0u; n < c.rounds; ++n) {
        uint column = column_of(c, n), j = (c.first + column) / VECTORS;
        vec4 sum = vec4(0.0);
        for (uint i = slice; column < c.count && i < count; i += c.slices) {
            float weight = 1.0 / float(OUTPUTS);
            if (!equal)
                weight = weights[i * OUTPUTS + j];
            sum = fma(vec4(weight), vote_of(e, first + i, c.first + column), sum);
        }
        total[n] += sum;
    }
}

// Adds up the slices; those of slice 0 have the sums then.
void join_slices(Columns c) {
    uint column = column_of(c, 0u);
    if (c.slices == 1u)
        return;
    if (column < c.count)
        slices[slice_of(c) * c.count + column] = total[0];
    barrier();
    if (slice_of(c) == 0u) {
        total[0] = vec4(0.0);
        for (uint s = 0u; s < c.slices; ++s)
            total[0] += slices[s * c.count + column];
    }
}

// Of the entry, of the columns from `first` on.
void put_sum(Entry e, uint first, uint column, vec4 sum) {
    uint at = first + column;
    if (has(VKA_FLAG_CAPSULE_BIAS))
        sum += bias_row4(push.base[VKA_BIND_CAPSULE_BIAS] + at / VECTORS * p.bias.n, p.bias.d, at % VECTORS, DIM, false);
    if (SHARED)
        slices[column] = sum;
    else
        workspace[e.sums + at] = sum;
}
vec4 sum_of(Entry e, uint first, uint column) {
    if (SHARED)
        return slices[column];
    return workspace[e.sums + first + column];
}

// What one invocation has written, others of the workgroup can read.
void share_sums() {
    if (!SHARED)
        memoryBarrierBuffer();
    barrier();
}

// ---- outputs ----------------------------------------------------------------------------------------------------------

float largest(vec4 x) {
    return max(max(x.x, x.y), max(x.z, x.w));
}

// An output by its sum s, from column `at` on, is s * x * y: x and y such that nothing overflows or vanishes on the way.
vec2 squash(Entry e, uint first, uint at) {
    float most = 0.0, squares = 0.0;
    bool spoilt = false;
    for (uint d = 0u; d < VECTORS; ++d) {
        vec4 s = sum_of(e, first, at + d);
        most = max(most, largest(abs(s)));
        spoilt = spoilt || any(are_nonfinite(s));
    }
    bool large = most > 1e18, small = most < 1e-30;
    float before = large ? 1e-20 : 1.0, unit = small ? 1.0 : 1.0 / (most * before);
    for (uint d = 0u; d < VECTORS; ++d) {
        vec4 r = sum_of(e, first, at + d) * before * unit;
        squares += dot(r, r);
    }
    float root = sqrt(squares), square = most * root * (most * root);
    float part = large ? 1.0 : square > 1.0 ? 1.0 / (1.0 + 1.0 / square) : square / (1.0 + square);
    float after = spoilt ? uintBitsToFloat(0x7fc00000u) : small ? 0.0 : part * unit / root;
    return vec2(before, after);
}

// So many outputs from one on, whose sums are there. Invocations without one take part in reading the last: Mesa's software
// driver crashes where loads stand in a loop that no invocation of a subgroup enters.
void finish(Entry e, uint first_output, uint count, uint iteration) {
    uint first = first_output * VECTORS;
    for (uint begin = 0u; begin < count; begin += GROUP_SIZE) {
        uint n = min(begin + gl_LocalInvocationIndex, count - 1u), j = first_output + n;
        bool own = begin + gl_LocalInvocationIndex < count;
        vec2 factor = squash(e, first, n * VECTORS);
        for (uint d = 0u; d < VECTORS; ++d) {
            uint column = j * VECTORS + d;
            vec4 v = sum_of(e, first, n * VECTORS + d) * factor.x * factor.y, sum = v;
            if (own && iteration > 0u)
                sum += outputs_of(e, column);
            if (own && WHOLE)
                outputs[column] = sum;
            if (own && !WHOLE)
                workspace[e.outputs + column] = sum;
            if (own && iteration + 1u == p.iterations)
                out_put_row4(e.out_ + j * p.out_.h, p.out_.n, d, DIM, VEC4_OUT, v);
        }
    }
}

// ---- iterations -------------------------------------------------------------------------------------------------------

// Sums of the inputs first .. end - 1, which slice 0 has afterwards.
void sum_inputs(Entry e, Columns c, uint first, uint end, uint iteration) {
    bool stores = iteration + 1u == p.iterations && has(VKA_FLAG_CAPSULE_COUPLING);
    [[unroll]] for (uint n = 0u; n < c.rounds; ++n)
        total[n] = vec4(0.0);
    for (uint i = first; i < end; i += STEP) {
        uint count = min(STEP, end - i);
        if (iteration > 0u) {
            compute_logits(e, i, count);
            barrier();
            couple(e, i, count, stores);
            barrier();
        }
        add_inputs(e, c, i, count, iteration == 0u);
        if (iteration > 0u)
            barrier();
    }
    join_slices(c);
}

// To be found from column `first` on.
void put_sums(Entry e, uint first, Columns c) {
    [[unroll]] for (uint n = 0u; n < c.rounds; ++n) {
        uint column = column_of(c, n);
        if (column < c.count && slice_of(c) == 0u)
            put_sum(e, first, c.first - first + column, total[n]);
    }
    share_sums();
}

// Leaves a part's sums. True in the workgroup that is the last to do so: it has the sums of all of them.
bool join_parts(Entry e, uint part) {
    Columns all = all_columns();
    uint first = e.sums - p.parts * COLUMNS, counter = p.counters + e.number;
    [[unroll]] for (uint n = 0u; n < COLS; ++n) {
        uint column = column_of(all, n);
        if (column < COLUMNS && slice_of(all) == 0u)
            workspace[first + part * COLUMNS + column] = total[n];
    }
    memoryBarrierBuffer();
    barrier();
    if (gl_LocalInvocationIndex == 0u)
        is_last = atomicAdd(workspace_words[counter], 1u) + 1u == p.parts;
    barrier();
    if (!is_last)
        return false;
    memoryBarrierBuffer();
    if (gl_LocalInvocationIndex == 0u)
        workspace_words[counter] = 0u;
    [[unroll]] for (uint n = 0u; n < COLS; ++n) {
        uint column = column_of(all, n);
        total[n] = vec4(0.0);
        for (uint i = 0u; column < COLUMNS && slice_of(all) == 0u && i < p.parts; ++i)
            total[n] += workspace[first + i * COLUMNS + column];
    }
    return true;
}

void iterate_whole(Entry e) {
    Columns all = all_columns();
    if (p.iterations == 1u && has(VKA_FLAG_CAPSULE_COUPLING))
        store_equal_coupling(e, 0u, OUTPUTS);
    for (uint t = 0u; t < p.iterations; ++t) {
        sum_inputs(e, all, 0u, p.inputs, t);
        put_sums(e, 0u, all);
        finish(e, 0u, OUTPUTS, t);
        barrier();
    }
}

void iterate_first(Entry e) {
    if (gl_WorkGroupID.x == 0u && gl_LocalInvocationIndex == 0u)
        workspace_words[p.counters + e.number] = 0u;
    for (uint j = gl_WorkGroupID.x; j < OUTPUTS; j += gl_NumWorkGroups.x) {
        uint slices = VECTORS < SLICERS ? SLICERS / VECTORS : 1u;
        for (uint column = 0u; column < VECTORS; column += SLICERS) {
            Columns some = Columns(j * VECTORS + column, min(SLICERS, VECTORS - column), slices, 1u);
            sum_inputs(e, some, 0u, p.inputs, 0u);
            put_sums(e, j * VECTORS, some);
        }
        if (p.iterations == 1u && has(VKA_FLAG_CAPSULE_COUPLING))
            store_equal_coupling(e, j, 1u);
        finish(e, j, 1u, 0u);
        barrier();
    }
}

void iterate_part(Entry e) {
    Columns all = all_columns();
    for (uint column = gl_LocalInvocationIndex; SHARED && column < COLUMNS; column += GROUP_SIZE)
        outputs[column] = workspace[e.outputs + column];
    barrier();
    uint first = gl_WorkGroupID.x * p.part_inputs;
    sum_inputs(e, all, first, min(first + p.part_inputs, p.inputs), push.z0);
    if (join_parts(e, gl_WorkGroupID.x)) {
        put_sums(e, 0u, all);
        finish(e, 0u, OUTPUTS, push.z0);
    }
}

void main() {
    uint b = gl_WorkGroupID.y;
    Entry e;
    e.number = b;
    e.votes = push.base[VKA_BIND_X] + b * p.votes.b;
    e.out_ = push.base[VKA_BIND_CAPSULE_OUT] + b * p.out_.b;
    e.coupling = push.base[VKA_BIND_CAPSULE_COUPLING] + b * p.coupling.b;
    e.sums = (b * (p.parts + 2u) + p.parts) * COLUMNS;
    e.outputs = e.sums + COLUMNS;
    if (WHOLE)
        iterate_whole(e);
    else if (push.z0 == 0u)
        iterate_first(e);
    else
        iterate_part(e);
}
