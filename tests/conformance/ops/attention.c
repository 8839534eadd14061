/* ONNX Attention, opsets 23 to 25 (onnx/defs/nn/defs.cc; onnx/reference/ops/op_attention.py where that leaves a
 * question), as one vka_attention. What the operator does to its inputs and the library does not is done on the host:
 * past keys and values are put before the new ones, and a short mask is extended. SPDX-License-Identifier: MIT */
#include <vkattn/attention.h>

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "conformance.h"

enum { IN_Q, IN_K, IN_V, IN_MASK, IN_PAST_KEY, IN_PAST_VALUE, IN_NONPAD };
enum { OUT_Y, OUT_PRESENT_KEY, OUT_PRESENT_VALUE, OUT_SCORES };

/* Q, K, V or Y: [batch, heads, len, dim], or merged: [batch, len, heads * dim]. */
typedef struct sequence {
    uint32_t batch, heads, len, dim;
    bool merged;
} sequence;

typedef struct problem {
    gpu *g;
    const op_case *c;
    result *r;
    sequence q, k, v, y;
    uint32_t past, total; /* keys: past ones, and with the new ones */
    int32_t *lengths;     /* [batch], or NULL */
    vka_attention_desc desc;
} problem;

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static bool read_sequence(const case_tensor *t, int64_t heads, sequence *s, result *r) {
    const uint32_t *d = t->dims;
    if (!t->type) {
        return fail(r, "Q, K and V are required");
    }
    if (t->rank == 4 && (heads < 0 || heads == d[1])) {
        *s = (sequence){d[0], d[1], d[2], d[3], false};
        return true;
    }
    if (t->rank == 3 && heads > 0 && heads <= d[2] && d[2] % heads == 0) {
        *s = (sequence){d[0], (uint32_t)heads, d[1], (uint32_t)(d[2] / heads), true};
        return true;
    }
    char shape[128];
    return fail(r, "%s: %lld heads don't go with %s", t->name, (long long)heads,
                case_shape_text(t->rank, t->dims, shape));
}

static bool has_cache_shape(const case_tensor *t, const sequence *s, uint32_t len, result *r) {
    return case_has_shape(t, 4, (uint32_t[]){s->batch, s->heads, len, s->dim}, r);
}

static bool check_outputs(const problem *p) {
    const case_tensor *out = p->c->outputs;
    const sequence *y = &p->y;
    uint32_t heads[] = {y->batch, y->heads, y->len, y->dim}, merged[] = {y->batch, y->len, y->heads * y->dim};
    uint32_t scores[] = {y->batch, y->heads, y->len, p->total};
    return case_has_shape(&out[OUT_Y], y->merged ? 3 : 4, y->merged ? merged : heads, p->r) &&
           has_cache_shape(&out[OUT_PRESENT_KEY], &p->k, p->total, p->r) &&
           has_cache_shape(&out[OUT_PRESENT_VALUE], &p->v, p->total, p->r) &&
           case_has_shape(&out[OUT_SCORES], 4, scores, p->r);
}

static bool read_shapes(problem *p) {
    const case_tensor *in = p->c->inputs, *past_key = &in[IN_PAST_KEY], *past_value = &in[IN_PAST_VALUE];
    int64_t q_heads, kv_heads;
    if (!case_get_int(p->c, "q_num_heads", -1, &q_heads, p->r) ||
        !case_get_int(p->c, "kv_num_heads", -1, &kv_heads, p->r) || !read_sequence(&in[IN_Q], q_heads, &p->q, p->r) ||
        !read_sequence(&in[IN_K], kv_heads, &p->k, p->r) || !read_sequence(&in[IN_V], kv_heads, &p->v, p->r)) {
        return false;
    }
    if (p->q.batch != p->k.batch || p->q.batch != p->v.batch || p->k.heads != p->v.heads || p->k.len != p->v.len ||
        p->q.dim != p->k.dim || p->q.merged != p->k.merged || p->q.merged != p->v.merged) {
        return fail(p->r, "the shapes of Q, K and V don't go together");
    }
    if (!past_key->type != !past_value->type || (past_key->type && in[IN_NONPAD].type)) {
        return fail(p->r, "a past key needs a past value, and no nonpad_kv_seqlen");
    }
    p->past = past_key->type && past_key->rank == 4 ? past_key->dims[2] : 0;
    p->total = p->past + p->k.len;
    p->y = (sequence){p->q.batch, p->q.heads, p->q.len, p->v.dim, p->q.merged};
    return has_cache_shape(past_key, &p->k, p->past, p->r) && has_cache_shape(past_value, &p->v, p->past, p->r) &&
           check_outputs(p);
}

