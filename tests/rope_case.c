/* SPDX-License-Identifier: MIT */
#include "rope_case.h"
#include "quantised_rows.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_POSITIONS 37

static const char *describe(const rope_problem *p, char *text, size_t size) {
    const rope_case *r = &p->r;
    snprintf(text, size,
             "%s: %s to %s [%u, %u, %u, %u] order %s+%u R %u%s theta %g positions %d from %d%+d tables %d%s%s, "
             "VKATTN_SEED=%llu",
             p->c->config->name, dtype_name(r->dtype), dtype_name(r->out_type), r->batch, r->heads, r->rows, r->cols,
             r->layout.order ? r->layout.order : "dense", r->layout.pad, r->dims, r->interleaved ? " interleaved" : "",
             (double)r->theta, r->positions, r->first, r->offset, r->tables, r->in_place ? " in place" : "",
             r->shift ? " shift" : "", (unsigned long long)p->seed);
    return text;
}

static void *must(void *memory) {
    cr_assert_not_null(memory, "the test itself is out of memory");
    return memory;
}

static void make_positions(rope_problem *p, ref_rng *rng) {
    const rope_case *r = &p->r;
    bool rows = r->positions >= POSITIONS_ROWS;
    const uint32_t shape[] = {r->positions == POSITIONS_ROWS_SHARED ? 1 : r->batch, r->rows};
    size_t count = (size_t)shape[0] * (rows ? r->rows : 1);
    p->positions = tensor_create(p->c, VKA_I32, rows ? 2 : 1, shape, (layout){.pad = r->layout.pad, .shift = 1});
    p->list = must(calloc(count + 1, sizeof *p->list));
    for (size_t i = 0; i < count; i++) {
        p->list[i] = r->first + (int32_t)ref_rng_below(rng, 50) - 10;
        memcpy(tensor_bytes(&p->positions, i), &p->list[i], 4);
    }
    EXPECT_OK(vka_buffer_write(p->positions.view.buffer, 0, p->positions.image, p->positions.size));
}

static bool is_quantised(const rope_problem *p) {
    return ref_quantised(p->r.dtype);
}

static uint8_t *image_of(const tensor *t) {
    uint8_t *image = must(malloc(t->size));
    memcpy(image, t->image, t->size);
    return image;
}

/* Values, and scales of i8, that are small and large. */
static void make_x(rope_problem *p, ref_rng *rng) {
    const rope_case *r = &p->r;
    bool i8 = r->dtype == VKA_I8;
    tensor_fill_normal(&p->x, rng, 0, i8 ? 40 : 1);
    for (size_t row = 0; row < p->scale.count; row++) {
        float scale = ldexpf(ref_rng_uniform(rng, 0.5f, 1), (int)ref_rng_below(rng, 12) - 9);
        p->scale.values[row] = i8 && r->nonfinite && row % 4 < 2 ? row % 4 ? NAN : 0 : scale;
        for (uint32_t i = 0; i < r->cols && vka_dtype_block(r->dtype) > 1; i++) {
            float *x = &p->x.values[row * r->cols + i];
            *x = r->nonfinite && i % 96 == 5 ? NAN : r->nonfinite && i / 32 == 1 ? 0 : *x * scale;
        }
    }
    tensor_round(&p->x);
    tensor_upload(&p->x);
    tensor_upload(&p->scale);
    p->x_image = image_of(&p->x);
    p->scale_image = image_of(&p->scale);
    p->x_values = must(malloc(p->x.count * sizeof *p->x_values));
    for (size_t i = 0; i < p->x.count; i++) {
        p->x_values[i] = p->x.values[i] * (i8 ? p->scale.values[i / r->cols] : 1);
    }
}

/* Angles of any kind: tables need not be those of theta. */
static void make_tables(rope_problem *p, ref_rng *rng) {
    const rope_case *r = &p->r;
    bool rows = r->tables >= TABLES_ROWS;
    uint32_t pairs = p->ref.dims / 2;
    const uint32_t by_row[] = {r->tables == TABLES_ROWS_SHARED ? 1 : r->batch, r->rows, pairs};
    const uint32_t by_position[] = {TABLE_POSITIONS, pairs};
    const uint32_t *shape = rows ? by_row : by_position;
    p->cos = tensor_create(p->c, r->table_type, rows ? 3 : 2, shape, (layout){.pad = r->layout.pad});
    p->sin = tensor_create(p->c, r->table_type, rows ? 3 : 2, shape, (layout){.shift = 1});
    for (size_t i = 0; i < p->cos.count; i++) {
        float angle = ref_rng_uniform(rng, -4, 4);
        p->cos.values[i] = ref_round(r->table_type, cosf(angle));
        p->sin.values[i] = ref_round(r->table_type, sinf(angle));
    }
    tensor_upload(&p->cos);
    tensor_upload(&p->sin);
}

