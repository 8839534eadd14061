#version 450
// Draws a token of each row of logits. A workgroup owns a row, which it reads once for the largest logit, once for the draw,
// and in between as often as it takes to find the bounds of top-k and top-p (select.glsl).
//
// The draw is the largest sum of a logit and Gumbel noise: exactly as probable as the softmax says, whatever the number of
// logits, with no sum over the row whose order could matter. Masses for top-p and for log-probabilities are sums of integers.
//
// Comparisons are of keys, not of floats: what a driver makes of NaN and infinities does not matter.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/sample.h"
#include "philox.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_sample_params p;
};

const uint X_TYPE = TYPE_OF(VKA_ROLE_X);

VKA_INPUT(VKA_BIND_X, x)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_WORD_READERS(x, X_TYPE)
VKA_INPUT_I32(VKA_BIND_SAMPLE_LENGTHS, lengths)
VKA_OUTPUT_F32(VKA_BIND_SAMPLE_LOG_PROBS, log_probs)
layout(set = 0, binding = VKA_BIND_SAMPLE_IDS, std430) writeonly buffer Ids {
    int ids[];
};
layout(set = 0, binding = VKA_BIND_SAMPLE_HISTORY, std430) buffer History {
    int history[];
};
layout(set = 0, binding = VKA_BIND_SAMPLE_NEW_LENGTHS, std430) writeonly buffer NewLengths {
    int new_lengths[];
};
layout(set = 0, binding = VKA_BIND_SAMPLE_SEEN, std430) coherent buffer Seen {
    uint seen[];
};

struct Row {
    uint number;           // of all rows
    uint x, history, seen; // first element of the row in each
    int tokens;            // of its history, as given
    bool penalised;        // or as the model has it
    float maximum;         // its largest logit
    uint top;              // the key of that
    bool by_mass;          // elements measure exp(scale * (value - maximum)); otherwise each is one
    float exp_scale;
};

Row find_row(uint i) {
    Row row;
    row.number = i + push.x0;
    row.x = push.base[VKA_BIND_X] + i * p.x.n;
    row.history = push.base[VKA_BIND_SAMPLE_HISTORY] + i * p.history.n;
    row.seen = row.number * ((p.cols + 31u) / 32u);
    row.tokens = has(VKA_FLAG_LENGTHS) ? max(lengths_at(row.number * p.length_step), 0) : 0;
    row.penalised = has(VKA_FLAG_SAMPLE_PENALTY);
    row.maximum = 0.0;
    row.top = 0u;
    row.by_mass = false;
    row.exp_scale = p.exp_scale;
    return row;
}

// ---- logits -------------------------------------------------------------------------------------------------------------

float penalise(float x) {
    return x > 0.0 ? x / p.penalty : x * p.penalty;
}

vec4 row_values(Row row, uint c) {
    vec4 x = x_words4(row.x, p.x.d, c, p.cols, has(VKA_FLAG_VEC4));
    if (row.penalised) {
        uint bits = seen[row.seen + c / 8u] >> (4u * c & 31u);
        [[unroll]] for (uint i = 0u; i < 4u; ++i)
            x[i] = (bits >> i & 1u) != 0u ? penalise(x[i]) : x[i];
    }
    return x;
}

uvec2 measure(Row row, float value);

#include "select.glsl"

// How far a logit is below the largest one, of halves, so that differences of any two floats are finite.
float below(Row row, float value) {
    if (key_of(value) == row.top)
        return 0.0;
    precise float difference = value * 0.5 - row.maximum * 0.5;
    return row.top == INFINITE_KEY ? uintBitsToFloat(0xff800000u) : difference;
}

// 0 .. 1 in units of 2^-39: 2^24 of them have a sum.
uvec2 fixed_point(float x) {
    float scaled = x * 128.0;
    uint whole = uint(scaled);
    return uvec2(uint((scaled - float(whole)) * 4294967296.0), whole);
}

float of_fixed_point(uvec2 x) {
    return float(x.y) * (1.0 / 128.0) + float(x.x) * (1.0 / 128.0 / 4294967296.0);
}

uvec2 measure(Row row, float value) {
    return row.by_mass ? fixed_point(exp2(below(row, value) * row.exp_scale)) : uvec2(1u, 0u);
}

// ---- history ------------------------------------------------------------------------------------------------------------

// Marks the ids that are penalised. Others than those of the vocabulary are padding.
void mark_history(Row row) {
    for (uint i = gl_LocalInvocationIndex; i < (p.cols + 31u) / 32u; i += GROUP_SIZE)
        seen[row.seen + i] = 0u;
    memoryBarrierBuffer();
    barrier();
    uint end = has(VKA_FLAG_LENGTHS) ? min(uint(row.tokens), p.history_size) : p.history_size;
    uint first = end - min(end, p.window);
    for (uint i = gl_LocalInvocationIndex; i < end - first; i += GROUP_SIZE) {
        uint id = uint(history[row.history + (first + i) * p.history.d]);
        if (id < p.cols)
            atomicOr(seen[row.seen + id / 32u], 1u << (id & 31u));
    }
    memoryBarrierBuffer();
    barrier();
}

// ---- choices ------------------------------------------------------------------------------------------------------------

shared uint best_key, best_column;

// A key and a column of each invocation: the largest key, and the lowest column that has it.
uvec2 group_best(uvec2 mine) {
    barrier();
    if (gl_LocalInvocationIndex == 0u) {
        best_key = 0u;
        best_column = ANY;
    }
    barrier();
    atomicMax(best_key, mine.x);
    barrier();
    if (mine.x == best_key)
        atomicMin(best_column, mine.y);
    barrier();
    return uvec2(best_key, best_column);
}

