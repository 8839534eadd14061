#version 450
// A linear layer by cooperative matrices (VK_KHR_cooperative_matrix) of subgroups that own blocks of outputs.
//
// Tiling: a workgroup owns BR rows of x by BC outputs. Its subgroups own blocks of RM products by CT, TC of them side by
// side. Rows of x and of the weights pass through shared memory as 16-bit elements, 32 columns a step, zero beyond the last
// row and column; the next step is on its way while one is multiplied (not with LOW_REGISTER). Sums stay in accumulators,
// and leave through shared memory, since which lane holds which element is nobody's business.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#if VKA_BF16
#extension GL_EXT_bfloat16 : require
#else
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_spirv_intrinsics : require
#endif
#define VKA_HALVES 1
#define VKA_NEAREST_F16 (!VKA_BF16)
#include "elements.glsl"
#include "halves.glsl"
#include "linear.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_BR) const uint BR = 64u;
layout(constant_id = VKA_SPEC_BC) const uint BC = 64u;
layout(constant_id = VKA_SPEC_RM) const uint RM = 2u;
layout(constant_id = VKA_SPEC_TC) const uint TC = 2u;
layout(constant_id = VKA_SPEC_SUBGROUP) const uint SG = 32u;
// One product: MM x KK by KK x NN.
layout(constant_id = VKA_SPEC_M) const uint MM = 16u;
layout(constant_id = VKA_SPEC_N) const uint NN = 16u;
layout(constant_id = VKA_SPEC_K) const uint KK = 16u;
// Registers are few: no step is on its way while another is multiplied.
layout(constant_id = VKA_SPEC_LOW_REGISTER) const uint LOW_REGISTER = 0u;

const uint SUBGROUPS = BR / (RM * MM) * TC;
const uint THREADS = SUBGROUPS * SG;
const uint CT = BC / TC / NN;
const uint STEP = 32u;
// Of four floats.
const uint OUT_STRIDE = NN / 4u + 1u;

shared vec4 out_tile[SUBGROUPS * MM * OUT_STRIDE];

#define MATRIX_A coopmat<ELEMENT, gl_ScopeSubgroup, MM, KK, gl_MatrixUseA>
#define MATRIX_B coopmat<ELEMENT, gl_ScopeSubgroup, KK, NN, gl_MatrixUseB>
#define MATRIX_C coopmat<float, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator>

uint lane, thread;
MATRIX_C sums[RM * CT];

uint weight_place(uint n) {
    return n;
}

#include "linear_stage.glsl"

void multiply(uint row, uint column) {
    [[unroll]] for (uint k = 0u; k < STEP / KK; ++k) {
        MATRIX_A a[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r)
            coopMatLoad(a[r], x_tile, (row + r * MM) * STRIDE + k * (KK / 8u), STRIDE,
                        gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint n = 0u; n < CT; ++n) {
            MATRIX_B w;
            coopMatLoad(w, weight_tile, (column + n * NN) * STRIDE + k * (KK / 8u), STRIDE,
                        gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint r = 0u; r < RM; ++r) sums[r * CT + n] = coopMatMulAdd(a[r], w, sums[r * CT + n]);
        }
    }
}

void subgroup_sync() {
    subgroupMemoryBarrierShared();
    subgroupBarrier();
}

// The long code once, what touches accumulators once a product: they can only be indexed by constants.
void store(Batch b, uint row, uint column) {
    uint first = gl_SubgroupID * MM * OUT_STRIDE;
    [[dont_unroll]] for (uint i = 0u; i < RM * CT; ++i) {
        [[unroll]] for (uint j = 0u; j < RM * CT; ++j) if (i == j)
            coopMatStore(sums[j], out_tile, first, OUT_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        subgroup_sync();
        for (uint t = lane; t < MM * (NN / 4u); t += SG) {
            uint r = t / (NN / 4u), d = t % (NN / 4u);
            put_sums(b, row + i / CT * MM + r, (column + i % CT * NN) / 4u + d, out_tile[first + r * OUT_STRIDE + d]);
        }
        subgroup_sync();
    }
}

void main() {
    lane = gl_SubgroupInvocationID;
    thread = gl_SubgroupID * SG + lane;
    Batch b = find_batch();
    uint row0 = gl_WorkGroupID.y * BR, n0 = gl_WorkGroupID.x * BC;
    uint row = gl_SubgroupID / TC * RM * MM, column = gl_SubgroupID % TC * CT * NN;
    [[unroll]] for (uint i = 0u; i < RM * CT; ++i) sums[i] = MATRIX_C(0.0);
    if (LOW_REGISTER == 0u)
        fetch(b, row0, n0, b.begin);
    for (uint k = b.begin; k < b.end; k += STEP) {
        barrier();
        if (LOW_REGISTER != 0u)
            copy(b, row0, n0, k);
        else
            stage();
        barrier();
        if (LOW_REGISTER == 0u)
            fetch(b, row0, n0, k + STEP);
        multiply(row, column);
    }
    store(b, row0 + row, n0 + column);
}
