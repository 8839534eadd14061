// exp to a unit in the last place, for factors that are multiplied many times: Vulkan lets a device's own be off by
// 3 + 2 |x| units.
//
// After float_bits.glsl. SPDX-License-Identifier: MIT

// exp(x) = 2^n exp(r) with n = round(x / log 2), |r| <= log(2) / 2; log 2 in two parts, of which the first times n is exact;
// exp(r) by its series. 0 where f32 has denormal numbers, which devices may drop; infinite where it overflows.
float exponential(float x) {
    if ((floatBitsToUint(x) & 0x7fffffffu) > EXPONENT)
        return x;
    if (x < -87.3)
        return 0.0;
    if (x > 88.7228)
        return uintBitsToFloat(EXPONENT);
    float n = round(x * 1.44269504);
    precise float r = fma(n, -0.693359375, x);
    r = fma(n, 2.12194440e-4, r);
    float y = fma(fma(fma(fma(fma(fma(1.0 / 5040.0, r, 1.0 / 720.0), r, 1.0 / 120.0), r, 1.0 / 24.0), r, 1.0 / 6.0), r, 0.5), r * r, r);
    // In two steps, as 2^128 is no float.
    float half_power = uintBitsToFloat(uint(int(n) / 2 + 127) << 23);
    float rest = uintBitsToFloat(uint(int(n) - int(n) / 2 + 127) << 23);
    return fma(y, half_power, half_power) * rest;
}