uvec2 largest(Row row) {
    uvec2 best = uvec2(0u, ANY);
    for (uint c = gl_LocalInvocationIndex; 4u * c < p.cols; c += GROUP_SIZE) {
        vec4 x = row_values(row, c);
        [[unroll]] for (uint i = 0u; i < 4u; ++i) {
            uint key = key_of(x[i]);
            if (4u * c + i < p.cols && key > best.x)
                best = uvec2(key, 4u * c + i);
        }
    }
    return group_best(best);
}

Row with_top(Row row, uint key) {
    row.top = key;
    row.maximum = uintBitsToFloat((key & 0x80000000u) != 0u ? key & 0x7fffffffu : ~key);
    return row;
}

// -log(u) of u = (word + 0.5) 2^-32, which is no float in the upper half: there by 1 - u, which is.
float minus_log_uniform(uint word) {
    const float unit = 1.0 / 4294967296.0;
    if (word < 0x80000000u)
        return -log((float(word) + 0.5) * unit);
    float v = (float(~word) + 0.5) * unit;
    float series = v * (1.0 + v * (0.5 + v * (1.0 / 3.0 + v * (0.25 + v * (0.2 + v * (1.0 / 6.0))))));
    return v < 0.0625 ? series : -log(1.0 - v);
}

// What may be drawn, but for min-p: a part of the order in which select.glsl has the logits, from the first one on.
Bound find_bound(Row row) {
    Bound bound = Bound(row.top == INFINITE_KEY ? INFINITE_KEY : LOWEST_KEY + 1u, ANY);
    for (uint i = 0u; i < 2u; ++i) { // a loop, so that selection is compiled once
        row.by_mass = i == 1u;
        if (has(row.by_mass ? VKA_FLAG_SAMPLE_TOP_P : VKA_FLAG_SAMPLE_TOP_K))
            bound = select(row, bound, row.by_mass ? Target(uvec2(0u), p.top_p) : Target(uvec2(p.top_k, 0u), 0u), 0u);
    }
    return bound;
}

uint draw(Row row) {
    Bound bound = find_bound(row);
    uvec2 best = uvec2(0u, ANY), seed = uvec2(p.seed_lo, p.seed_hi);
    uint step = p.random_offset + uint(row.tokens);
    for (uint c = gl_LocalInvocationIndex; 4u * c < p.cols; c += GROUP_SIZE) {
        vec4 x = row_values(row, c);
        uvec4 words = uvec4(0u);
        bool has_words = false;
        [[unroll]] for (uint i = 0u; i < 4u; ++i) {
            uint column = 4u * c + i;
            float difference = below(row, x[i]);
            bool kept = column < p.cols && is_kept(bound, key_of(x[i]), column);
            if (!kept || (has(VKA_FLAG_SAMPLE_MIN_P) && difference < p.least))
                continue;
            if (!has_words)
                words = philox(uvec4(c, row.number, 0u, step), seed);
            has_words = true;
            uint score = key_of(difference * p.score_scale - log(minus_log_uniform(words[i])));
            if (score > best.x)
                best = uvec2(score, column);
        }
    }
    return group_best(best).y;
}

// By the softmax of the logits as the model has them.
float log_probability(Row row, int id) {
    row.penalised = false;
    row.by_mass = true;
    row.exp_scale = p.model_exp_scale;
    row = with_top(row, largest(row).x);
    uvec2 sum = uvec2(0u);
    for (uint c = gl_LocalInvocationIndex; 4u * c < p.cols; c += GROUP_SIZE) {
        vec4 x = row_values(row, c);
        [[unroll]] for (uint i = 0u; i < 4u; ++i)
            if (4u * c + i < p.cols && key_of(x[i]) > LOWEST_KEY)
                sum = add64(sum, measure(row, x[i]));
    }
    sum = group_total(sum);
    if (row.top == NAN_KEY)
        return uintBitsToFloat(0x7fc00000u);
    if (id < 0)
        return uintBitsToFloat(0xff800000u);
    return 2.0 * below(row, x_at(row.x + uint(id) * p.x.d)) - log(of_fixed_point(sum));
}

void store(Row row, uint i, int id, float log_prob) {
    ids[push.base[VKA_BIND_SAMPLE_IDS] + i * p.ids.n] = id;
    if (has(VKA_FLAG_SAMPLE_LOG_PROBS))
        log_probs_put(push.base[VKA_BIND_SAMPLE_LOG_PROBS] + i * p.log_probs.n, log_prob);
    if (has(VKA_FLAG_SAMPLE_APPEND) && uint(row.tokens) < p.history_size)
        history[row.history + uint(row.tokens) * p.history.d] = id;
    if (has(VKA_FLAG_SAMPLE_NEW_LENGTHS))
        new_lengths[push.base[VKA_BIND_SAMPLE_NEW_LENGTHS] + row.number * p.new_length_step] =
            row.tokens < 0x7fffffff ? row.tokens + 1 : row.tokens;
}

void main() {
    Row row = find_row(gl_WorkGroupID.x);
    if (has(VKA_FLAG_SAMPLE_PENALTY))
        mark_history(row);
    uvec2 best = largest(row);
    row = with_top(row, best.x);
    int id = best.x == NAN_KEY || best.x == LOWEST_KEY ? -1 : int(best.y);
    if (has(VKA_FLAG_SAMPLE_RANDOM) && id >= 0)
        id = int(draw(row));
    float log_prob = has(VKA_FLAG_SAMPLE_LOG_PROBS) ? log_probability(row, id) : 0.0;
    if (gl_LocalInvocationIndex == 0u)
        store(row, gl_WorkGroupID.x, id, log_prob);
}
