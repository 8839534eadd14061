/* Checks of RoPE's options, and what every kernel that rotates needs.
 * SPDX-License-Identifier: MIT */
#include "ops/rope/options.h"

#include <math.h>
#include <stdio.h>

/* One line about "prefix.field". */
#define FAIL(field, ...) vka__call_fail(c, VKA_INVALID, named(name, r->prefix, field), __VA_ARGS__)
typedef char field_name[48];

static const char *named(field_name name, const char *prefix, const char *field) {
    snprintf(name, sizeof(field_name), "%s.%s", prefix, field);
    return name;
}

/* Two tables of one type and form, whose columns are pairs. */
static vka_status check_tables(const vka__call *c, const vka__rotated *r, vka__rope *rope) {
    field_name name;
    static const char *const names[] = {"cos", "sin"};
    const vka_tensor *tables[] = {vka__call_tensor(c, r->cos), vka__call_tensor(c, r->sin)}, *like = tables[0];
    for (int i = 0; i < 2; ++i) {
        const vka_tensor *t = tables[i];
        if (!vka__is_present(t))
            return FAIL(names[i], "is required where %s is given", names[1 - i]);
        if (t->rank != 2 && t->rank != 3)
            return FAIL(names[i], "rank is %u, but must be 2 or 3", t->rank);
        uint32_t first = t->shape[0], batch = first == 1 ? 1 : r->batch;
        const uint32_t shapes[2][3] = {{first, rope->pairs}, {batch, r->rows, rope->pairs}};
        for (uint32_t dim = 0; dim < t->rank; ++dim)
            if (t->shape[dim] != shapes[t->rank - 2][dim])
                return FAIL(names[i], "shape[%u] is %u, but must be %u", dim, t->shape[dim], shapes[t->rank - 2][dim]);
        if (t->rank == 2 && (!first || first > INT32_MAX))
            return FAIL(names[i], "shape[0], the positions, is %u, but must be 1 .. %d", first, INT32_MAX);
        if (t->rank != like->rank)
            return FAIL(names[i], "rank is %u, but that of cos is %u", t->rank, like->rank);
        if (first != like->shape[0])
            return FAIL(names[i], "shape[0] is %u, but that of cos is %u", first, like->shape[0]);
        if (t->dtype != like->dtype)
            return FAIL(names[i], "dtype is %s, but must be that of cos", vka__dtype_name(t->dtype));
    }
    rope->table_rows = like->rank == 3;
    return VKA_OK;
}

vka_status vka__rope_check(const vka__call *c, const vka_rope_options *o, const vka__rotated *r, vka__rope *rope) {
    field_name name;
    uint32_t dims = o->dims ? o->dims : r->cols;
    if (dims % 2 || dims > r->cols)
        return FAIL("dims", "%u of %u channels can't be rotated: they come in pairs", dims, r->cols);
    rope->enabled = true;
    rope->interleaved = o->interleaved;
    rope->tables = vka__call_has(c, r->cos) || vka__call_has(c, r->sin);
    rope->pairs = dims / 2;
    rope->offset = o->position_offset;
    rope->theta = c->number[r->theta];
    rope->frequency_scale = c->number[r->frequency_scale];
    rope->cos = r->cos;
    rope->sin = r->sin;
    if (!rope->tables && dims / 2 > VKA_ROPE_MAX_PAIRS)
        return FAIL("dims", "is %u, but at most %d without tables", dims, 2 * VKA_ROPE_MAX_PAIRS);
    return rope->tables ? check_tables(c, r, rope) : VKA_OK;
}

vka_status vka__rope_check_reach(const vka__call *c, const char *field, const vka__rope *rope, int64_t first,
                                 uint32_t rows) {
    int64_t begin = first + rope->offset, end = begin + rows;
    if (!rows || (begin >= INT32_MIN && end <= (int64_t)INT32_MAX + 1))
        return VKA_OK;
    return vka__call_fail(c, VKA_INVALID, field, "rows have the positions %lld .. %lld, but they go from %d to %d",
                          (long long)begin, (long long)end - 1, INT32_MIN, INT32_MAX);
}

/* As many invocations as the row has vectors. CPUs gain nothing from neighbours. */
uint32_t vka__row_teams(const vka_device_caps *caps, uint32_t cols, uint32_t *team) {
    bool cpu = caps->type == VKA_DEVICE_CPU;
    uint32_t most = vka__min_u32(cpu ? 8 : 128, caps->max_invocations);
    *team = cpu ? 1 : vka__min_u32(vka__div_up(cols, 4), most);
    return most / *team;
}

uint32_t vka__rope_flags(const vka__rope *rope) {
    uint32_t flags = VKA_FLAG_ROPE;
    flags |= rope->interleaved ? VKA_FLAG_INTERLEAVED : 0;
    flags |= rope->tables ? VKA_FLAG_TABLES : 0;
    flags |= rope->table_rows ? VKA_FLAG_TABLE_ROWS : 0;
    return rope->enabled ? flags : 0;
}

static void put_digit(vka_digits *digits, uint32_t i, double fraction, double unit) {
    uint64_t bits = (uint64_t)(fraction * unit);
    uint32_t high = (uint32_t)(bits >> 32), low = (uint32_t)bits;
    if (i % 2) {
        digits[i / 2].second_high = high;
        digits[i / 2].second_low = low;
    } else {
        digits[i / 2].first_high = high;
        digits[i / 2].first_low = low;
    }
}

void vka__rope_fill(const vka__call *call, const vka__rope *rope, vka_rope_params *params) {
    static const double turn = 6.283185307179586;
    *params = (vka_rope_params){.pairs = rope->pairs, .offset = rope->offset};
    if (!rope->enabled)
        return;
    if (rope->tables) {
        const uint64_t *c = call->view[rope->cos].stride, *s = call->view[rope->sin].stride;
        params->cos_ = (vka_strides){.b = (uint32_t)c[1], .n = (uint32_t)c[2], .d = (uint32_t)c[3]};
        params->sin_ = (vka_strides){.b = (uint32_t)s[1], .n = (uint32_t)s[2], .d = (uint32_t)s[3]};
        params->table_rows = call->view[rope->cos].shape[2];
        return;
    }
    for (uint32_t i = 0; i < VKA_ROPE_DIGITS; ++i) {
        double step = -1.0 / rope->pairs; /* of the exponent, from pair to pair */
        double coarse = rope->frequency_scale / turn * pow(rope->theta, step * i * VKA_ROPE_DIGITS);
        put_digit(params->coarse, i, coarse, 0x1p64);
        put_digit(params->fine, i, pow(rope->theta, step * i), 0x1p63);
    }
}
