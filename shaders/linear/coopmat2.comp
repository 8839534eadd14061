#version 450
// A linear layer by matrices that span a whole tile (VK_NV_cooperative_matrix2).
//
// Tiling: BR rows of x by BC outputs, a matrix each for a step's columns of x, of the weights, and for the sums. What becomes of a
// sum is a function that is called for each element, and gets its row and column. Two flavours differ in who holds the matrices
// and how operands reach them:
//   VKA_WORKGROUP = 1: the workgroup, through tensor layouts that give 0 beyond the last row and column
//   VKA_WORKGROUP = 0: the one subgroup of a workgroup, through shared memory
// VKA_DECODE = 1: the weights of a workgroup are quantised, and come by a function that decodes each element.
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
#define VKA_HALVES 1
#define VKA_NEAREST_F16 0
#include "elements.glsl"
#include "halves.glsl"
#include "linear.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_SUBGROUP) const uint THREADS = 32u;
layout(constant_id = VKA_SPEC_BR) const uint BR = 64u;
layout(constant_id = VKA_SPEC_BC) const uint BC = 64u;
// Columns of a step, in the granularity of matrices.
layout(constant_id = VKA_SPEC_RM) const uint RM = 1u;
layout(constant_id = VKA_SPEC_K) const uint KK = 16u;

const uint STEP = RM * KK;

layout(set = 0, binding = VKA_BIND_LINEAR_OUT, std430) writeonly buffer OutHalves {
    uint16_t out_halves[];
};
layout(set = 0, binding = VKA_BIND_LINEAR_WORKSPACE, std430) writeonly buffer WorkspaceFloats {
    float workspace_floats[];
};

#if VKA_WORKGROUP
#define SCOPE gl_ScopeWorkgroup
layout(set = 0, binding = VKA_BIND_X, std430) readonly buffer XHalves {
    float16_t x_halves[];
};
layout(set = 0, binding = VKA_BIND_LINEAR_WEIGHT, std430) readonly buffer WeightHalves {
    float16_t weight_halves[];
};
#else
#define SCOPE gl_ScopeSubgroup
#endif
#define MATRIX_X coopmat<float16_t, SCOPE, BR, STEP, gl_MatrixUseA>
#define MATRIX_W coopmat<float16_t, SCOPE, STEP, BC, gl_MatrixUseB>
#define MATRIX_Y coopmat<float, SCOPE, BR, BC, gl_MatrixUseAccumulator>

Batch b;
uint row0, n0;

// ---- operands -------------------------------------------------------------------------------------------------------

#if VKA_DECODE
// What a decoding function is told of where an element lies: it looks for itself, as blocks begin at any pair of bytes.
layout(buffer_reference, std430, buffer_reference_align = 2) readonly buffer Weight {
    float16_t unread;
};

float16_t decode_weight(const in Weight at, const in uint block[2], const in uint element[2]) {
    return unpackFloat2x16(nearest_words(vec4(weight_element(b.weight + block[0] * p.weight.n + block[1]))).x).x;
}
#endif

#if VKA_WORKGROUP
MATRIX_X load_x(uint k) {
    tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> from =
        createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
    from = setTensorLayoutDimensionNV(from, push.rows, b.end);
    from = setTensorLayoutStrideNV(from, p.x.n, max(p.x.d, 1u));
    from = sliceTensorLayoutNV(from, row0, BR, k, STEP);
    MATRIX_X x;
    coopMatLoadTensorNV(x, x_halves, b.x, from);
    return x;
}

MATRIX_W load_weights(uint k) {
    tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> from =
        createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
    tensorViewNV<2, false, 1, 0> transposed = createTensorViewNV(2, false, 1, 0);
    from = setTensorLayoutDimensionNV(from, push.dim1, b.end);
    MATRIX_W w;
#if VKA_DECODE
    from = sliceTensorLayoutNV(from, n0, BC, k, STEP);
    coopMatLoadTensorNV(w, weight_halves, 0u, from, transposed, decode_weight);
#else
    from = setTensorLayoutStrideNV(from, p.weight.n, max(p.weight.d, 1u));
    from = sliceTensorLayoutNV(from, n0, BC, k, STEP);
    coopMatLoadTensorNV(w, weight_halves, b.weight, from, transposed);
#endif
    return w;
}

MATRIX_Y multiply(uint k, MATRIX_Y sums) {
    return coopMatMulAdd(load_x(k), load_weights(k), sums);
}
#else
uint thread;

uint weight_place(uint n) {
    return n;
}

#include "linear_stage.glsl"

MATRIX_Y multiply(uint k, MATRIX_Y sums) {
    MATRIX_X x;
    MATRIX_W w;
    barrier();
    copy(b, row0, n0, k);
    barrier();
    coopMatLoad(x, x_tile, 0u, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
    coopMatLoad(w, weight_tile, 0u, STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
    return coopMatMulAdd(x, w, sums);
}
#endif

// ---- results --------------------------------------------------------------------------------------------------------

float store_element(const in uint r, const in uint column, const in float x) {
    uint row = row0 + r, n = n0 + column;
    if (row >= push.rows || n >= push.dim1)
        return x;
    if (has(VKA_LINEAR_SPLIT)) {
        workspace_floats[4u * workspace_at(b.split, b.number, row, n / 4u) + n % 4u] = x;
        return x;
    }
    uint at = b.out_ + row * p.out_.n + n * p.out_.d;
    float y = result(b, row, n, x);
    if (is_half(OUT_TYPE))
        out_halves[at] = uint16_t(nearest_bits(OUT_TYPE, y));
    else
        out_put(at, y);
    return x;
}

void main() {
#if !VKA_WORKGROUP
    thread = gl_LocalInvocationIndex;
#endif
    b = find_batch();
    row0 = gl_WorkGroupID.y * BR;
    n0 = gl_WorkGroupID.x * BC;
    MATRIX_Y sums = MATRIX_Y(0.0);
    for (uint k = b.begin; k < b.end; k += STEP) sums = multiply(k, sums);
    coopMatPerElementNV(sums, sums, store_element);
}
