/* SPDX-License-Identifier: MIT */
#include "attention_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKSPACE_OFFSET 256

static attention_case with_defaults(attention_case a) {
    a.dtype = a.dtype ? a.dtype : VKA_F32;
    a.batch = a.batch ? a.batch : 1;
    a.q_heads = a.q_heads ? a.q_heads : 1;
    a.kv_heads = a.kv_heads ? a.kv_heads : a.q_heads;
    a.q_len = a.q_len ? a.q_len : 1;
    a.kv_len = a.kv_len || a.no_keys ? a.kv_len : 1;
    a.head_dim = a.head_dim ? a.head_dim : 64;
    a.value_dim = a.value_dim ? a.value_dim : a.head_dim;
    return a;
}

static const char *describe(const attention_problem *p, char *text, size_t size) {
    const attention_case *a = &p->a;
    snprintf(text, size,
             "%s: %s B %u H %u/%u N %ux%u D %u/%u order %s+%u%s diagonal %lld%s left %d right %d, VKATTN_SEED=%llu",
             p->c->config->name, dtype_name(a->dtype), a->batch, a->q_heads, a->kv_heads, a->q_len, a->kv_len,
             a->head_dim, a->value_dim, a->layout.order ? a->layout.order : "dense", a->layout.pad,
             a->causal ? " causal" : "", (long long)p->ref.diagonal, a->window.enabled ? " window" : "", a->window.left,
             a->window.right, (unsigned long long)p->seed);
    return text;
}

static int64_t resolve_diagonal(const attention_case *a) {
    switch (a->diagonal) {
    case VKA_DIAGONAL_TOP_LEFT:
        return 0;
    case VKA_DIAGONAL_EXPLICIT:
        return a->offset;
    default:
        return (int64_t)a->kv_len - (int64_t)a->q_len;
    }
}

/* NaN and infinities where no query looks. */
static void poison_hidden(attention_problem *p) {
    for (size_t row = 0; row < p->k.count / p->a.head_dim; row++) {
        int64_t j = (int64_t)(row % p->a.kv_len);
        bool seen = false;
        for (int64_t i = 0; i < p->a.q_len && !seen; i++) {
            seen = ref_attention_visible(&p->ref, i, j);
        }
        float poison = row % 3 == 0 ? NAN : row % 3 == 1 ? INFINITY : -INFINITY;
        for (uint32_t d = 0; d < p->a.head_dim && !seen; d++) {
            p->k.values[row * p->a.head_dim + d] = poison;
        }
        for (uint32_t d = 0; d < p->a.value_dim && !seen; d++) {
            p->v.values[row * p->a.value_dim + d] = poison;
        }
    }
}

static ref_attention make_reference(const attention_problem *p) {
    const attention_case *a = &p->a;
    return (ref_attention){
        .batch = a->batch,
        .q_heads = a->q_heads,
        .kv_heads = a->kv_heads,
        .q_len = a->q_len,
        .kv_len = a->kv_len,
        .head_dim = a->head_dim,
        .value_dim = a->value_dim,
        .q = p->q.values,
        .k = p->k.values,
        .v = p->v.values,
        .scale = a->scale != 0 ? (double)a->scale : 1 / sqrt(a->head_dim),
        .causal = a->causal,
        .diagonal = resolve_diagonal(a),
        .window = a->window.enabled,
        .left = a->window.left,
        .right = a->window.right,
    };
}

static void compute_reference(attention_problem *p) {
    const attention_case *a = &p->a;
    double *scratch = malloc((a->kv_len + 1) * sizeof *scratch);
    float *naive_scratch = malloc((a->kv_len + 1) * sizeof *naive_scratch);
    cr_assert(scratch && naive_scratch);
    for (size_t row = 0; row < p->lse.count; row++) {
        uint32_t i = (uint32_t)(row % a->q_len), h = (uint32_t)(row / a->q_len % a->q_heads);
        uint32_t b = (uint32_t)(row / a->q_len / a->q_heads);
        ref_attention_row(&p->ref, b, h, i, p->ref_out + row * a->value_dim, &p->ref_lse[row], scratch);
        ref_attention_naive_row(&p->ref, a->dtype, b, h, i, p->naive_out + row * a->value_dim, &p->naive_lse[row],
                                naive_scratch);
    }
    free(scratch);
    free(naive_scratch);
}

void attention_update(attention_problem *p) {
    tensor_upload(&p->q);
    tensor_upload(&p->k);
    tensor_upload(&p->v);
    compute_reference(p);
}

