// Symmetric quantisation. A scale is found from the bits of the largest magnitude that it serves: as integers they compare
// like the numbers, and NaN is the largest of all. After elements.glsl.
// SPDX-License-Identifier: MIT

const uint INFINITE = 0x7f800000u, SMALLEST = 0x0d800000u; // 2^-100: no denormal number, which devices may drop, matters
const float STEP = 0.007874015748031496;                   // 1 / 127: multiplied by, as quotients differ from device to device

uint largest_bits(vec4 y) {
    uvec4 bits = floatBitsToUint(y) & 0x7fffffffu;
    return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// Of i8; 0 for values to be stored as zeros.
float scale_of(uint bits) {
    return bits < SMALLEST || bits >= INFINITE ? 0.0 : uintBitsToFloat(bits) * STEP;
}

// What is stored of it.
float stored_scale(uint bits) {
    return bits >= INFINITE ? uintBitsToFloat(0x7fc00000u) : scale_of(bits);
}

// Of a block, stored as the f16 with these bits, of which no sign is asked.
float scale_of_f16(uint stored) {
    // Small ones by hand, as devices may take f16 below 2^-14 for 0.
    return stored < 0x400u ? float(stored) * 5.9604644775390625e-8 : unpackHalf2x16(stored).x;
}

// Of Q8_0.
float block_scale_of(uint bits, out uint stored) {
    stored = bits >= INFINITE ? 0x7e00u : min(nearest_f16(scale_of(bits)), 0x7bffu);
    return bits >= INFINITE ? 0.0 : scale_of_f16(stored);
}

// Of Q4_0 but for its sign, of which the largest magnitude is eight.
float half_scale_of(uint bits, out uint stored) {
    stored = bits >= INFINITE ? 0x7e00u : 0u;
    if (bits >= SMALLEST && bits < INFINITE)
        stored = min(nearest_f16(uintBitsToFloat(bits) * 0.125), 0x7bffu);
    return bits >= INFINITE ? 0.0 : scale_of_f16(stored);
}

// The value of largest magnitude, whose sign is asked here, becomes -8: so the scale has the other sign, unless it is 0 or
// NaN.
uint signed_scale(float scale, uint stored, bool negative) {
    return stored | (scale != 0.0 && !negative ? 0x8000u : 0u);
}

// Halves of four bytes.
uvec4 halves_of(vec4 y, float scale, bool negative) {
    if (scale == 0.0)
        return uvec4(8u);
    return uvec4(clamp(roundEven(y / (negative ? scale : -scale)) + 8.0, 0.0, 15.0));
}

uint packed_bytes(uvec4 q) {
    return q.x | q.y << 8 | q.z << 16 | q.w << 24;
}

uint quantised(vec4 y, float scale) {
    if (scale == 0.0)
        return 0u;
    return packed_bytes(uvec4(ivec4(clamp(roundEven(y / scale), -127.0, 127.0))) & 255u);
}
