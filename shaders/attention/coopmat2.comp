#version 450
// Attention by matrices that span a whole tile of query rows (VK_NV_cooperative_matrix2).
//
// Tiling: BR rows, BC keys a step, one matrix each for q, scores, probabilities and outputs. Row maxima and sums are
// reductions that stay matrices, one value repeated along each row; masks, exponentials and the results' stores are
// functions called for each element, which get its row and column. Two flavours differ in who holds the matrices and how
// keys and values reach them:
//   VKA_WORKGROUP = 1: the workgroup, through tensor layouts that clamp beyond the last key and channel
//   VKA_WORKGROUP = 0: the one subgroup of a workgroup, through shared memory
// VKA_DECODE = 1: keys and values of a workgroup that are not f16 in one place each (quantised, in pages, in a permutation)
// come by functions that decode each element.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_shader_16bit_storage : require
#if VKA_DECODE
#extension GL_EXT_buffer_reference : require
#endif
#define VKA_BF16 0
#define VKA_STAGE_STEPS (!VKA_WORKGROUP)
#define VKA_NEAREST_F16 0
#define VKA_LIST_SCAN 2
#include "elements.glsl"
#include "attention.glsl"
#include "attention_io.glsl"
#if VKA_WORKGROUP
layout(set = 0, binding = VKA_BIND_K, std430) readonly buffer KeyHalves {
    float16_t k_halves[];
};
layout(set = 0, binding = VKA_BIND_V, std430) readonly buffer ValueHalves {
    float16_t v_halves[];
};
#endif

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_SUBGROUP) const uint THREADS = 32u;
// The granularity of matrices' dimensions.
layout(constant_id = VKA_SPEC_M) const uint MM = 16u;
layout(constant_id = VKA_SPEC_N) const uint NN = 16u;
layout(constant_id = VKA_SPEC_K) const uint KK = 16u;

const uint D_PADDED = (D + KK - 1u) / KK * KK;
const uint DV_PADDED = (DV + NN - 1u) / NN * NN;
const uint Q_ROWS = BR;
const uint K_WIDTH = D_PADDED / 4u;
const uint V_WIDTH = DV_PADDED / 4u;
const bool KEY_VALUES = false;

#if VKA_WORKGROUP
#define SCOPE gl_ScopeWorkgroup
#else
#define SCOPE gl_ScopeSubgroup
#endif
#define MATRIX_Q coopmat<float16_t, SCOPE, BR, D_PADDED, gl_MatrixUseA>
#define MATRIX_K coopmat<float16_t, SCOPE, D_PADDED, BC, gl_MatrixUseB>
#define MATRIX_S coopmat<float, SCOPE, BR, BC, gl_MatrixUseAccumulator>
#define MATRIX_P coopmat<float16_t, SCOPE, BR, BC, gl_MatrixUseA>
#define MATRIX_V coopmat<float16_t, SCOPE, BC, DV_PADDED, gl_MatrixUseB>
#define MATRIX_O coopmat<float, SCOPE, BR, DV_PADDED, gl_MatrixUseAccumulator>

uint thread;
Grid g;
uint first_row, k_head, v_head;

#include "nonfinite_matrix.glsl"
#include "matrix_tiles.glsl"

// ---- functions of elements ------------------------------------------------------------------------------------------

uint row_at(uint row) {
    return min(first_row + row, row_count(g) - 1u);
}

uvec2 query_of(uint row) {
    return row_query(g, row_at(row));
}

float score_element(const in uint row, const in uint column, const in float x) {
    return score_of(x);
}

float masked_score_element(const in uint row, const in uint column, const in float x, const in int j0) {
    int j = j0 + int(column);
    uvec2 query = query_of(row);
    float score = score_of(x);
    bool visible = j < run.end && in_band(g, query.y, j);
    if (biased() && visible)
        visible = bias_score(g, row_of(g, row_at(row)), j, score);
    return visible ? score : negative_infinity();
}

float dropout_element(const in uint row, const in uint column, const in float x, const in int j0) {
    return apply_dropout(g, row_of(g, row_at(row)), j0 + int(column), x);
}

float exp_element(const in uint row, const in uint column, const in float x) {
    return exp_of(x);
}

float larger(const in float a, const in float b) {
    return max(a, b);
}

float larger_element(const in uint row, const in uint column, const in float a, const in float b) {
    return max(a, b);
}

float plus(const in float a, const in float b) {
    return a + b;
}

float16_t drop_nonfinite_element(const in uint row, const in uint column, const in float16_t x) {
    return is_nonfinite(float(x)) ? float16_t(0.0) : x;
}

