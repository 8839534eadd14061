// The dot product of two pairs of f16, which words hold, added to a float: VKA_MIXED_DOT = 1 by one instruction
// (VK_VALVE_shader_mixed_float_dot_product), 0 by conversions, for any device. With it the including file enables
// GL_EXT_spirv_intrinsics and GL_EXT_shader_explicit_arithmetic_types_float16.
// SPDX-License-Identifier: MIT

#if VKA_MIXED_DOT
spirv_instruction(extensions = ["SPV_VALVE_mixed_float_dot_product"], capabilities = [6912], id = 6916)
float mixed_dot(f16vec2 a, f16vec2 b, float sum);

float pair_dot(uint a, uint b, float sum) {
    return mixed_dot(unpackFloat2x16(a), unpackFloat2x16(b), sum);
}
#else
float pair_dot(uint a, uint b, float sum) {
    vec2 x = unpackHalf2x16(a), y = unpackHalf2x16(b);
    return fma(x.y, y.y, fma(x.x, y.x, sum));
}
#endif