static bool check_types(const problem *p) {
    for (uint32_t i = IN_Q; i <= IN_PAST_VALUE; i++) {
        if (i != IN_MASK && !case_is_real(&p->c->inputs[i], p->r)) {
            return false;
        }
    }
    for (uint32_t i = OUT_Y; i <= OUT_SCORES; i++) {
        if (!case_is_real(&p->c->outputs[i], p->r)) {
            return false;
        }
    }
    const case_tensor *in = p->c->inputs;
    return ((!in[IN_PAST_KEY].type || in[IN_PAST_KEY].type == in[IN_K].type) &&
            (!in[IN_PAST_VALUE].type || in[IN_PAST_VALUE].type == in[IN_V].type)) ||
           fail(p->r, "past keys and values have another type than new ones");
}

/* ---- q, k, v and outputs ----------------------------------------------------------------------------------------- */

static vka_tensor view(vka_buffer *buffer, vka_dtype dtype, const sequence *s) {
    return s->merged ? vka_tensor_transpose(vka_tensor_4d(buffer, dtype, s->batch, s->len, s->heads, s->dim), 1, 2)
                     : vka_tensor_4d(buffer, dtype, s->batch, s->heads, s->len, s->dim);
}

static vka_tensor upload(const problem *p, const case_tensor *t, const sequence *s) {
    return view(gpu_input(p->g, t->data, t->count * t->type->size), t->type->dtype, s);
}

/* Past rows, then new ones: [batch, heads, past + len, dim]. NULL: no memory. */
static char *concatenate(const case_tensor *past, uint32_t past_len, const case_tensor *t, const sequence *s) {
    size_t row = s->dim * t->type->size;
    char *cache = malloc(past_len * row * s->heads * s->batch + t->count * t->type->size + 1), *to = cache;
    for (uint32_t b = 0; cache && b < s->batch; b++) {
        for (uint32_t h = 0; h < s->heads; h++) {
            if (past_len) {
                memcpy(to, (const char *)past->data + ((size_t)b * s->heads + h) * past_len * row, past_len * row);
                to += past_len * row;
            }
            for (uint32_t n = 0; n < s->len; n++, to += row) {
                size_t from =
                    s->merged ? ((size_t)b * s->len + n) * s->heads + h : ((size_t)b * s->heads + h) * s->len + n;
                memcpy(to, (const char *)t->data + from * row, row);
            }
        }
    }
    return cache;
}

/* K or V: as it is where that suffices, so that strides are put to use; with a past, or when the case expects the
 * present ones, as the operator's cache. */
static bool upload_cache(const problem *p, const case_tensor *past, const case_tensor *t, const case_tensor *present,
                         const sequence *s, vka_tensor *out) {
    if (!past->type && !present->type) {
        *out = upload(p, t, s);
        return true;
    }
    char *cache = concatenate(past, p->past, t, s);
    if (!cache) {
        return fail(p->r, "no memory for %s", present->name);
    }
    sequence all = {s->batch, s->heads, p->total, s->dim, false};
    size_t size = (size_t)all.batch * all.heads * all.len * all.dim * t->type->size;
    *out = view(gpu_input(p->g, cache, size), t->type->dtype, &all);
    free(cache);
    return true;
}

static bool upload_tensors(problem *p) {
    const case_tensor *in = p->c->inputs, *out = p->c->outputs;
    vka_dtype y_type = out[OUT_Y].type ? out[OUT_Y].type->dtype : in[IN_Q].type->dtype;
    size_t y_size = (size_t)p->y.batch * p->y.heads * p->y.len * p->y.dim * vka_dtype_size(y_type);
    p->desc.q = upload(p, &in[IN_Q], &p->q);
    p->desc.out = view(gpu_output(p->g, y_size), y_type, &p->y);
    return upload_cache(p, &in[IN_PAST_KEY], &in[IN_K], &out[OUT_PRESENT_KEY], &p->k, &p->desc.k) &&
           upload_cache(p, &in[IN_PAST_VALUE], &in[IN_V], &out[OUT_PRESENT_VALUE], &p->v, &p->desc.v);
}

