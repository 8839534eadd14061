// Arithmetic peak: chains of f32 multiply-adds that live in registers and never wait for memory.
// SPDX-License-Identifier: MIT
//
// An invocation owns 12 independent chains (3 vec4): enough to fill the pipeline of every known ALU (latency times issue
// width is 8 to 10 on CPUs, 4 on GPUs, which also have other subgroups to run), and with the two operands few enough for
// the 16 vector registers of AVX2. The body is unrolled, since a loop iteration costs a software driver as much as 20
// multiply-adds.
//
// x = x * b + c with b < 1 tends to c / (1 - b): no overflow, no subnormals. b and c are push constants, so that nothing
// can be computed at compile time.
#version 450

layout(local_size_x = 64) in;

layout(push_constant) uniform Push {
    float b;
    float c;
    uint loops; // 768 flops an invocation each
} push;

layout(set = 0, binding = 0, std430) writeonly buffer Result {
    float result[];
};

#define STEP  x0 = fma(x0, b, c); x1 = fma(x1, b, c); x2 = fma(x2, b, c);
#define STEP4 STEP STEP STEP STEP

void main() {
    vec4 b = vec4(push.b), c = vec4(push.c);
    vec4 x0 = vec4(gl_LocalInvocationIndex) * 0.25 + vec4(0.1, 0.2, 0.3, 0.4);
    vec4 x1 = x0 + 1.0, x2 = x0 + 2.0;
    for (uint i = 0; i < push.loops; i++) {
        STEP4 STEP4 STEP4 STEP4 STEP4 STEP4 STEP4 STEP4
    }
    // Never true, since all values are positive, but no compiler knows: the chains stay and no memory is touched.
    float sum = dot(x0 + x1 + x2, vec4(1.0));
    if (sum < 0.0) {
        result[gl_LocalInvocationIndex] = sum;
    }
}
