/* SPDX-License-Identifier: MIT */
#include "cache_case.h"
#include "quantised_rows.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_POSITIONS 29

static const char *describe(const cache_problem *p, char *text, size_t size) {
    const cache_case *a = &p->a;
    snprintf(text, size,
             "%s: %s to %s/%s [%u, %u, %u, %u/%u] order %s+%u capacity %u page %u lists %d lengths %d %d %d %d%s "
             "max_len %u%s R %u tables %d cache order %s+%u shift %u, VKATTN_SEED=%llu",
             p->c->config->name, dtype_name(a->dtype), dtype_name(a->k_type), dtype_name(a->v_type), a->batch, a->heads,
             a->tokens, a->head_dim, a->value_dim, a->layout.order ? a->layout.order : "dense", a->layout.pad,
             a->capacity, a->page, a->lists, a->lengths[0], a->lengths[1], a->lengths[2], a->lengths[3],
             a->packed ? " packed" : "", a->max_len, a->rotate ? " rotated" : "", a->dims, a->tables,
             a->cache_layout.order ? a->cache_layout.order : "dense", a->cache_layout.pad, a->cache_layout.shift,
             (unsigned long long)p->seed);
    return text;
}

static void *must(void *memory) {
    cr_assert_not_null(memory, "the test itself is out of memory");
    return memory;
}

/* ---- inputs ---------------------------------------------------------------------------------------------------- */

static tensor make_list(cache_problem *p, const int32_t *values, uint32_t rows, uint32_t cols) {
    const uint32_t both[] = {rows, cols};
    layout l = {.pad = p->a.layout.pad, .shift = 1};
    tensor t = tensor_create(p->c, VKA_I32, rows ? 2 : 1, rows ? both : &cols, l);
    for (size_t i = 0; i < t.count; i++) {
        memcpy(tensor_bytes(&t, i), &values[i], 4);
    }
    EXPECT_OK(vka_buffer_write(t.view.buffer, 0, t.image, t.size));
    return t;
}

/* Every page has one owner at most; three have none. */
static void make_pages(cache_problem *p, ref_rng *rng) {
    static const int32_t foreign[] = {-1, INT32_MIN, INT32_MAX, 0};
    uint32_t used = p->a.batch * p->columns, pages = used + 3;
    int32_t *order = must(malloc(pages * sizeof *order));
    p->pages = must(calloc(used + 1, sizeof *p->pages));
    for (uint32_t i = 0; i < pages; i++) {
        uint32_t j = ref_rng_below(rng, i + 1);
        order[i] = order[j];
        order[j] = (int32_t)i;
    }
    for (uint32_t i = 0; i < used; i++) {
        bool bad = p->a.foreign_pages && i % 3 == 1;
        int32_t nonfiniter = foreign[i / 3 % 4];
        p->pages[i] = !bad ? order[i] : nonfiniter ? nonfiniter : (int32_t)pages;
    }
    free(order);
    p->page_table = make_list(p, p->pages, p->a.batch, p->columns);
}

/* Rows with nothing but zeros, or tiny values, or one that is not finite, and the largest there is. */
static void make_nonfinite(tensor *x, uint32_t cols) {
    const float nonfinite[] = {NAN, INFINITY, -INFINITY, 0, 1e-38f, 0x1p-101f, 1e37f, 1e-7f};
    for (size_t row = 0; row < x->count / cols; row++) {
        float s = nonfinite[row % 8];
        for (uint32_t i = 0; i < cols; i++) {
            float *at = &x->values[row * cols + i];
            *at = isfinite(s) ? *at * s : i == (row * 5) % cols ? s : *at;
        }
    }
    tensor_round(x);
}

static cache_side make_side(cache_problem *p, ref_rng *rng, bool values) {
    const cache_case *a = &p->a;
    uint32_t cols = values ? a->value_dim : a->head_dim, outer = a->page ? a->batch * p->columns + 3 : a->batch;
    const uint32_t shape[] = {a->packed ? 1 : a->batch, a->heads, a->tokens, cols};
    const uint32_t cache[] = {outer, a->heads, a->page ? a->page : a->capacity, cols};
    cache_side s = {
        .x = tensor_create(p->c, a->dtype, 4, shape, a->layout),
        .cache = tensor_create(p->c, values ? a->v_type : a->k_type, 4, cache, a->cache_layout),
        .scale = tensor_create(p->c, VKA_F32, 3, cache, (layout){.pad = a->cache_layout.pad}),
    };
    tensor_fill_normal(&s.x, rng, 0, a->scale != 0 ? a->scale : 1);
    if (a->nonfinite) {
        make_nonfinite(&s.x, cols);
    }
    tensor_upload(&s.x);
    return s;
}