static bool upload_scores(problem *p) {
    const case_tensor *want = &p->c->outputs[OUT_SCORES];
    int64_t mode;
    if (!case_get_int(p->c, "qk_matmul_output_mode", 0, &mode, p->r) || !want->type) {
        return p->r->verdict == PASSED;
    }
    if (mode < 0 || mode > 3) {
        return fail(p->r, "qk_matmul_output_mode %lld", (long long)mode);
    }
    p->desc.score_stage = (vka_score_stage)mode;
    p->desc.scores = vka_tensor_4d(gpu_output(p->g, want->count * want->type->size), want->type->dtype, want->dims[0],
                                   want->dims[1], want->dims[2], want->dims[3]);
    if (mode == VKA_SCORES_PROBABILITIES) {
        size_t rows = (size_t)p->q.batch * p->q.heads * p->q.len;
        p->desc.lse = vka_tensor_3d(gpu_output(p->g, 4 * rows), VKA_F32, p->q.batch, p->q.heads, p->q.len);
    }
    return true;
}

/* ---- mask -------------------------------------------------------------------------------------------------------- */

/* Does the mask broadcast to [batch, heads, queries, keys]? Its last dimension, the keys, is looked at elsewhere. */
static bool broadcasts(const problem *p, const case_tensor *mask) {
    const uint32_t full[] = {p->q.batch, p->q.heads, p->q.len};
    for (uint32_t i = 0; i + 1 < mask->rank; i++) {
        uint32_t size = mask->dims[i];
        if (size != 1 && size != full[4 - mask->rank + i]) {
            return false;
        }
    }
    return mask->rank >= 1 && mask->rank <= 4 && mask->dims[mask->rank - 1] <= p->total;
}

/* The mask's rows with room for `keys` keys, where those that it lacks are masked. NULL: no memory. */
static char *extend(const case_tensor *mask, size_t rows, uint32_t keys) {
    static const unsigned char f32[] = {0, 0, 0x80, 0xff}, f16[] = {0, 0xfc}, bf16[] = {0x80, 0xff}, no[] = {0};
    const unsigned char *masked = mask->type->dtype == VKA_F32    ? f32
                                  : mask->type->dtype == VKA_F16  ? f16
                                  : mask->type->dtype == VKA_BF16 ? bf16
                                                                  : no;
    size_t size = mask->type->size, given = mask->dims[mask->rank - 1];
    char *extended = malloc(rows * keys * size + 1), *to = extended;
    for (size_t row = 0; extended && row < rows; row++) {
        memcpy(to, (const char *)mask->data + row * given * size, given * size);
        to += given * size;
        for (size_t key = given; key < keys; key++, to += size) {
            memcpy(to, masked, size);
        }
    }
    return extended;
}

static bool upload_mask(problem *p) {
    const case_tensor *mask = &p->c->inputs[IN_MASK];
    if (!mask->type) {
        return true;
    }
    if (mask->type->dtype != VKA_U8 && !case_is_real(mask, p->r)) {
        return false;
    }
    char shape[128];
    if (!broadcasts(p, mask)) {
        return fail(p->r, "%s: %s does not broadcast to queries and keys", mask->name,
                    case_shape_text(mask->rank, mask->dims, shape));
    }
    /* Up to opset 23 a size of 1 is one value for all keys. Since then it is a mask of one key. */
    uint32_t given = mask->dims[mask->rank - 1];
    uint32_t keys = given == 1 && p->c->opset < 24 ? 1 : p->total;
    vka_tensor t = vka_tensor_2d(NULL, mask->type->dtype, 1, keys);
    size_t rows = 1;
    if (mask->rank > 1) {
        t.rank = mask->rank;
        for (uint32_t i = 0; i + 1 < mask->rank; i++) {
            t.shape[i] = mask->dims[i];
            rows *= mask->dims[i];
        }
        t.shape[t.rank - 1] = keys;
    }
    char *data = extend(mask, rows, keys);
    if (!data) {
        return fail(p->r, "no memory for %s", mask->name);
    }
    t.buffer = gpu_input(p->g, data, rows * keys * mask->type->size);
    free(data);
    p->desc.mask = t;
    return true;
}

/* ---- which keys a query sees ------------------------------------------------------------------------------------- */