rope_problem rope_make(context *c, rope_case r, uint64_t seed) {
    r.dtype = r.dtype ? r.dtype : VKA_F32;
    r.in_place = r.in_place || ref_quantised(r.dtype);
    r.out_type = r.out_type && !r.in_place ? r.out_type : r.dtype;
    r.table_type = r.table_type ? r.table_type : VKA_F32;
    r.batch = r.batch ? r.batch : 1;
    r.heads = r.heads ? r.heads : 1;
    r.rows = r.rows ? r.rows : 1;
    r.cols = r.cols ? r.cols : 64;
    rope_problem p = {.c = c, .r = r, .seed = seed};
    ref_rng rng = ref_rng_seed(seed);
    const uint32_t shape[] = {r.batch, r.heads, r.rows, r.cols};
    p.ref = (ref_rope){
        .cols = r.cols,
        .dims = r.dims ? r.dims : r.cols,
        .interleaved = r.interleaved,
        .inverse = r.inverse,
        .theta = r.theta != 0 ? (double)r.theta : 10000,
        .frequency_scale = r.frequency_scale != 0 ? (double)r.frequency_scale : 1,
    };
    p.x = tensor_create(c, r.dtype, 4, shape, r.layout);
    p.out = tensor_create(c, r.out_type, 4, shape, r.layout);
    p.scale = tensor_create(c, VKA_F32, 3, shape, (layout){.pad = r.layout.pad, .shift = 1});
    make_x(&p, &rng);
    make_positions(&p, &rng);
    make_tables(&p, &rng);
    return p;
}

void rope_destroy(rope_problem *p) {
    tensor *tensors[] = {&p->x, &p->out, &p->scale, &p->positions, &p->cos, &p->sin};
    for (int i = 0; i < 6; i++) {
        tensor_destroy(tensors[i]);
    }
    free(p->x_image);
    free(p->scale_image);
    free(p->x_values);
    free(p->list);
}

vka_rope_desc rope_desc(const rope_problem *p) {
    const rope_case *r = &p->r;
    vka_rope_desc desc = {
        .x = p->x.view,
        .out = r->in_place ? p->x.view : p->out.view,
        .options = {.dims = r->dims,
                    .interleaved = r->interleaved,
                    .theta = r->theta,
                    .frequency_scale = r->frequency_scale,
                    .position_offset = r->offset},
        .shift = r->shift,
        .inverse = r->inverse,
    };
    if (r->dtype == VKA_I8) {
        desc.scale = p->scale.view;
    }
    if (r->tables) {
        desc.options.cos = p->cos.view;
        desc.options.sin = p->sin.view;
    }
    if (r->positions == POSITIONS_HOST) {
        desc.positions.values = p->list;
    } else if (r->positions == POSITIONS_TENSOR) {
        desc.positions.tensor = p->positions.view;
    } else if (r->positions != POSITIONS_NONE) {
        desc.row_positions = p->positions.view;
    }
    return desc;
}

static int64_t position_of(const rope_problem *p, uint32_t b, uint32_t n) {
    const rope_case *r = &p->r;
    switch (r->positions) {
    case POSITIONS_HOST:
    case POSITIONS_TENSOR:
        return (int64_t)p->list[b] + (r->shift ? 0 : n) + r->offset;
    case POSITIONS_ROWS:
        return (int64_t)p->list[b * r->rows + n] + r->offset;
    case POSITIONS_ROWS_SHARED:
        return (int64_t)p->list[n] + r->offset;
    default:
        return (int64_t)(r->shift ? 0 : n) + r->offset;
    }
}

static ref_rope_row row_of(const rope_problem *p, size_t row) {
    const rope_case *r = &p->r;
    uint32_t n = (uint32_t)(row % r->rows), b = (uint32_t)(row / r->rows / r->heads);
    ref_rope_row result = {.x = p->x_values + row * r->cols, .position = position_of(p, b, n)};
    if (r->tables) {
        int64_t last = TABLE_POSITIONS - 1, at = result.position < 0 ? 0 : result.position;
        at = at > last ? last : at;
        at = r->tables == TABLES_ROWS ? (int64_t)b * r->rows + n : r->tables == TABLES_ROWS_SHARED ? (int64_t)n : at;
        result.cos = p->cos.values + (size_t)at * (p->ref.dims / 2);
        result.sin = p->sin.values + (size_t)at * (p->ref.dims / 2);
    }
    return result;
}

