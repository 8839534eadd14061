/* The backward pass of an attention problem, against float64.
 * SPDX-License-Identifier: MIT */
#include "backward_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[BACKWARD_GRADIENTS] = {
#define X(name) #name,
    BACKWARD_OUTPUTS(X)
#undef X
};

/* ---- references -------------------------------------------------------------------------------------------------- */

/* Sums of a row's pairs go to all gradients: `sum` are the double or the naive ones, in which each sum is an f32. */
typedef struct sums {
    const backward_problem *p;
    double **sum;
    bool naive;
} sums;

static void add(const sums *s, backward_gradient g, size_t index, double x) {
    if (s->sum[g]) {
        double sum = s->sum[g][index] + x;
        s->sum[g][index] = s->naive ? (double)(float)sum : sum;
    }
}

static double rounded_product(const sums *s, double x, double y) {
    return s->naive ? (double)((float)x * (float)y) : x * y;
}

static void add_relative_keys(const sums *s, uint32_t b, uint32_t h, uint32_t i, uint32_t j, double product,
                              const ref_product *by, const float *k) {
    const ref_attention *ref = &s->p->p.ref;
    const float *r = ref_attention_relative_key(ref, b, h, i, j);
    for (uint32_t d = 0; d < ref->head_dim; d++) {
        size_t at = (size_t)h * ref->head_dim + d;
        add(s, BACKWARD_d_relative_keys, (size_t)(r - ref->relative_keys) + d,
            rounded_product(s, product, by->relative_key[d]));
        add(s, BACKWARD_d_content_bias, at, rounded_product(s, product, (double)k[d]));
        add(s, BACKWARD_d_position_bias, at, rounded_product(s, product, (double)r[d]));
    }
}

static void add_pair(const sums *s, const float *d_out, uint32_t b, uint32_t h, uint32_t i, uint32_t j,
                     const ref_pairs *pairs) {
    const attention_problem *p = &s->p->p;
    const attention_case *a = &p->a;
    uint32_t kv_head = h / (a->q_heads / a->kv_heads);
    size_t q_row = attention_q_row(p, b, h, i), k_row = attention_kv_row(p, &p->k, b, kv_head, j);
    size_t v_row = attention_kv_row(p, &p->v, b, kv_head, j), kv = ((size_t)b * a->kv_heads + kv_head) * a->kv_len + j;
    double product = s->naive ? (double)(float)(pairs->product[j] * p->ref.scale) : pairs->product[j] * p->ref.scale;
    ref_product by;
    (s->naive ? ref_attention_naive_product : ref_attention_product)(&p->ref, b, h, i, j, &by);
    for (uint32_t d = 0; d < a->head_dim; d++) {
        add(s, BACKWARD_d_q, q_row * a->head_dim + d, rounded_product(s, product, by.q[d]));
        add(s, BACKWARD_d_k, k_row * a->head_dim + d, rounded_product(s, product, by.k[d]));
    }
    for (uint32_t d = 0; d < a->value_dim; d++) {
        add(s, BACKWARD_d_v, v_row * a->value_dim + d, rounded_product(s, pairs->weight[j], (double)d_out[d]));
    }
    add(s, BACKWARD_d_cosine_scale, h, rounded_product(s, product, by.cosine));
    if (p->ref.relative_keys) {
        add_relative_keys(s, b, h, i, j, product, &by, p->ref_k + kv * a->head_dim);
    }
    if (p->ref.mask && s->sum[BACKWARD_d_mask]) {
        add(s, BACKWARD_d_mask, ref_attention_mask_index(&p->ref, b, h, i, j), pairs->score[j]);
    }
    if (p->ref.alibi) {
        double distance = fabs((double)((int64_t)i + p->sequences.diagonal[b] - (int64_t)j));
        add(s, BACKWARD_d_alibi_slopes, h, -pairs->score[j] * distance);
    }
    if (p->ref.relative) {
        add(s, BACKWARD_d_relative_bias, ref_attention_relative_index(&p->ref, b, h, i, j), pairs->score[j]);
    }
}

