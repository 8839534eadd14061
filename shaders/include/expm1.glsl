// exp(t) - 1 for t >= -80, to a few units in the last place, without the device's exp.
//
// exp(t) = 2^n exp(r) with n = round(t / log 2), |r| <= log(2) / 2; log 2 in two parts, of which the first times n is exact;
// exp(r) by its series. The sum with 1.5 2^23 rounds to n, and has it in its last bits.
// SPDX-License-Identifier: MIT
float expm1_of(float t) {
    precise float rounded = fma(t, 1.44269504, 12582912.0);
    precise float n = rounded - 12582912.0;
    float r = fma(n, 2.12194440e-4, fma(n, -0.693359375, t));
    float y = fma(fma(fma(fma(fma(1.0 / 5040.0, r, 1.0 / 720.0), r, 1.0 / 120.0), r, 1.0 / 24.0), r, 1.0 / 6.0), r, 0.5);
    float power = uintBitsToFloat((floatBitsToUint(rounded) << 23) + 0x3f800000u);
    return fma(power, fma(y, r * r, r), power - 1.0);
}