static bool read_lengths(problem *p) {
    const case_tensor *t = &p->c->inputs[IN_NONPAD];
    if (!t->type) {
        return true;
    }
    if (strcmp(t->type->name, "i64") != 0) {
        return fail(p->r, "%s is %s", t->name, t->type->name);
    }
    if (!case_has_shape(t, 1, &p->q.batch, p->r)) {
        return false;
    }
    p->lengths = malloc((t->count + 1) * sizeof *p->lengths);
    if (!p->lengths) {
        return fail(p->r, "no memory for %s", t->name);
    }
    for (size_t i = 0; i < t->count; i++) {
        int64_t length;
        memcpy(&length, (const char *)t->data + i * sizeof length, sizeof length);
        if (length < 0 || length > p->total) {
            return fail(p->r, "%s: %lld of %u keys", t->name, (long long)length, p->total);
        }
        p->lengths[i] = (int32_t)length;
    }
    p->desc.kv_lengths.values = p->lengths;
    return true;
}

/* The operator's offset: of a query's position from its index. */
static void set_diagonal(problem *p) {
    if (p->lengths) { /* the last query sees the last key that is there */
        p->desc.diagonal = VKA_DIAGONAL_BOTTOM_RIGHT;
    } else if (p->past) {
        p->desc.diagonal = VKA_DIAGONAL_EXPLICIT;
        p->desc.diagonal_offset = (int32_t)p->past;
    } else {
        p->desc.diagonal = VKA_DIAGONAL_TOP_LEFT;
    }
}

static bool read_bound(const problem *p, const char *name, int32_t *bound) {
    int64_t size;
    if (!case_get_int(p->c, name, -1, &size, p->r)) {
        return false;
    }
    *bound = size < 0 || size > INT32_MAX ? VKA_UNBOUNDED : (int32_t)size;
    return size >= -1 || fail(p->r, "%s %lld", name, (long long)size);
}

static bool read_visibility(problem *p) {
    vka_attention_desc *d = &p->desc;
    int64_t causal;
    if (!read_lengths(p) || !case_get_int(p->c, "is_causal", 0, &causal, p->r) ||
        !read_bound(p, "left_window_size", &d->window.left) || !read_bound(p, "right_window_size", &d->window.right)) {
        return false;
    }
    set_diagonal(p);
    d->causal = causal != 0;
    d->window.enabled = d->window.left != VKA_UNBOUNDED || d->window.right != VKA_UNBOUNDED;
    return true;
}

/* ---- the operator ------------------------------------------------------------------------------------------------ */

static bool read_numbers(problem *p) {
    vka_attention_desc *d = &p->desc;
    int64_t precision; /* of the softmax, as a TensorProto.DataType: ours is f32 whatever is asked for */
    if (!case_get_float(p->c, "scale", 0, &d->scale, p->r) || !case_get_float(p->c, "softcap", 0, &d->softcap, p->r) ||
        !case_get_int(p->c, "softmax_precision", 1, &precision, p->r)) {
        return false;
    }
    /* A scale of 0 is the library's default, and no scale is as close to 0 as this one. */
    if (d->scale == 0 && case_has_attribute(p->c, "scale")) {
        d->scale = FLT_MIN;
    }
    return precision == 1 || precision == 10 || precision == 11 || precision == 16 ||
           fail(p->r, "softmax_precision %lld", (long long)precision);
}

static bool describe(problem *p) {
    return check_types(p) && read_shapes(p) && read_numbers(p) && read_visibility(p) && upload_tensors(p) &&
           upload_mask(p) && upload_scores(p);
}

static void run_attention(gpu *g, const op_case *c, result *r) {
    problem p = {.g = g, .c = c, .r = r};
    const case_tensor *want = c->outputs;
    gpu_begin(g);
    if (describe(&p) && gpu_run(g, vka_attention(g->recorder, &p.desc), r)) {
        bool ok = gpu_check(g, p.desc.out.buffer, p.desc.out.dtype, &want[OUT_Y], r);
        ok = ok && gpu_check(g, p.desc.k.buffer, p.desc.k.dtype, &want[OUT_PRESENT_KEY], r);
        ok = ok && gpu_check(g, p.desc.v.buffer, p.desc.v.dtype, &want[OUT_PRESENT_VALUE], r);
        (void)(ok && gpu_check(g, p.desc.scores.buffer, p.desc.scores.dtype, &want[OUT_SCORES], r));
    }
    gpu_end(g);
    free(p.lengths);
}

const operation group_attention[] = {
    {"Attention",
     23,
     7,
     4,
     {"scale", "softcap", "is_causal", "q_num_heads", "kv_num_heads", "qk_matmul_output_mode", "softmax_precision",
      "left_window_size", "right_window_size"},
     run_attention},
    {0},
};