static void add_row(const sums *s, uint32_t b, uint32_t h, uint32_t i, ref_pairs *pairs) {
    const attention_problem *p = &s->p->p;
    size_t row = attention_q_row(p, b, h, i);
    const float *d_out = s->p->d_out.values + row * p->a.value_dim;
    double d_lse = s->p->b.d_lse ? (double)s->p->d_lse.values[row] : 0;
    if (s->naive) {
        ref_attention_naive_backward_row(&p->ref, b, h, i, d_out, d_lse, pairs);
    } else {
        ref_attention_backward_row(&p->ref, b, h, i, d_out, d_lse, pairs);
    }
    add(s, BACKWARD_d_sinks, h, pairs->sink);
    for (uint32_t j = 0; j < p->ref.kv_len; j++) {
        if (ref_attention_visible(&p->ref, b, h, i, j)) {
            add_pair(s, d_out, b, h, i, j, pairs);
        }
    }
}

static void add_rows(const sums *s) {
    const attention_problem *p = &s->p->p;
    size_t keys = p->ref.kv_len + 1;
    ref_pairs pairs = {attention_must(calloc(keys, sizeof(double))), attention_must(calloc(keys, sizeof(double))),
                       attention_must(calloc(keys, sizeof(double))), 0};
    for (uint32_t b = 0; b < p->a.batch; b++) {
        for (uint32_t h = 0; h < p->a.q_heads; h++) {
            for (uint32_t i = 0; i < p->sequences.q_len[b]; i++) {
                add_row(s, b, h, i, &pairs);
            }
        }
    }
    free(pairs.weight);
    free(pairs.score);
    free(pairs.product);
}

/* Of offsets, rows that no sequence has are not written. */
static void mark_written(backward_problem *p) {
    attention_problem *f = &p->p;
    for (int g = BACKWARD_d_q; g <= BACKWARD_d_v; g++) {
        bool queries = g == BACKWARD_d_q;
        tensor *t = &p->gradient[g];
        if (!t->view.buffer || (queries ? f->a.q_list.kind : f->a.kv_list.kind) != LIST_OFFSETS) {
            continue;
        }
        size_t width = t->view.shape[3];
        p->written[g] = attention_must(calloc(t->count + 1, sizeof(bool)));
        for (uint32_t b = 0; b < f->a.batch; b++) {
            uint32_t heads = queries ? f->a.q_heads : f->a.kv_heads;
            uint32_t rows = queries ? f->sequences.q_len[b] : f->sequences.kv_len[b];
            for (uint32_t n = 0; n < heads * rows; n++) {
                size_t row = queries ? attention_q_row(f, b, n / rows, n % rows)
                                     : attention_kv_row(f, &f->k, b, n / rows, n % rows);
                memset(p->written[g] + row * width, true, width);
            }
        }
    }
}

/* ---- problems ---------------------------------------------------------------------------------------------------- */

static void make_gradient(backward_problem *p, backward_gradient g, const tensor *like, vka_dtype dtype) {
    const attention_case *a = &p->b.forward;
    if (!like->view.buffer || (p->b.left_out >> g & 1) || like->view.dtype == VKA_U8) {
        return;
    }
    layout l = g <= BACKWARD_d_v ? a->layout : (layout){.pad = a->layout.pad};
    p->gradient[g] = tensor_create(p->p.c, dtype, like->view.rank, like->view.shape, l);
    p->ref[g] = attention_must(calloc(p->gradient[g].count + 1, sizeof(double)));
    p->naive[g] = attention_must(calloc(p->gradient[g].count + 1, sizeof(double)));
}

static vka_dtype type_or(vka_dtype dtype, vka_dtype other) {
    return dtype ? dtype : other;
}

backward_problem backward_make(context *c, backward_case b, uint64_t seed) {
    backward_problem p = {.b = b, .p = attention_make(c, b.forward, seed)};
    attention_problem *f = &p.p;
    ref_rng rng = ref_rng_seed(seed + 1);
    p.d_out = tensor_create(c, type_or(b.d_out_dtype, f->out.view.dtype), 4, f->out.view.shape, b.forward.layout);
    tensor_fill_normal(&p.d_out, &rng, 0, 1);
    tensor_round(&p.d_out);
    tensor_upload(&p.d_out);
    if (b.d_lse) {
        p.d_lse = tensor_create(c, VKA_F32, 3, f->lse.view.shape, (layout){.pad = b.forward.layout.pad});
        tensor_fill_normal(&p.d_lse, &rng, 0, 1);
        tensor_upload(&p.d_lse);
    }
    const tensor *like[] = {&f->q,
                            &f->k,
                            &f->v,
                            &f->mask,
                            &f->relative_keys,
                            &f->content_bias,
                            &f->position_bias,
                            &f->alibi_slopes,
                            &f->relative_bias,
                            &f->sinks,
                            &f->cosine_scale};
    for (int g = 0; g < BACKWARD_GRADIENTS; g++) {
        make_gradient(&p, (backward_gradient)g, like[g],
                      g <= BACKWARD_d_position_bias ? type_or(b.d_dtype, like[g]->view.dtype) : VKA_F32);
    }
    add_rows(&(sums){&p, p.ref, false});
    add_rows(&(sums){&p, p.naive, true});
    mark_written(&p);
    return p;
}

