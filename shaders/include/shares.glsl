// Shares of taps: a softmax of weights, in shared memory.
//
// After elements.glsl, float_bits.glsl, readers of `weight`, and
//   TAPS, SHARE_ROWS   constants: taps; rows of them that a workgroup has at once
//   SHARE_STEP         from a tap's weight to the next one's
// SPDX-License-Identifier: MIT

// Odd, so that neighbouring rows lie in different banks.
const uint PITCH = TAPS | 1u;

shared float shares[SHARE_ROWS * PITCH];

// exp(-a) of a >= 0, whatever a driver makes of large ones.
float decay(float a) {
    return a < 87.0 ? exp(-a) : 0.0;
}

// The softmax of the weights that begin at element `at`, over the taps from `first` on below `end`; others have no share.
void compute_shares(uint row, uint at, uint first, uint end) {
    uint to = row * PITCH;
    float maximum = -3.4028234663852886e38, sum = 0.0;
    bool spoilt = false;
    for (uint k = first; k < end; ++k) {
        float w = weight_at(at + k * SHARE_STEP);
        bool hidden = floatBitsToUint(w) == 0xff800000u;
        spoilt = spoilt || (is_nonfinite(w) && !hidden);
        maximum = is_nonfinite(w) ? maximum : max(maximum, w);
        shares[to + k] = w;
    }
    for (uint k = 0u; k < TAPS; ++k) {
        float share = 0.0;
        if (k >= first && k < end && floatBitsToUint(shares[to + k]) != 0xff800000u)
            share = decay(maximum - shares[to + k]);
        shares[to + k] = share;
        sum += share;
    }
    float factor = spoilt ? uintBitsToFloat(0x7fc00000u) : sum > 0.0 ? 1.0 / sum : 0.0;
    for (uint k = 0u; k < TAPS; ++k)
        shares[to + k] *= factor;
}