static void make_tables(cache_problem *p, ref_rng *rng) {
    const cache_case *a = &p->a;
    uint32_t pairs = (a->dims ? a->dims : a->head_dim) / 2;
    const uint32_t by_row[] = {a->tables == TABLES_ROWS ? (a->packed ? 1 : a->batch) : 1, a->tokens, pairs};
    const uint32_t by_position[] = {TABLE_POSITIONS, pairs};
    bool rows = a->tables >= TABLES_ROWS;
    p->cos = tensor_create(p->c, VKA_F32, rows ? 3 : 2, rows ? by_row : by_position, (layout){0});
    p->sin = tensor_create(p->c, VKA_F32, rows ? 3 : 2, rows ? by_row : by_position, (layout){0});
    for (size_t i = 0; i < p->cos.count; i++) {
        float angle = ref_rng_uniform(rng, -4, 4);
        p->cos.values[i] = cosf(angle);
        p->sin.values[i] = sinf(angle);
    }
    tensor_upload(&p->cos);
    tensor_upload(&p->sin);
}

cache_problem cache_make(context *c, cache_case a, uint64_t seed) {
    uint32_t *defaults[] = {&a.batch, &a.heads, &a.tokens};
    for (int i = 0; i < 3; i++) {
        *defaults[i] = *defaults[i] ? *defaults[i] : 1;
    }
    a.dtype = a.dtype ? a.dtype : VKA_F32;
    a.k_type = a.k_type ? a.k_type : VKA_F32;
    a.v_type = a.v_type ? a.v_type : a.k_type;
    a.head_dim = a.head_dim ? a.head_dim : 8;
    a.value_dim = a.value_dim ? a.value_dim : a.head_dim;
    a.capacity = a.capacity ? a.capacity : 16;
    cache_problem p = {.c = c, .seed = seed, .columns = a.page ? (a.capacity + a.page - 1) / a.page : 1};
    a.capacity = a.page ? p.columns * a.page : a.capacity;
    p.a = a;
    p.host = must(malloc(sizeof *p.host));
    *p.host = a;
    ref_rng rng = ref_rng_seed(seed);
    make_pages(&p, &rng);
    p.side[0] = make_side(&p, &rng, false);
    p.side[1] = make_side(&p, &rng, true);
    make_tables(&p, &rng);
    p.lengths = make_list(&p, p.a.lengths, 0, a.batch);
    p.offsets = make_list(&p, p.a.offsets, 0, a.batch + 1);
    p.new_lengths = make_list(&p, p.a.lengths, 0, a.batch);
    return p;
}

void cache_destroy(cache_problem *p) {
    tensor *tensors[] = {&p->page_table, &p->lengths, &p->offsets, &p->new_lengths, &p->cos, &p->sin};
    for (int i = 0; i < 6; i++) {
        tensor_destroy(tensors[i]);
    }
    for (int i = 0; i < 2; i++) {
        tensor_destroy(&p->side[i].x);
        tensor_destroy(&p->side[i].cache);
        tensor_destroy(&p->side[i].scale);
    }
    free(p->pages);
    free(p->host);
}

static bool is_used(const cache_problem *p, int side) {
    return side ? !p->a.no_values : !p->a.no_keys;
}

static void describe_lists(const cache_problem *p, vka_cache_append_desc *desc) {
    const cache_case *a = &p->a;
    if (a->lists == LISTS_TENSOR) {
        desc->lengths.tensor = p->lengths.view;
    } else if (a->lists == LISTS_HOST) {
        desc->lengths.values = p->host->lengths;
    }
    if (a->packed) {
        desc->sequences = a->batch;
        desc->max_len = a->max_len;
        if (a->lists == LISTS_TENSOR) {
            desc->offsets.tensor = p->offsets.view;
        } else {
            desc->offsets.values = p->host->offsets;
        }
    }
    if (a->new_lengths) {
        desc->new_lengths = p->new_lengths.view;
    }
}

vka_cache_append_desc cache_desc(const cache_problem *p) {
    const cache_case *a = &p->a;
    vka_cache_append_desc desc = {0};
    vka_tensor *fields[2][3] = {{&desc.k, &desc.k_cache, &desc.k_scale}, {&desc.v, &desc.v_cache, &desc.v_scale}};
    for (int i = 0; i < 2; i++) {
        if (is_used(p, i)) {
            *fields[i][0] = p->side[i].x.view;
            *fields[i][1] = p->side[i].cache.view;
            *fields[i][2] = p->side[i].cache.view.dtype == VKA_I8 ? p->side[i].scale.view : (vka_tensor){0};
        }
    }
    if (a->page) {
        desc.page_table = p->page_table.view;
    }
    describe_lists(p, &desc);
    desc.rotate = a->rotate;
    desc.rope = (vka_rope_options){.dims = a->dims, .interleaved = a->interleaved, .position_offset = a->offset};
    if (a->tables) {
        desc.rope.cos = p->cos.view;
        desc.rope.sin = p->sin.view;
    }
    return desc;
}

