/* vka_lsh_sort: its description and checks. And what its callers prepare on the host.
 * SPDX-License-Identifier: MIT */
#include "ops/lsh/lsh.h"

#include <math.h>

#include "core/philox.h"

enum { X = VKA__LSH_X, ROTATIONS, LENGTHS, PERMUTATION, BUCKETS, KEYS, ARGS };
enum { EPSILON, NUMBERS };

#define DESC(field) offsetof(vka_lsh_sort_desc, field)
#define MAX_BUCKETS 65536

/* R: rounds. C: columns of the rotations. */
#define TENSOR(name, shape, types, flags_, access_)                                                                    \
    { #name, shape, DESC(name), VKA__NONE, types, .flags = flags_, .access = access_, .extent = VKA__CUSTOM }
static const vka__arg args[ARGS] = {
    [X] = TENSOR(x, "B H N D", VKA__FLOATS, VKA__REQUIRED, VKA__READ),
    [ROTATIONS] = TENSOR(rotations, "R 1|H D C", VKA__TYPE(VKA_F32), VKA__REQUIRED, VKA__READ),
    [LENGTHS] = TENSOR(lengths, "B", VKA__TYPE(VKA_I32), VKA__LIST, VKA__READ),
    [PERMUTATION] = TENSOR(permutation, "R B H N", VKA__TYPE(VKA_I32), VKA__REQUIRED, VKA__WRITE),
    [BUCKETS] = TENSOR(buckets, "R B H N", VKA__TYPE(VKA_I32), 0, VKA__WRITE),
    [KEYS] = TENSOR(keys, "B H N D", VKA__FLOATS, 0, VKA__WRITE),
};

static const vka__limit limits[] = {{'D', 1, 1024}, {'R', 1, UINT32_MAX}, {0}};

static const vka__number numbers[NUMBERS] = {
    [EPSILON] = {"epsilon", DESC(epsilon), VKA__NUMBER_F32, true, VKA__LEAST, VKA__FINITE, 1e-6, NULL},
};

static vka_status sizes(vka__call *c) {
    const uint32_t *n = VKA__DESC(c, vka_lsh_sort_desc)->bucket_count;
    if (n[0] < 2 || n[0] % 2 || n[1] % 2)
        return vka__call_fail(c, VKA_INVALID, "bucket_count", "is {%u, %u}, but must be even, and the first at least 2",
                              n[0], n[1]);
    if (n[0] > MAX_BUCKETS || n[1] > MAX_BUCKETS / n[0])
        return vka__call_fail(c, VKA_INVALID, "bucket_count", "{%u, %u} are more than %d buckets", n[0], n[1],
                              MAX_BUCKETS);
    vka__call_bind_letter(c, 'C', (n[0] + n[1]) / 2);
    return VKA_OK;
}

static vka_status check(vka__call *c) {
    uint32_t rounds = vka__call_letter(c, 'R'), batch = vka__call_letter(c, 'B'), tokens = vka__call_letter(c, 'N');
    if ((uint64_t)batch * vka__call_letter(c, 'H') > UINT32_MAX / rounds)
        return vka__call_fail(c, VKA_UNSUPPORTED, "x", "has more than 2^32 - 1 heads in all rounds");
    const int32_t *lengths = c->source[LENGTHS].values;
    for (uint32_t b = 0; lengths && b < batch; ++b)
        if (lengths[b] < 0 || (uint32_t)lengths[b] > tokens)
            return vka__call_fail(c, VKA_INVALID, "lengths", "values[%u] is %d, but must be 0 .. %u", b, lengths[b],
                                  tokens);
    VKA__STATE(c, vka__lsh)->epsilon = (float)c->number[EPSILON];
    return VKA_OK;
}

VKA__OPERATION(lsh_sort, .params_size = sizeof(vka_lsh_params), .state_size = sizeof(vka__lsh),
               .workspace = DESC(workspace), .limits = limits, .sizes = sizes, .check = check, .plan = vka__lsh_plan,
               .dispatch = vka__lsh_dispatch, .explain = vka__lsh_explain);

/* ---- on the host ----------------------------------------------------------------------------------------------- */

void vka_lsh_rotations(uint64_t seed, uint64_t first, size_t count, float *values) {
    uint32_t words[4] = {0};
    for (size_t n = 0; n < count; ++n) {
        uint64_t number = first + n;
        if (n == 0 || number % 4 == 0)
            vka__philox((uint32_t[]){(uint32_t)(number / 4), (uint32_t)(number / 4 >> 32), 0, 0}, seed, words);
        const uint32_t *pair = words + number % 4 / 2 * 2;
        double length = sqrt(-2 * log((pair[0] + 0.5) * 0x1p-32)), angle = pair[1] * 0x1p-32 * 6.283185307179586;
        values[n] = (float)(length * (number % 2 ? sin(angle) : cos(angle)));
    }
}

vka_tensor vka_lsh_round(vka_tensor t, uint32_t round) {
    if (t.rank != 4 || round >= t.shape[0])
        return t;
    uint64_t stride = t.stride[0];
    if (!stride && !t.stride[1] && !t.stride[2] && !t.stride[3]) /* dense */
        stride = (uint64_t)t.shape[1] * t.shape[2] * t.shape[3];
    t.offset += round * stride * vka_dtype_size(t.dtype);
    t.rank = 3;
    for (uint32_t i = 0; i < 3; ++i) {
        t.shape[i] = t.shape[i + 1];
        t.stride[i] = t.stride[i + 1];
    }
    t.shape[3] = 0;
    t.stride[3] = 0;
    return t;
}