/* Channels beyond R pass through: those of one type keep their bits. */
static void compare(rope_problem *p, const tensor *out) {
    const rope_case *r = &p->r;
    ref_error e = {0};
    char text[512];
    double *ref = must(malloc(r->cols * sizeof *ref));
    float *naive = must(malloc(r->cols * sizeof *naive));
    for (size_t row = 0; row < p->x.count / r->cols; row++) {
        ref_rope_row in = row_of(p, row);
        ref_rope_rotate(&p->ref, &in, ref);
        ref_rope_naive_rotate(&p->ref, &in, r->out_type, naive);
        for (uint32_t i = 0; i < r->cols; i++) {
            float got = out->values[row * r->cols + i];
            if (i < p->ref.dims) {
                ref_error_add(&e, (double)got, (double)naive[i], ref[i]);
            } else {
                cr_assert(got == ref_round(r->out_type, in.x[i]), "channel %u of row %zu: %g; %s", i, row, (double)got,
                          describe(p, text, sizeof text));
            }
        }
    }
    cr_assert(ref_error_ok(&e), "off by %.3g%s where the naive computation is off by %.3g; %s", e.out,
              e.broken ? " or not a number" : "", e.naive, describe(p, text, sizeof text));
    free(ref);
    free(naive);
}

static bool row_unchanged(const rope_problem *p, size_t row) {
    uint32_t cols = p->r.cols, block = vka_dtype_block(p->r.dtype);
    bool same = true;
    for (size_t i = row * cols; i < (row + 1) * cols; i += block) {
        const uint8_t *at = tensor_bytes(&p->x, i);
        same = same && !memcmp(at, p->x_image + (at - p->x.image), vka_dtype_size(p->r.dtype));
    }
    const uint8_t *at = tensor_bytes(&p->scale, row);
    return same && (p->r.dtype != VKA_I8 || !memcmp(at, p->scale_image + (at - p->scale.image), 4));
}

/* What isn't turned stays; what is holds the nearest steps, but for what f32 may be off by. */
static void compare_quantised(const rope_problem *p) {
    const rope_case *r = &p->r;
    double *ref = must(malloc(r->cols * sizeof *ref));
    float *naive = must(malloc(r->cols * sizeof *naive));
    char text[512];
    for (size_t row = 0; row < p->x.count / r->cols; row++) {
        ref_rope_row in = row_of(p, row);
        double error = 0;
        ref_rope_rotate(&p->ref, &in, ref);
        ref_rope_naive_rotate(&p->ref, &in, VKA_F32, naive);
        for (uint32_t i = 0; i < r->cols; i++) {
            error = fmax(error, fabs((double)naive[i] - ref[i]));
        }
        bool ok = !r->tables && in.position == 0
                      ? row_unchanged(p, row)
                      : quantised_row_ok(&p->x, &p->scale, row, r->cols, ref, 2 * error + 1e-5);
        cr_assert(ok, "row %zu at %lld is wrong; %s", row, (long long)in.position, describe(p, text, sizeof text));
    }
    free(ref);
    free(naive);
}

void rope_run(rope_problem *p) {
    vka_rope_desc desc = rope_desc(p);
    tensor *tensors[] = {&p->x, &p->out, &p->positions, &p->cos, &p->sin, &p->scale};
    static const char *const names[] = {"x", "out", "positions", "cos", "sin", "scale"};
    tensor *out = p->r.in_place ? &p->x : &p->out;
    char text[512];
    memcpy(p->x.image, p->x_image, p->x.size);
    memcpy(p->scale.image, p->scale_image, p->scale.size);
    EXPECT_OK(vka_buffer_write(p->x.view.buffer, 0, p->x.image, p->x.size));
    EXPECT_OK(vka_buffer_write(p->scale.view.buffer, 0, p->scale.image, p->scale.size));
    tensor_poison(&p->out);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_rope(p->c->recorder, &desc));
    context_finish(p->c);
    for (int i = 0; i < 6; i++) {
        bool written = tensors[i] == out || (tensors[i] == &p->scale && p->r.dtype == VKA_I8);
        tensor_collect(tensors[i], written, names[i], describe(p, text, sizeof text));
    }
    if (is_quantised(p)) {
        compare_quantised(p);
    } else {
        compare(p, out);
    }
}

void rope_check(context *c, rope_case r) {
    rope_problem p = rope_make(c, r, test_seed());
    rope_run(&p);
    rope_destroy(&p);
}
