// Rotary position embedding (RoPE, Su 2021): what all kernels that rotate share. Needs elements.glsl, and `p.rope`.
//
// Angles are counted in turns, in integers: pair k turns by coarse[k / 16] * fine[k % 16] of a turn per position, a fraction
// of 64 bits, and whole turns fall off the top of the product with the position. So an angle is as exact at position 10^6
// as at 1, where f32 would be off by 0.06. sin and cos are polynomials: Vulkan promises 2^-11 for those of GLSL.
// SPDX-License-Identifier: MIT

#include "params/rope.h"

#define TABLE_TYPE TYPE_OF(VKA_ROLE_TABLE)

VKA_INPUT(VKA_BIND_COS, cos_table)
VKA_INPUT(VKA_BIND_SIN, sin_table)
VKA_READERS(cos_table, VKA_BIND_COS, TABLE_TYPE)
VKA_READERS(sin_table, VKA_BIND_SIN, TABLE_TYPE)

// What a row's pairs turn by: its position, and its rows of the tables.
struct RopeRow {
    int position;
    uint cos_, sin_;
};

// The sum of three integers, or the 32-bit one that is next to it.
int clamped_sum(int a, int b, int c) {
    int low = (a & 0xffff) + (b & 0xffff) + (c & 0xffff);
    int high = (a >> 16) + (b >> 16) + (c >> 16) + (low >> 16);
    return high > 0x7fff ? 0x7fffffff : high < -0x8000 ? int(0x80000000u) : high << 16 | low & 0xffff;
}

// A row is `behind` behind the one whose position is given; `table_b` and `table_n` say which row of tables of rank 3.
RopeRow rope_row(int position, int behind, uint table_b, uint table_n) {
    RopeRow row = RopeRow(clamped_sum(position, behind, p.rope.offset), push.base[VKA_BIND_COS], push.base[VKA_BIND_SIN]);
    if (has(VKA_FLAG_TABLES)) {
        uint n = has(VKA_FLAG_TABLE_ROWS) ? table_n : uint(clamp(row.position, 0, int(p.rope.table_rows - 1u)));
        uint b = has(VKA_FLAG_TABLE_ROWS) ? table_b : 0u;
        row.cos_ += b * p.rope.cos_.b + n * p.rope.cos_.n;
        row.sin_ += b * p.rope.sin_.b + n * p.rope.sin_.n;
    }
    return row;
}

// High and low words.
uvec2 coarse_digit(uint i) {
    vka_digits d = p.rope.coarse[i >> 1];
    return (i & 1u) == 0u ? uvec2(d.first_high, d.first_low) : uvec2(d.second_high, d.second_low);
}

uvec2 fine_digit(uint i) {
    vka_digits d = p.rope.fine[i >> 1];
    return (i & 1u) == 0u ? uvec2(d.first_high, d.first_low) : uvec2(d.second_high, d.second_low);
}

// The upper 64 bits of a product, short of what the lowest words would carry.
uvec2 multiply_high(uvec2 a, uvec2 b) {
    uint high, low, high1, high2, ignored, carry1, carry2;
    umulExtended(a.x, b.x, high, low);
    umulExtended(a.x, b.y, high1, ignored);
    umulExtended(a.y, b.x, high2, ignored);
    low = uaddCarry(low, high1, carry1);
    low = uaddCarry(low, high2, carry2);
    return uvec2(high + carry1 + carry2, low);
}

// The angle of a pair at a position, in 2^-32 turns.
uint rope_turn(uint pair, int position) {
    uvec2 f = multiply_high(coarse_digit(pair / VKA_ROPE_DIGITS), fine_digit(pair % VKA_ROPE_DIGITS));
    f = uvec2(f.x << 1 | f.y >> 31, f.y << 1); // fine digits have 63 bits
    uint steps = uint(abs(position)), high, ignored;
    umulExtended(steps, f.y, high, ignored);
    uint turn = steps * f.x + high;
    return position < 0 ? 0u - turn : turn;
}

// Cosine and sine of an angle: of what is left to the nearest quarter turn, at most pi / 4 (Moshier, Cephes).
vec2 rope_cos_sin(uint turn) {
    uint quarter = (turn + 0x20000000u) >> 30;
    float x = float(int(turn - (quarter << 30))) * 1.4629180792671596e-9; // 2 pi / 2^32
    float z = x * x;
    float s = x + x * z * ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1);
    float c = 1.0 - 0.5 * z + z * z * ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2);
    vec2 r = (quarter & 1u) == 0u ? vec2(c, s) : vec2(-s, c);
    return (quarter & 2u) == 0u ? r : -r;
}

// Cosine and sine of a row's pair.
vec2 rope_factors(RopeRow row, uint pair) {
    vec2 f = has(VKA_FLAG_TABLES)
                 ? vec2(cos_table_at(row.cos_ + pair * p.rope.cos_.d), sin_table_at(row.sin_ + pair * p.rope.sin_.d))
                 : rope_cos_sin(rope_turn(pair, row.position));
    return has(VKA_FLAG_INVERSE) ? vec2(f.x, -f.y) : f;
}