/* After a change to the values of inputs: uploads them and computes the references anew. */
static void update(backward_problem *p) {
    attention_update(&p->p);
    for (int g = 0; g < BACKWARD_GRADIENTS; g++) {
        if (p->gradient[g].view.buffer) {
            memset(p->ref[g], 0, p->gradient[g].count * sizeof(double));
            memset(p->naive[g], 0, p->gradient[g].count * sizeof(double));
        }
    }
    add_rows(&(sums){p, p->ref, false});
    add_rows(&(sums){p, p->naive, true});
}

void backward_destroy(backward_problem *p) {
    tensor_destroy(&p->d_out);
    tensor_destroy(&p->d_lse);
    for (int g = 0; g < BACKWARD_GRADIENTS; g++) {
        tensor_destroy(&p->gradient[g]);
        free(p->ref[g]);
        free(p->naive[g]);
        free(p->written[g]);
    }
    attention_destroy(&p->p);
}

vka_attention_backward_desc backward_desc(const backward_problem *p) {
    return (vka_attention_backward_desc){.forward = attention_desc(&p->p),
                                         .d_out = p->d_out.view,
                                         .d_lse = p->d_lse.view,
                                         .path = p->b.path,
#define X(name) .name = p->gradient[BACKWARD_##name].view,
                                         BACKWARD_OUTPUTS(X)
#undef X
    };
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static void judge(backward_problem *p, backward_gradient g, const char *how) {
    tensor *t = &p->gradient[g];
    ref_error error = {0};
    if (!t->view.buffer) {
        return;
    }
    cr_assert(tensor_download(t), "%s writes outside of %s", how, names[g]);
    for (size_t i = 0; i < t->count; i++) {
        if (p->written[g] && !p->written[g][i]) {
            cr_assert(tensor_untouched(t, i), "%s %s[%zu] was written, in a row that no sequence has", how, names[g],
                      i);
            continue;
        }
        ref_error_add(&error, (double)t->values[i], (double)ref_round(t->view.dtype, (float)p->naive[g][i]),
                      p->ref[g][i]);
        cr_assert(!error.broken, "%s %s[%zu] is %g, not %g", how, names[g], i, (double)t->values[i], p->ref[g][i]);
    }
    cr_assert(ref_error_ok(&error), "%s %s is off by %.3g where the naive computation is off by %.3g", how, names[g],
              error.out, error.naive);
}

/* Forward and backward, recorded once. */
typedef struct recording {
    tensor workspace;
    char how[1200];
} recording;

static void record(backward_problem *p, recording *r) {
    context *c = p->p.c;
    vka_attention_backward_desc desc = backward_desc(p);
    vka_requirements need;
    char text[1024];
    r->workspace = (tensor){0};
    snprintf(r->how, sizeof r->how, "path %d:%s:", desc.path, attention_describe(&p->p, text, sizeof text));
    EXPECT_OK(vka_attention_backward_requirements(c->device, &desc, &need));
    if (need.workspace_bytes > 0) {
        uint32_t words = (uint32_t)(need.workspace_bytes / 4);
        r->workspace = tensor_create(c, VKA_F32, 1, &words, (layout){.shift = 48});
        desc.workspace.buffer = r->workspace.view.buffer;
        desc.workspace.offset = r->workspace.view.offset;
    }
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_attention(c->recorder, &desc.forward));
    EXPECT_OK(vka_attention_backward(c->recorder, &desc));
}

