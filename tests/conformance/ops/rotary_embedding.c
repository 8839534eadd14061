/* ONNX RotaryEmbedding, opset 23 (onnx/defs/nn/defs.cc), as one vka_rope with tables: of positions, or of each row
 * where the case has no position_ids. Of rank 3 heads are merged there. SPDX-License-Identifier: MIT */
#include <vkattn/rope.h>

#include <stdlib.h>
#include <string.h>

#include "conformance.h"

enum { X, COS, SIN, POSITIONS };

/* [batch, heads, tokens, channels], whatever the case has. */
static bool split_heads(vka_tensor *t, int64_t heads, result *r) {
    if (t->rank == 4) {
        return true;
    }
    if (t->rank != 3 || heads < 1 || t->shape[2] % heads) {
        return fail(r, "rank %u with %lld heads", t->rank, (long long)heads);
    }
    uint32_t h = (uint32_t)heads;
    *t = vka_tensor_transpose(vka_tensor_4d(t->buffer, t->dtype, t->shape[0], t->shape[1], h, t->shape[2] / h), 1, 2);
    return true;
}

/* Positions of rows, which are 64-bit integers there. */
static vka_tensor positions_of(gpu *g, const case_tensor *t, result *r) {
    int32_t *values = malloc((t->count + 1) * sizeof *values);
    for (size_t i = 0; i < t->count && values; i++) {
        int64_t value;
        memcpy(&value, (const char *)t->data + i * sizeof value, sizeof value);
        values[i] = (int32_t)value;
        if (value != values[i]) {
            fail(r, "position %lld is no 32-bit integer", (long long)value);
        }
    }
    vka_buffer *buffer = values ? gpu_input(g, values, t->count * sizeof *values) : NULL;
    free(values);
    return vka_tensor_2d(buffer, VKA_I32, t->dims[0], t->dims[1]);
}

static bool check(const op_case *c, result *r) {
    const case_tensor *in = c->inputs, *y = &c->outputs[0];
    if (!in[X].type || !in[COS].type || !in[SIN].type || !y->type) {
        return fail(r, "input, both caches and output are required");
    }
    if (in[POSITIONS].type && (strcmp(in[POSITIONS].type->name, "i64") || in[POSITIONS].rank != 2)) {
        return fail(r, "position_ids are of i64, and have rank 2");
    }
    return case_is_real(&in[X], r) && case_is_real(&in[COS], r) && case_is_real(&in[SIN], r) && case_is_result(y, r) &&
           case_has_shape(y, in[X].rank, in[X].dims, r) && case_has_shape(&in[SIN], in[COS].rank, in[COS].dims, r);
}

static bool describe(gpu *g, const op_case *c, vka_rope_desc *d, result *r) {
    const case_tensor *in = c->inputs;
    int64_t interleaved, heads, dims;
    if (!check(c, r) || !case_get_int(c, "interleaved", 0, &interleaved, r) ||
        !case_get_int(c, "num_heads", 0, &heads, r) || !case_get_int(c, "rotary_embedding_dim", 0, &dims, r)) {
        return false;
    }
    d->x = gpu_tensor(g, &in[X]);
    d->out = gpu_result(g, &c->outputs[0], in[X].type->dtype);
    d->options.cos = gpu_tensor(g, &in[COS]);
    d->options.sin = gpu_tensor(g, &in[SIN]);
    d->options.interleaved = interleaved != 0;
    d->options.dims = (uint32_t)dims;
    if (in[POSITIONS].type) {
        d->row_positions = positions_of(g, &in[POSITIONS], r);
    }
    return r->verdict == PASSED && split_heads(&d->x, heads, r) && split_heads(&d->out, heads, r);
}

static void run(gpu *g, const op_case *c, result *r) {
    vka_rope_desc d = {0};
    gpu_begin(g);
    if (describe(g, c, &d, r) && gpu_run(g, vka_rope(g->recorder, &d), r)) {
        gpu_check(g, d.out.buffer, d.out.dtype, &c->outputs[0], r);
    }
    gpu_end(g);
}

const operation group_rotary_embedding[] = {
    {"RotaryEmbedding", 23, 4, 1, {"interleaved", "num_heads", "rotary_embedding_dim"}, run},
    {0},
};