attention_problem attention_make(context *c, attention_case a, uint64_t seed) {
    a = with_defaults(a);
    attention_problem p = {.c = c, .a = a, .seed = seed};
    ref_rng rng = ref_rng_seed(seed);
    p.q = tensor_create(c, a.dtype, 4, (uint32_t[]){a.batch, a.q_heads, a.q_len, a.head_dim}, a.layout);
    p.k = tensor_create(c, a.dtype, 4, (uint32_t[]){a.batch, a.kv_heads, a.kv_len, a.head_dim}, a.layout);
    p.v = tensor_create(c, a.dtype, 4, (uint32_t[]){a.batch, a.kv_heads, a.kv_len, a.value_dim}, a.layout);
    p.out = tensor_create(c, a.dtype, 4, (uint32_t[]){a.batch, a.q_heads, a.q_len, a.value_dim}, a.layout);
    layout lse_layout = {.pad = a.layout.pad, .shift = a.layout.shift};
    p.lse = tensor_create(c, VKA_F32, 3, (uint32_t[]){a.batch, a.q_heads, a.q_len}, lse_layout);
    tensor_fill_normal(&p.q, &rng, 0, 1);
    tensor_fill_normal(&p.k, &rng, 0, 1);
    tensor_fill_normal(&p.v, &rng, 0, 1);
    p.ref = make_reference(&p);
    if (a.poison_hidden) {
        poison_hidden(&p);
    }
    p.ref_out = malloc((p.out.count + 1) * sizeof *p.ref_out);
    p.ref_lse = malloc((p.lse.count + 1) * sizeof *p.ref_lse);
    p.naive_out = malloc((p.out.count + 1) * sizeof *p.naive_out);
    p.naive_lse = malloc((p.lse.count + 1) * sizeof *p.naive_lse);
    cr_assert(p.ref_out && p.ref_lse && p.naive_out && p.naive_lse);
    attention_update(&p);
    return p;
}

void attention_destroy(attention_problem *p) {
    tensor_destroy(&p->q);
    tensor_destroy(&p->k);
    tensor_destroy(&p->v);
    tensor_destroy(&p->out);
    tensor_destroy(&p->lse);
    free(p->ref_out);
    free(p->ref_lse);
    free(p->naive_out);
    free(p->naive_lse);
}

vka_attention_desc attention_desc(const attention_problem *p) {
    return (vka_attention_desc){
        .q = p->q.view,
        .k = p->k.view,
        .v = p->v.view,
        .out = p->out.view,
        .lse = p->lse.view,
        .scale = p->a.scale,
        .causal = p->a.causal,
        .diagonal = p->a.diagonal,
        .diagonal_offset = p->a.offset,
        .window = p->a.window,
    };
}

static void compare(attention_problem *p, tensor *t, const double *ref, const float *naive, const char *name,
                    const char *how) {
    ref_error error = {0};
    char text[512];
    for (size_t i = 0; i < t->count; i++) {
        ref_error before = error;
        ref_error_add(&error, t->values[i], naive[i], ref[i]);
        cr_assert(!error.broken || before.broken, "%s %s[%zu] is %g, not %g; %s", how, name, i, (double)t->values[i],
                  ref[i], describe(p, text, sizeof text));
    }
    cr_assert(ref_error_ok(&error), "%s %s is off by %.3g where the naive computation is off by %.3g; %s", how, name,
              error.out, error.naive, describe(p, text, sizeof text));
}

void attention_compare(attention_problem *p, const char *how) {
    char text[512];
    bool out_intact = tensor_download(&p->out), lse_intact = tensor_download(&p->lse);
    cr_assert(out_intact, "%s writes outside of out; %s", how, describe(p, text, sizeof text));
    cr_assert(lse_intact, "%s writes outside of lse; %s", how, describe(p, text, sizeof text));
    compare(p, &p->out, p->ref_out, p->naive_out, "out", how);
    compare(p, &p->lse, p->ref_lse, p->naive_lse, "lse", how);
}

void attention_run(attention_problem *p, vka_attention_path path, uint32_t splits) {
    vka_attention_desc desc = attention_desc(p);
    tensor workspace = {0};
    uint64_t bytes = 0;
    char how[64];
    snprintf(how, sizeof how, "path %d splits %u:", path, splits);
    desc.path = path;
    desc.splits = splits;
    EXPECT_OK(vka_attention_workspace(p->c->device, &desc, &bytes));
    if (bytes > 0) { /* in the middle of guards that must survive */
        uint32_t words = (uint32_t)(bytes + 3) / 4;
        workspace = tensor_create(p->c, VKA_F32, 1, &words, (layout){.shift = (WORKSPACE_OFFSET - 64) / 4});
        desc.workspace = workspace.view.buffer;
        desc.workspace_offset = workspace.view.offset;
    }
    tensor_poison(&p->out);
    tensor_poison(&p->lse);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_attention(p->c->recorder, &desc));
    context_finish(p->c);
    attention_compare(p, how);
    if (bytes > 0) {
        cr_assert(tensor_download(&workspace), "%s writes outside of its workspace", how);
        tensor_destroy(&workspace);
    }
}

bool attention_can(attention_problem *p, vka_attention_path path) {
    vka_attention_desc desc = attention_desc(p);
    uint64_t bytes;
    desc.path = path;
    log_clear();
    vka_status status = vka_attention_workspace(p->c->device, &desc, &bytes);
    log_line error = log_last(VKA_LOG_ERROR);
    cr_assert(status == VKA_OK || (status == VKA_UNSUPPORTED && !strcmp(error.item, "vka_attention.path")),
              "path %d gives %d: %s %s", path, status, error.item, error.message);
    if (status != VKA_OK) {
        fprintf(stderr, "SKIP: path %d: %s\n", path, error.message);
    }
    log_clear();
    return status == VKA_OK;
}

void attention_run_paths(attention_problem *p, uint32_t splits) {
    for (int path = VKA_PATH_ROW; path <= LAST_PATH; path++) {
        if (attention_can(p, (vka_attention_path)path)) {
            attention_run(p, (vka_attention_path)path, splits);
        }
    }
}

void attention_on_paths(context *c, attention_case a) {
    attention_problem p = attention_make(c, a, test_seed());
    attention_run_paths(&p, 0);
    attention_destroy(&p);
}
