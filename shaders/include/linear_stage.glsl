// Rows of x and of the weights in shared memory, STEP columns of them at a time, 0 beyond the last row and column; in vectors of
// eight elements, which VKA_HALVES = 1 has as words of two, and 0 as floats. Weights that are not of 16 bits are rounded to them.
//
// Expects BR and BC, how many rows of each there are, STEP, THREADS, of which each has its number in `thread`, and
// uint weight_place(uint n): where a step's row n of the weights lies. After linear.glsl, and halves.glsl if VKA_HALVES.
// SPDX-License-Identifier: MIT

const uint EIGHTS = STEP / 8u;
const uint X_PARTS = (BR * EIGHTS + THREADS - 1u) / THREADS;
const uint WEIGHT_PARTS = (BC * EIGHTS + THREADS - 1u) / THREADS;

// All shared variables are of a multiple of 16 bytes: see nonfinite_matrix.glsl. Rows are padded by a vector against bank
// conflicts.
#if VKA_HALVES
#define STAGED uvec4
const uint STRIDE = EIGHTS + 1u;
shared uvec4 x_tile[BR * STRIDE];
shared uvec4 weight_tile[BC * STRIDE];

uvec4 words_of(Eight e) {
    return uvec4(weight_words(e.a), weight_words(e.b));
}

const uvec4 NOTHING = uvec4(0u);

uvec4 x_vector(uint row, uint c) {
    return has(VKA_LINEAR_X_VEC8) ? x_w4[(row >> 3) + c] : words_of(x_eight(row, c));
}

uvec4 weight_vector(uint row, uint c) {
    bool ready = !QUANTISED && has(VKA_LINEAR_WEIGHT_VEC8);
    return ready ? weights_w4[(row >> 3) + c] : words_of(weight_eight(row, c));
}

#define VKA_PUT(tile, row, c, staged) tile[(row) * STRIDE + (c)] = staged
#else
#define STAGED Eight
const uint STRIDE = 2u * EIGHTS + 1u;
shared vec4 x_tile[BR * STRIDE];
shared vec4 weight_tile[BC * STRIDE];

const Eight NOTHING = Eight(vec4(0.0), vec4(0.0));

Eight x_vector(uint row, uint c) {
    return x_eight(row, c);
}

Eight weight_vector(uint row, uint c) {
    return weight_eight(row, c);
}

#define VKA_PUT(tile, row, c, staged)                                                                                  \
    {                                                                                                                  \
        tile[(row) * STRIDE + 2u * (c)] = (staged).a;                                                                  \
        tile[(row) * STRIDE + 2u * (c) + 1u] = (staged).b;                                                             \
    }
#endif

STAGED x_ahead[X_PARTS], weight_ahead[WEIGHT_PARTS];

// Vector i of a step that begins at column k.
STAGED x_staged(Batch b, uint row0, uint k, uint i) {
    uint row = row0 + i / EIGHTS, c = k / 8u + i % EIGHTS;
    if (i >= BR * EIGHTS || row >= push.rows || 8u * c >= b.end)
        return NOTHING;
    return x_vector(b.x + row * p.x.n, c);
}

STAGED weight_staged(Batch b, uint n0, uint k, uint i) {
    uint n = n0 + i / EIGHTS, c = k / 8u + i % EIGHTS;
    if (i >= BC * EIGHTS || n >= push.dim1 || 8u * c >= b.end)
        return NOTHING;
    return weight_vector(b.weight + n * p.weight.n, c);
}

void fetch(Batch b, uint row0, uint n0, uint k) {
    [[unroll]] for (uint i = 0u; i < X_PARTS; ++i) x_ahead[i] = x_staged(b, row0, k, i * THREADS + thread);
    [[unroll]] for (uint i = 0u; i < WEIGHT_PARTS; ++i)
        weight_ahead[i] = weight_staged(b, n0, k, i * THREADS + thread);
}

void stage() {
    [[unroll]] for (uint part = 0u; part < X_PARTS; ++part) {
        uint i = part * THREADS + thread;
        if (i < BR * EIGHTS)
            VKA_PUT(x_tile, i / EIGHTS, i % EIGHTS, x_ahead[part]);
    }
    [[unroll]] for (uint part = 0u; part < WEIGHT_PARTS; ++part) {
        uint i = part * THREADS + thread;
        if (i < BC * EIGHTS)
            VKA_PUT(weight_tile, weight_place(i / EIGHTS), i % EIGHTS, weight_ahead[part]);
    }
}

// fetch and stage, where registers are too few to have a step on its way.
void copy(Batch b, uint row0, uint n0, uint k) {
    [[dont_unroll]] for (uint i = thread; i < BR * EIGHTS; i += THREADS)
        VKA_PUT(x_tile, i / EIGHTS, i % EIGHTS, x_staged(b, row0, k, i));
    [[dont_unroll]] for (uint i = thread; i < BC * EIGHTS; i += THREADS)
        VKA_PUT(weight_tile, weight_place(i / EIGHTS), i % EIGHTS, weight_staged(b, n0, k, i));
}
