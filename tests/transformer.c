/* SPDX-License-Identifier: MIT */
#include "transformer.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static void *must(void *memory) {
    cr_assert_not_null(memory);
    return memory;
}

/* [N, H * D] as attention sees it: [1, H, N, D]. */
static vka_tensor heads_of(const transformer *t, const tensor *x) {
    vka_tensor view = vka_tensor_4d(x->view.buffer, x->view.dtype, 1, t->n, t->heads, t->dim);
    view.offset = x->view.offset;
    return vka_tensor_transpose(view, 1, 2);
}

static void norm_reference(transformer *t, const float *x, const float *residual) {
    uint32_t width = t->heads * t->dim;
    ref_norm norm = {.rows = t->n,
                     .cols = width,
                     .x = x,
                     .residual = residual,
                     .round_sum = residual != NULL,
                     .epsilon = (double)1e-5f};
    for (uint32_t row = 0; row < t->n; row++) {
        size_t first = (size_t)row * width;
        double mean, inv_std;
        float naive_mean, naive_inv_std;
        ref_norm_row(&norm, t->x.view.dtype, row, t->ref + first, NULL, &mean, &inv_std);
        ref_norm_naive_row(&norm, t->x.view.dtype, row, t->naive + first, NULL, &naive_mean, &naive_inv_std);
    }
}

/* x, and what is computed from it, are [N, H * D]; the reference wants [H, N, D]. */
static void attention_reference(transformer *t, const float *x) {
    size_t count = t->y.count, width = (size_t)t->heads * t->dim;
    vka_dtype type = t->x.view.dtype;
    float *headed = must(malloc(count * sizeof *headed)), *naive_scratch = must(malloc(t->n * sizeof(float)));
    double *scratch = must(malloc(t->n * sizeof *scratch));
    for (size_t i = 0; i < count; i++) {
        size_t d = i % t->dim, row = i / t->dim % t->n, h = i / t->dim / t->n;
        headed[i] = x[row * width + h * t->dim + d];
    }
    ref_attention a = {.batch = 1,
                       .q_heads = t->heads,
                       .kv_heads = t->heads,
                       .q_len = t->n,
                       .kv_len = t->n,
                       .head_dim = t->dim,
                       .value_dim = t->dim,
                       .q = headed,
                       .k = headed,
                       .v = headed,
                       .scale = 1 / sqrt(t->dim),
                       .causal = true,
                       .q_type = type,
                       .k_type = type,
                       .v_type = type,
                       .out_type = type};
    for (uint32_t h = 0; h < t->heads; h++) {
        for (uint32_t i = 0; i < t->n; i++) {
            size_t at = i * width + (size_t)h * t->dim;
            ref_softmax softmax;
            ref_attention_row(&a, 0, h, i, t->ref + at, &softmax, scratch);
            ref_attention_naive_row(&a, 0, h, i, t->naive + at, &softmax, naive_scratch);
        }
    }
    free(headed);
    free(scratch);
    free(naive_scratch);
}

static bool step_ok(const transformer *t, const tensor *out) {
    ref_error error = {0};
    for (size_t i = 0; i < out->count; i++) {
        ref_error_add(&error, out->values[i], t->naive[i], t->ref[i]);
    }
    return ref_error_ok(&error);
}

transformer transformer_make(context *c, vka_dtype dtype, uint32_t n, uint32_t heads, uint32_t dim, uint64_t seed) {
    transformer t = {.c = c, .n = n, .heads = heads, .dim = dim};
    uint32_t shape[2] = {n, heads * dim};
    ref_rng rng = ref_rng_seed(seed);
    tensor *all[] = {&t.x, &t.normed, &t.attended, &t.sum, &t.y};
    for (int i = 0; i < 5; i++) {
        *all[i] = tensor_create(c, dtype, 2, shape, (layout){0});
    }
    tensor_fill_normal(&t.x, &rng, 0.5f, 2);
    tensor_upload(&t.x);
    t.ref = must(malloc(t.y.count * sizeof *t.ref));
    t.naive = must(malloc(t.y.count * sizeof *t.naive));
    transformer_poison(&t);
    return t;
}

void transformer_destroy(transformer *t) {
    tensor *all[] = {&t->x, &t->normed, &t->attended, &t->sum, &t->y};
    for (int i = 0; i < 5; i++) {
        tensor_destroy(all[i]);
    }
    free(t->ref);
    free(t->naive);
}

vka_layer_norm_desc transformer_first(const transformer *t) {
    return (vka_layer_norm_desc){.x = t->x.view, .out = t->normed.view};
}

vka_attention_desc transformer_attention(const transformer *t, uint32_t splits) {
    vka_tensor in = heads_of(t, &t->normed);
    return (vka_attention_desc){
        .q = in, .k = in, .v = in, .out = heads_of(t, &t->attended), .causal = true, .splits = splits};
}

vka_layer_norm_desc transformer_last(const transformer *t) {
    return (vka_layer_norm_desc){.x = t->attended.view, .residual = t->x.view, .sum = t->sum.view, .out = t->y.view};
}

vka_status transformer_prepare(const transformer *t, uint32_t splits) {
    vka_layer_norm_desc first = transformer_first(t), last = transformer_last(t);
    vka_attention_desc attention = transformer_attention(t, splits);
    vka_status status = vka_layer_norm_prepare(t->c->device, &first);
    status = status ? status : vka_attention_prepare(t->c->device, &attention);
    return status ? status : vka_layer_norm_prepare(t->c->device, &last);
}

vka_status transformer_record(const transformer *t, vka_recorder *recorder, uint32_t splits) {
    vka_layer_norm_desc first = transformer_first(t), last = transformer_last(t);
    vka_attention_desc attention = transformer_attention(t, splits);
    vka_status status = vka_layer_norm(recorder, &first);
    status = status ? status : vka_attention(recorder, &attention);
    return status ? status : vka_layer_norm(recorder, &last);
}

void transformer_poison(transformer *t) {
    tensor_poison(&t->normed);
    tensor_poison(&t->attended);
    tensor_poison(&t->sum);
    tensor_poison(&t->y);
}

/* Every step is compared with the reference on what the step before really gave, so that the rule applies to each. */
bool transformer_ok(transformer *t) {
    tensor *all[] = {&t->normed, &t->attended, &t->sum, &t->y};
    bool ok = true;
    for (int i = 0; i < 4; i++) {
        ok = tensor_download(all[i]) && ok;
    }
    norm_reference(t, t->x.values, NULL);
    ok = step_ok(t, &t->normed) && ok;
    attention_reference(t, t->normed.values);
    ok = step_ok(t, &t->attended) && ok;
    norm_reference(t, t->attended.values, t->x.values);
    return step_ok(t, &t->y) && ok;
}