float add_nonfinite_element(const in uint row, const in uint column, const in float x, const in int j0) {
    return x + nonfinite_part(g, row_of(g, row_at(row)), column, v_head, j0, run.end);
}

float scale_element(const in uint row, const in uint column, const in float maximum, const in float sum) {
    return final_scale(State(maximum, sum), query_of(row).x);
}

float store_element(const in uint row, const in uint column, const in float x) {
    if (is_row(g, first_row + row) && column < DV)
        store_scalar(g, query_of(row), column, x);
    return x;
}

float store_state_element(const in uint row, const in uint column, const in float maximum, const in float sum) {
    if (is_row(g, first_row + row) && column == 0u)
        store_state(g, query_of(row), State(maximum, sum));
    return sum;
}

// ---- operands -------------------------------------------------------------------------------------------------------

#if VKA_DECODE
// What a decoding function is told of where a vector of four elements lies. It looks the vector up itself, as scales, pages
// and orders need more than an address.
layout(buffer_reference, std430, buffer_reference_align = 2) readonly buffer Vector {
    float16_t unread[4];
};

float16_t decode_key(const in Vector at, const in uint vector[2], const in uint element[2]) {
    return float16_t(key_vector4(key_source(g, k_head, int(vector[0])), vector[1])[element[1]]);
}

float16_t decode_value(const in Vector at, const in uint vector[2], const in uint element[2]) {
    return float16_t(value_vector4(value_source(g, v_head, int(vector[0])), vector[1])[element[1]]);
}
#endif

#if VKA_WORKGROUP
// Does the step hold values that have to be set aside?
void find_nonfinite(int j0) {
    barrier(); // all have read what the step before left
    for (uint i = thread; i < BC * DV; i += THREADS) {
        int j = j0 + int(i / DV);
        if (j < run.end && is_nonfinite(element_of(value_scalar(value_source(g, v_head, j), i % DV))))
            nonfinite_step = j0;
    }
    barrier();
}

#if VKA_DECODE
MATRIX_K load_keys(int j0, bool full) {
    tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> layout_k =
        createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
    tensorViewNV<2, false, 1, 0> transposed = createTensorViewNV(2, false, 1, 0);
    layout_k = setTensorLayoutDimensionNV(layout_k, uint(run.end), D);
    layout_k = setTensorLayoutBlockSizeNV(layout_k, 1u, 4u);
    layout_k = sliceTensorLayoutNV(layout_k, uint(j0), BC, 0u, D_PADDED);
    MATRIX_K keys;
    coopMatLoadTensorNV(keys, k_halves, 0u, layout_k, transposed, decode_key);
    return keys;
}

MATRIX_V read_values(int j0, bool full) {
    tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> layout_v =
        createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
    layout_v = setTensorLayoutDimensionNV(layout_v, uint(run.end), DV);
    layout_v = setTensorLayoutBlockSizeNV(layout_v, 1u, 4u);
    layout_v = sliceTensorLayoutNV(layout_v, uint(j0), BC, 0u, DV_PADDED);
    MATRIX_V values;
    coopMatLoadTensorNV(values, v_halves, 0u, layout_v, decode_value);
    return values;
}

#else
// How far apart keys, or values, and channels are: of rows that can be read by four channels, what compilers can rely on.
uvec2 strides(uint n, uint d, bool by_four) {
    return by_four ? uvec2(n & ~3u, 1u) : uvec2(n, max(d, 1u));
}

// Loads of whole steps, which need not look where keys and channels end, and of others, which do.
#define LOADS(NAME, CLAMP)                                                                                             \
    MATRIX_K load_keys_##NAME(int j0) {                                                                                \
        uvec2 stride = strides(p.k.n, p.k.d, has(VKA_FLAG_VEC4_QK));                                                   \
        tensorLayoutNV<2, CLAMP> layout_k = createTensorLayoutNV(2, CLAMP);                                            \
        tensorViewNV<2, false, 1, 0> transposed = createTensorViewNV(2, false, 1, 0);                                  \
        layout_k = setTensorLayoutDimensionNV(layout_k, uint(run.end), D);                                             \
        layout_k = setTensorLayoutStrideNV(layout_k, stride.x, stride.y);                                              \
        layout_k = sliceTensorLayoutNV(layout_k, uint(j0), BC, 0u, D_PADDED);                                          \
        MATRIX_K keys;                                                                                                 \
        coopMatLoadTensorNV(keys, k_halves, k_head, layout_k, transposed);                                             \
        return keys;                                                                                                   \
    }                                                                                                                  \
    MATRIX_V load_values_##NAME(int j0) {                                                                              \
        uvec2 stride = strides(p.v.n, p.v.d, has(VKA_FLAG_VEC4_V));                                                    \
        tensorLayoutNV<2, CLAMP> layout_v = createTensorLayoutNV(2, CLAMP);                                            \
        layout_v = setTensorLayoutDimensionNV(layout_v, uint(run.end), DV);                                            \
        layout_v = setTensorLayoutStrideNV(layout_v, stride.x, stride.y);                                              \
        layout_v = sliceTensorLayoutNV(layout_v, uint(j0), BC, 0u, DV_PADDED);                                         \
        MATRIX_V values;                                                                                               \
        coopMatLoadTensorNV(values, v_halves, v_head, layout_v);                                                       \
        return values;                                                                                                 \
    }