static void poison(backward_problem *p) {
    for (int g = 0; g < BACKWARD_GRADIENTS; g++) {
        if (p->gradient[g].view.buffer) {
            tensor_poison(&p->gradient[g]);
        }
    }
}

/* With poisoned gradients; asserts what they should be. */
static void submit(backward_problem *p, recording *r) {
    poison(p);
    context_finish(p->p.c);
    for (int g = 0; g < BACKWARD_GRADIENTS; g++) {
        judge(p, (backward_gradient)g, r->how);
    }
    cr_assert(!r->workspace.view.buffer || tensor_download(&r->workspace), "%s writes outside of its workspace",
              r->how);
}

static void destroy_recording(recording *r) {
    if (r->workspace.view.buffer) {
        tensor_destroy(&r->workspace);
    }
}

void backward_run(backward_problem *p) {
    recording r;
    record(p, &r);
    submit(p, &r);
    destroy_recording(&r);
}

/* The bits of all gradients, one after the other. */
static void *bits_of(const backward_problem *p, size_t *size) {
    unsigned char *bits = NULL;
    *size = 0;
    for (int g = 0; g < BACKWARD_GRADIENTS; g++) {
        const tensor *t = &p->gradient[g];
        if (t->view.buffer) {
            bits = attention_must(realloc(bits, *size + t->size));
            EXPECT_OK(vka_buffer_read(t->view.buffer, 0, bits + *size, t->size));
            *size += t->size;
        }
    }
    return bits;
}

static void replay_steps(backward_problem *p) {
    float *step = p->p.random_step.values;
    const float steps[] = {step[0], step[0] + 1, step[0]};
    recording r;
    void *bits[3];
    size_t size;
    record(p, &r);
    for (int n = 0; n < 3; n++) {
        *step = steps[n];
        update(p);
        submit(p, &r);
        bits[n] = bits_of(p, &size);
    }
    cr_assert(memcmp(bits[0], bits[1], size) != 0, "%s another step drops the same pairs", r.how);
    cr_assert(memcmp(bits[0], bits[2], size) == 0, "%s the first step again gives other bits", r.how);
    for (int n = 0; n < 3; n++) {
        free(bits[n]);
    }
    destroy_recording(&r);
}

void backward_repeats(backward_problem *p, uint32_t times) {
    void *first = NULL;
    for (uint32_t run = 0; run <= times; run++) {
        vka_attention_backward_desc desc = backward_desc(p);
        EXPECT_OK(vka_recorder_begin(p->p.c->recorder));
        if (run == 0) {
            EXPECT_OK(vka_attention(p->p.c->recorder, &desc.forward));
        }
        EXPECT_OK(vka_attention_backward(p->p.c->recorder, &desc));
        poison(p);
        context_finish(p->p.c);
        size_t size;
        void *bits = bits_of(p, &size);
        cr_assert(!run || memcmp(first, bits, size) == 0, "path %d: run %u gives other bits", desc.path, run);
        free(run ? bits : NULL);
        first = run ? first : bits;
    }
    free(first);
}

bool backward_can(const backward_problem *p) {
    vka_attention_backward_desc desc = backward_desc(p);
    vka_requirements need;
    log_clear();
    if (vka_attention_backward_requirements(p->p.c->device, &desc, &need) != VKA_UNSUPPORTED) {
        return true;
    }
    fprintf(stderr, "SKIP: path %d: %s\n", desc.path, log_last(VKA_LOG_ERROR).message);
    log_clear();
    return false;
}

static void run_on_paths(context *c, backward_case b, vka_attention_backward_path last,
                         void (*run)(backward_problem *p)) {
    backward_problem p = backward_make(c, b, test_seed());
    for (int path = VKA_ATTENTION_BACKWARD_PATH_ROW; path <= (int)last; path++) {
        p.b.path = (vka_attention_backward_path)path;
        if (backward_can(&p) && !context_leaves_out(c, 5)) {
            run(&p);
        }
    }
    backward_destroy(&p);
}

void backward_on_paths(context *c, backward_case b) {
    run_on_paths(c, b, VKA_ATTENTION_BACKWARD_PATH_COOPMAT, backward_run);
}

void backward_replays_steps(context *c, backward_case b) {
    run_on_paths(c, b, VKA_ATTENTION_BACKWARD_PATH_DOT, replay_steps);
}