/* ---- what is where --------------------------------------------------------------------------------------------- */

/* A new token: its sequence, and its row in k and v. */
typedef struct token {
    uint32_t b, row;
    int64_t position;
    bool none;
} token;

static uint32_t old_length(const cache_case *a, uint32_t b) {
    return a->lists != LISTS_NONE && a->lengths[b] > 0 ? (uint32_t)a->lengths[b] : 0;
}

/* New tokens of a sequence, of which *first is the first row. */
static uint32_t count_tokens(const cache_case *a, uint32_t b, uint32_t *first) {
    *first = 0;
    if (!a->packed) {
        return a->tokens;
    }
    int64_t rows = a->tokens, begin = a->offsets[b], end = a->offsets[b + 1];
    begin = begin < 0 ? 0 : begin > rows ? rows : begin;
    end = end < begin ? begin : end > rows ? rows : end;
    *first = (uint32_t)begin;
    return (uint32_t)(a->max_len && end - begin > a->max_len ? a->max_len : end - begin);
}

/* For each row of the cache (without heads), the token that it must hold. */
static token *map_tokens(const cache_problem *p) {
    const cache_case *a = &p->a;
    uint32_t size = a->page ? a->page : a->capacity;
    uint32_t outer = a->page ? a->batch * p->columns + 3 : a->batch;
    token *map = must(malloc((size_t)outer * size * sizeof *map));
    for (size_t i = 0; i < (size_t)outer * size; i++) {
        map[i] = (token){.none = true};
    }
    for (uint32_t b = 0; b < a->batch; b++) {
        uint32_t first, count = count_tokens(a, b, &first), old = old_length(a, b);
        for (uint32_t n = 0; n < count && old + n < a->capacity; n++) {
            uint32_t place = old + n;
            int64_t page = a->page ? p->pages[b * p->columns + place / a->page] : (int64_t)b;
            if (page >= 0 && page < (int64_t)outer) {
                map[(size_t)page * size + place % size] =
                    (token){.b = b, .row = first + n, .position = (int64_t)place + a->offset};
            }
        }
    }
    return map;
}

/* ---- comparison ------------------------------------------------------------------------------------------------ */

/* A row of k or v as it should be stored, and how much the device's values may be off. */
typedef struct expected {
    double *ref;
    float *naive;
    double error;
} expected;

static void rotate_row(const cache_problem *p, token t, const float *x, expected *e) {
    const cache_case *a = &p->a;
    ref_rope rope = {.cols = a->head_dim,
                     .dims = a->dims ? a->dims : a->head_dim,
                     .interleaved = a->interleaved,
                     .theta = 10000,
                     .frequency_scale = 1};
    ref_rope_row row = {.x = x, .position = t.position};
    if (a->tables) {
        int64_t at = t.position < 0 ? 0 : t.position >= TABLE_POSITIONS ? TABLE_POSITIONS - 1 : t.position;
        at = a->tables == TABLES_ROWS ? (int64_t)(a->packed ? 0 : t.b) * a->tokens + t.row : at;
        at = a->tables == TABLES_ROWS_SHARED ? t.row : at;
        row.cos = p->cos.values + (size_t)at * (rope.dims / 2);
        row.sin = p->sin.values + (size_t)at * (rope.dims / 2);
    }
    ref_rope_rotate(&rope, &row, e->ref);
    ref_rope_naive_rotate(&rope, &row, VKA_F32, e->naive);
    double naive = 0;
    for (uint32_t i = 0; i < a->head_dim; i++) {
        naive = fmax(naive, fabs((double)e->naive[i] - e->ref[i]));
    }
    e->error = 2 * naive + 1e-5;
}

/* Row (token, head) of a side. */
static void expect(const cache_problem *p, int side, token t, uint32_t h, expected *e) {
    const tensor *x = &p->side[side].x;
    const cache_case *a = &p->a;
    uint32_t cols = x->view.shape[3];
    size_t first = (((size_t)(a->packed ? 0 : t.b) * a->heads + h) * a->tokens + t.row) * cols;
    for (uint32_t i = 0; i < cols; i++) {
        e->ref[i] = (double)(e->naive[i] = x->values[first + i]);
    }
    e->error = 0;
    if (side == 0 && a->rotate) {
        rotate_row(p, t, x->values + first, e);
    }
}