LOADS(whole, gl_CooperativeMatrixClampModeUndefinedNV)
LOADS(clamped, gl_CooperativeMatrixClampModeConstantNV)

// All rows of a full step see all of its keys, which are there then.
MATRIX_K load_keys(int j0, bool full) {
    if (D == D_PADDED && full)
        return load_keys_whole(j0);
    return load_keys_clamped(j0);
}

MATRIX_V read_values(int j0, bool full) {
    if (DV == DV_PADDED && full)
        return load_values_whole(j0);
    return load_values_clamped(j0);
}
#endif

MATRIX_V load_values(int j0, bool full) {
    MATRIX_V values = read_values(j0, full);
    if (!full) {
        find_nonfinite(j0);
        coopMatPerElementNV(values, values, drop_nonfinite_element);
    }
    return values;
}

#else
MATRIX_K load_keys(int j0, bool full) {
    MATRIX_K keys;
    fetch_keys(g, k_head, j0, run.end);
    fetch_values(g, v_head, j0, run.end);
    barrier();
    stage_keys();
    barrier();
    coopMatLoad(keys, k_tile, 0u, K_STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
    return keys;
}

MATRIX_V load_values(int j0, bool full) {
    MATRIX_V values;
    stage_values(full, j0);
    barrier();
    coopMatLoad(values, v_tile, 0u, V_STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
    return values;
}
#endif

// ---- main -----------------------------------------------------------------------------------------------------------

MATRIX_Q load_queries() {
    MATRIX_Q q;
    stage_queries(g, first_row); // through shared memory: packed rows are not evenly spaced
    barrier();
    coopMatLoad(q, k_tile, 0u, K_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
    barrier();
    return q;
}

void main() {
    thread = gl_LocalInvocationIndex;
    nonfinite_step = -1;
    g = grid_position();
    if (is_idle(g))
        return;
    first_row = g.tile * BR;
    run = walk_keys(g, first_row);
    v_head = value_head_at(g);
    k_head = key_head_at(g);
    MATRIX_Q q = load_queries();
    MATRIX_O rows = MATRIX_O(0.0);
    MATRIX_S maximum = MATRIX_S(no_state().maximum), sum = MATRIX_S(0.0);
    for (int j0 = run.begin; j0 < run.end; advance(run, j0)) {
        bool full = is_full(j0);
        MATRIX_S s = coopMatMulAdd(q, load_keys(j0, full), MATRIX_S(0.0));
        if (full && !biased())
            coopMatPerElementNV(s, s, score_element);
        else
            coopMatPerElementNV(s, s, masked_score_element, j0);
        MATRIX_S highest, rescale, part;
        MATRIX_O rescale_rows;
        coopMatReduceNV(highest, s, gl_CooperativeMatrixReduceRowNV, larger);
        coopMatPerElementNV(highest, highest, larger_element, maximum);
        coopMatPerElementNV(rescale, maximum - highest, exp_element);
        maximum = highest;
        coopMatPerElementNV(s, s - maximum, exp_element);
        coopMatReduceNV(part, s, gl_CooperativeMatrixReduceRowNV, plus);
        sum = sum * rescale + part;
        if (has_option(VKA_FLAG_DROPOUT))
            coopMatPerElementNV(s, s, dropout_element, j0);
        // A reduction of equal values, to get them in the shape of the outputs.
        coopMatReduceNV(rescale_rows, rescale, gl_CooperativeMatrixReduceRowNV, larger);
        rows = coopMatMulAdd(MATRIX_P(s), load_values(j0, full), rows * rescale_rows);
        if (!full && nonfinite_step == j0)
            coopMatPerElementNV(rows, rows, add_nonfinite_element, j0);
    }
    MATRIX_S scale;
    MATRIX_O scale_rows;
    coopMatPerElementNV(scale, maximum, scale_element, sum);
    coopMatReduceNV(scale_rows, scale, gl_CooperativeMatrixReduceRowNV, larger);
    rows *= scale_rows;
    coopMatPerElementNV(rows, rows, store_element);
    coopMatPerElementNV(sum, maximum, store_state_element, sum);
}