/* Float caches hold the nearest value; rotated ones what the accuracy rule allows. */
static bool floats_ok(const tensor *cache, size_t first, uint32_t cols, const expected *e) {
    ref_error error = {0};
    for (uint32_t i = 0; i < cols; i++) {
        float got = cache->values[first + i], want = ref_round(cache->view.dtype, (float)e->ref[i]);
        if (e->error == 0 && got != want && !(isnan(got) && isnan(want))) {
            return false;
        }
        ref_error_add(&error, (double)got, (double)ref_round(cache->view.dtype, e->naive[i]), e->ref[i]);
    }
    return e->error == 0 || ref_error_ok(&error);
}

static bool row_untouched(const cache_side *s, size_t row, uint32_t cols) {
    bool untouched = tensor_untouched(&s->scale, row);
    for (uint32_t i = 0; i < cols; i++) {
        untouched = untouched && tensor_untouched(&s->cache, row * cols + i);
    }
    return untouched;
}

static bool row_ok(const cache_side *s, size_t row, uint32_t cols, const expected *e) {
    return ref_quantised(s->cache.view.dtype) ? quantised_row_ok(&s->cache, &s->scale, row, cols, e->ref, e->error)
                                              : floats_ok(&s->cache, row * cols, cols, e);
}

static void compare_side(const cache_problem *p, int side, const token *map) {
    const cache_side *s = &p->side[side];
    const uint32_t *shape = s->cache.view.shape;
    uint32_t cols = shape[3];
    expected e = {must(malloc(cols * sizeof(double))), must(malloc(cols * sizeof(float))), 0};
    char text[512];
    for (size_t row = 0; row < (size_t)shape[0] * shape[1] * shape[2]; row++) {
        size_t at = row / shape[2] / shape[1] * shape[2] + row % shape[2];
        uint32_t h = (uint32_t)(row / shape[2] % shape[1]);
        bool ok;
        if (!is_used(p, side) || map[at].none) {
            ok = row_untouched(s, row, cols);
        } else {
            expect(p, side, map[at], h, &e);
            ok = row_ok(s, row, cols, &e);
        }
        cr_assert(ok, "%s: row %zu of head %u, %s token, is wrong; %s", side ? "v_cache" : "k_cache", at, h,
                  map[at].none ? "without a" : "a", describe(p, text, sizeof text));
    }
    free(e.ref);
    free(e.naive);
}

static void compare_lengths(const cache_problem *p) {
    const cache_case *a = &p->a;
    char text[512];
    for (uint32_t b = 0; b < a->batch; b++) {
        int32_t got;
        uint32_t first, want = old_length(a, b) + count_tokens(a, b, &first);
        memcpy(&got, tensor_bytes(&p->new_lengths, b), 4);
        if (a->new_lengths) {
            want = want < a->capacity ? want : a->capacity;
            cr_assert_eq(got, (int32_t)want, "new length %d of sequence %u is not %u; %s", got, b, want,
                         describe(p, text, sizeof text));
        } else {
            cr_assert(tensor_untouched(&p->new_lengths, b), "%s", describe(p, text, sizeof text));
        }
    }
}

/* Of each tensor: is it written? */
static void download(cache_problem *p) {
    tensor *tensors[] = {&p->side[0].cache, &p->side[0].scale, &p->side[1].cache, &p->side[1].scale,
                         &p->new_lengths,   &p->side[0].x,     &p->side[1].x,     &p->page_table,
                         &p->lengths,       &p->offsets,       &p->cos,           &p->sin};
    char text[512];
    for (int i = 0; i < 12; i++) {
        uint8_t *before = must(malloc(tensors[i]->size));
        memcpy(before, tensors[i]->image, tensors[i]->size);
        cr_assert(tensor_download(tensors[i]), "tensor %d: a guard has changed; %s", i, describe(p, text, sizeof text));
        cr_assert(i < 5 || !memcmp(before, tensors[i]->image, tensors[i]->size), "tensor %d, an input, has changed; %s",
                  i, describe(p, text, sizeof text));
        free(before);
    }
}

void cache_compare(cache_problem *p) {
    download(p);
    token *map = map_tokens(p);
    compare_side(p, 0, map);
    compare_side(p, 1, map);
    compare_lengths(p);
    free(map);
}

void cache_run(cache_problem *p) {
    vka_cache_append_desc desc = cache_desc(p);
    for (int i = 0; i < 2; i++) {
        tensor_poison(&p->side[i].cache);
        tensor_poison(&p->side[i].scale);
    }
    tensor_poison(&p->new_lengths);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_cache_append(p->c->recorder, &desc));
    context_finish(p->c);
    cache_compare(p);
}

void cache_check(context *c, cache_case a) {
    cache_problem p = cache_make(c, a, test_seed());
    cache_run(&p);
    cache_destroy(&p);
}
