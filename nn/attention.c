/* Multi-head attention: projections, the rotation and the cache, attention, the last projection.
 * SPDX-License-Identifier: MIT */
#include "sequence.h"

#include <stdio.h>

/* So that numbers of all heads' channels are of 32 bits. */
#define MAX_HEADS    32768u
#define MAX_CHANNELS 32768u

vka_tensor nn_heads_of(const vka_tensor *t, uint32_t first, uint32_t heads, uint32_t dim) {
    uint64_t columns = t->shape[2], rows = t->shape[1] ? t->shape[1] : 1;
    vka_tensor h = {.buffer = t->buffer,
                    .offset = t->offset + (uint64_t)first * vka_dtype_size(t->dtype),
                    .dtype = t->dtype,
                    .rank = 4,
                    .shape = {t->shape[0], heads, t->shape[1], dim},
                    .stride = {rows * columns, dim, columns, 1}};
    return h;
}

/* Rows `first` .. of a projection, or of what there is of its gradient. */
static vka_nn_linear rows_of(const vka_nn_linear *l, uint32_t first, uint32_t rows) {
    vka_nn_linear r = *l;
    uint64_t row = l->weight.stride[0] ? l->weight.stride[0] : l->weight.shape[1];
    uint64_t step = l->bias.stride[0] ? l->bias.stride[0] : 1;
    if (r.weight.dtype) {
        r.weight.shape[0] = rows;
        r.weight.offset += first * row / vka_dtype_block(l->weight.dtype) * vka_dtype_size(l->weight.dtype);
    }
    if (r.bias.dtype) {
        r.bias.shape[0] = rows;
        r.bias.offset += first * step * vka_dtype_size(l->bias.dtype);
    }
    return r;
}

/* ---- checks ---------------------------------------------------------------------------------------------------------- */

static bool check_projection(vka_nn_sequence *s, const char *field, const char *name, const vka_nn_linear *l,
                             uint32_t outputs, uint32_t inputs) {
    char weight[32], bias[32];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    return nn_has_shape(s, field, weight, &l->weight, 2, (uint32_t[]){outputs, inputs}) &&
           (!l->bias.dtype || nn_has_shape(s, field, bias, &l->bias, 1, &outputs));
}

/* Rows of a weight that heads share; 0: refused. */
static uint32_t dim_of(vka_nn_sequence *s, const char *field, const char *name, const vka_tensor *weight,
                       uint32_t heads) {
    char item[96];
    snprintf(item, sizeof item, "%s%s", field, name);
    if (!weight->dtype || weight->rank != 2) {
        nn_refuse(s, item, weight->dtype ? "must have two dimensions" : "is required");
        return 0;
    }
    if (weight->shape[0] % heads || !weight->shape[0])
        nn_refuse(s, item, "has %u rows, but they must be a multiple of %u heads", weight->shape[0], heads);
    else if (weight->shape[0] / heads > MAX_CHANNELS)
        nn_refuse(s, item, "has %u rows, but for %u heads at most %u", weight->shape[0], heads, heads * MAX_CHANNELS);
    return s->status == VKA_OK ? weight->shape[0] / heads : 0;
}

static bool find_dims(vka_nn_sequence *s, const char *field, const vka_nn_attention_desc *d, nn_attention_sizes *n) {
    char item[96];
    snprintf(item, sizeof item, "%sheads", field);
    n->heads = d->heads;
    n->kv_heads = d->kv_heads ? d->kv_heads : d->heads;
    if (!n->heads || n->heads > MAX_HEADS) {
        nn_refuse(s, item, "is %u, but must be 1 .. %u", n->heads, MAX_HEADS);
        return false;
    }
    if (n->heads % n->kv_heads) {
        nn_refuse(s, item, "is %u, but must be a multiple of %u kv_heads", n->heads, n->kv_heads);
        return false;
    }
    if (d->qkv.weight.dtype) {
        n->dim = n->value_dim = dim_of(s, field, "qkv.weight", &d->qkv.weight, n->heads + 2 * n->kv_heads);
        return n->dim != 0;
    }
    n->dim = dim_of(s, field, "q.weight", &d->q.weight, n->heads);
    n->value_dim = n->dim ? dim_of(s, field, "v.weight", &d->v.weight, n->kv_heads) : 0;
    return n->dim && n->value_dim;
}

static const vka_tensor *keys_of(const vka_nn_attention_desc *d) {
    return d->memory.dtype ? &d->memory : &d->x;
}

static const vka_tensor *values_of(const vka_nn_attention_desc *d) {
    return d->values.dtype ? &d->values : keys_of(d);
}

static bool check_inputs(vka_nn_sequence *s, const char *field, const vka_nn_attention_desc *d, nn_attention_sizes *n) {
    const vka_tensor *inputs[] = {&d->x, keys_of(d), values_of(d)};
    const char *const names[] = {"x", "memory", "values"};
    char item[96];
    for (int i = 0; i < 3; ++i) {
        if (!nn_has_shape(s, field, names[i], inputs[i], 0, NULL))
            return false;
        snprintf(item, sizeof item, "%s%s", field, names[i]);
        if (inputs[i]->rank != 3 || inputs[i]->shape[0] != d->x.shape[0]) {
            nn_refuse(s, item, "must have three dimensions, [batch, tokens, width], and x's batch");
            return false;
        }
    }
    n->batch = d->x.shape[0], n->queries = d->x.shape[1], n->width = d->x.shape[2];
    n->keys = inputs[1]->shape[1];
    if (inputs[2]->shape[1] != n->keys) {
        snprintf(item, sizeof item, "%svalues", field);
        nn_refuse(s, item, "has %u tokens, but keys have %u", inputs[2]->shape[1], n->keys);
    }
    return s->status == VKA_OK;
}

static bool check_weights(vka_nn_sequence *s, const char *field, const vka_nn_attention_desc *d, const nn_attention_sizes *n) {
    uint32_t keys = n->kv_heads * n->dim, values = n->kv_heads * n->value_dim;
    uint32_t key_width = keys_of(d)->shape[2], value_width = values_of(d)->shape[2];
    bool packed = d->qkv.weight.dtype;
    if (packed && (!nn_is_absent(s, field, "q.weight", &d->q.weight) ||
                   !nn_is_absent(s, field, "k.weight", &d->k.weight) ||
                   !nn_is_absent(s, field, "v.weight", &d->v.weight)))
        return false;
    if (!check_projection(s, field, "projection", &d->projection, n->width, n->heads * n->value_dim))
        return false;
    if (!packed)
        return check_projection(s, field, "q", &d->q, n->heads * n->dim, n->width) &&
               check_projection(s, field, "k", &d->k, keys, key_width) &&
               check_projection(s, field, "v", &d->v, values, value_width);
    char item[96];
    snprintf(item, sizeof item, "%sqkv.weight", field);
    if (key_width != n->width || value_width != n->width)
        nn_refuse(s, item, "is for keys and values of x's width %u", n->width);
    return check_projection(s, field, "qkv", &d->qkv, (n->heads + 2 * n->kv_heads) * n->dim, n->width);
}

static bool check_cache(vka_nn_sequence *s, const char *field, const vka_nn_attention_desc *d) {
    const vka_attention_desc *a = &d->attention;
    bool absent = nn_is_absent(s, field, "attention.q", &a->q) && nn_is_absent(s, field, "attention.k", &a->k) &&
                  nn_is_absent(s, field, "attention.v", &a->v) && nn_is_absent(s, field, "attention.out", &a->out);
    if (!d->k_cache.dtype)
        return absent && nn_is_absent(s, field, "v_cache", &d->v_cache) &&
               nn_is_absent(s, field, "k_scale", &d->k_scale) && nn_is_absent(s, field, "v_scale", &d->v_scale) &&
               nn_is_absent(s, field, "page_table", &d->page_table) &&
               nn_is_absent(s, field, "lengths", &d->lengths) && nn_is_absent(s, field, "new_lengths", &d->new_lengths);
    return absent && nn_has_shape(s, field, "v_cache", &d->v_cache, 0, NULL) &&
           nn_has_shape(s, field, "lengths", &d->lengths, 0, NULL) &&
           nn_has_shape(s, field, "new_lengths", &d->new_lengths, 0, NULL) &&
           nn_is_absent(s, field, "memory", &d->memory) && nn_is_absent(s, field, "values", &d->values) &&
           nn_is_absent(s, field, "attention.kv_lengths", &a->kv_lengths.tensor) &&
           nn_is_absent(s, field, "attention.page_table", &a->page_table) &&
           nn_is_absent(s, field, "attention.k_scale", &a->k_scale) &&
           nn_is_absent(s, field, "attention.v_scale", &a->v_scale);
}

/* ---- projections ------------------------------------------------------------------------------------------------------ */

uint32_t nn_list_projections(const vka_nn_attention_desc *d, const vka_nn_attention_desc *g,
                             const nn_attention_sizes *n, nn_projection p[3]) {
    static const vka_nn_linear none;
    const uint32_t columns[] = {n->heads * n->dim, n->kv_heads * n->dim, n->kv_heads * n->value_dim};
    const vka_tensor *const inputs[] = {&d->x, keys_of(d), values_of(d)};
    const vka_nn_linear *const linears[] = {&d->q, &d->k, &d->v};
    const vka_nn_linear *const gradients[] = {g ? &g->q : &none, g ? &g->k : &none, g ? &g->v : &none};
    bool packed = d->qkv.weight.dtype;
    if (packed && inputs[2] == &d->x && inputs[1] == &d->x) {
        p[0] = (nn_projection){
            d->qkv, g ? g->qkv : none, &d->x, n->queries, columns[0] + columns[1] + columns[2], {0}};
        return 1;
    }
    for (uint32_t i = 0, first = 0; i < 3; first += columns[i++]) {
        p[i] = (nn_projection){*linears[i], *gradients[i], inputs[i], i ? n->keys : n->queries, columns[i], {0}};
        if (packed) {
            p[i].linear = rows_of(&d->qkv, first, columns[i]);
            p[i].gradient = rows_of(g ? &g->qkv : &none, first, columns[i]);
        }
    }
    return 3;
}

void nn_find_heads(const nn_projection *p, uint32_t count, const nn_attention_sizes *n, vka_tensor heads[3]) {
    const uint32_t dims[] = {n->dim, n->dim, n->value_dim};
    for (uint32_t i = 0, first = 0; i < 3; ++i) {
        uint32_t of = i ? n->kv_heads : n->heads;
        heads[i] = nn_heads_of(&p[count == 1 ? 0 : i].out, count == 1 ? first : 0, of, dims[i]);
        first += of * dims[i];
    }
}

/* ---- the layer --------------------------------------------------------------------------------------------------------- */

static void rotate(vka_nn_sequence *s, const vka_nn_attention_desc *d, const vka_tensor *x) {
    vka_rope_desc r = {.x = *x, .out = *x, .options = d->rope};
    if (d->k_cache.dtype)
        r.positions.tensor = d->lengths;
    nn_operation(s, VKA_OPERATION_ROPE, &r, sizeof r);
}

/* Appends, and lets attention read the cache. */
static void use_cache(vka_nn_sequence *s, const vka_nn_attention_desc *d, vka_attention_desc *a) {
    const vka_cache_append_desc append = {.k = a->k,
                                          .v = a->v,
                                          .k_cache = d->k_cache,
                                          .v_cache = d->v_cache,
                                          .k_scale = d->k_scale,
                                          .v_scale = d->v_scale,
                                          .page_table = d->page_table,
                                          .lengths.tensor = d->lengths,
                                          .new_lengths = d->new_lengths,
                                          .rotate = d->rotate,
                                          .rope = d->rope};
    nn_operation(s, VKA_OPERATION_CACHE_APPEND, &append, sizeof append);
    a->k = d->k_cache;
    a->v = d->v_cache;
    a->k_scale = d->k_scale;
    a->v_scale = d->v_scale;
    a->page_table = d->page_table;
    a->kv_lengths.tensor = d->new_lengths;
}

static bool check(vka_nn_sequence *s, const char *field, const vka_nn_attention_desc *d, nn_attention_sizes *n) {
    return check_inputs(s, field, d, n) && find_dims(s, field, d, n) && check_weights(s, field, d, n) &&
           check_cache(s, field, d) && (!s->keep || nn_is_absent(s, field, "k_cache", &d->k_cache)) &&
           (s->backward || nn_has_shape(s, field, "out", &d->out, 3, d->x.shape)) &&
           (!d->residual.dtype || nn_has_shape(s, field, "residual", &d->residual, 3, d->x.shape)) &&
           nn_is_not_x(s, field, &d->x, &d->out);
}

/* Queries, keys and values, and attention of them. */
static void attend(vka_nn_sequence *s, const vka_nn_attention_desc *d, const nn_attention_sizes *n,
                   nn_attention_results *r) {
    nn_projection p[3];
    vka_tensor heads[3];
    vka_attention_desc *a = &r->attention;
    uint32_t count = nn_list_projections(d, NULL, n, p);
    for (uint32_t i = 0; i < count; ++i) {
        p[i].out = nn_take_kept(s, d->x.dtype, 3, (uint32_t[]){n->batch, p[i].rows, p[i].columns});
        nn_project(s, &p[i].linear, p[i].input, VKA_ACTIVATION_NONE, NULL, &p[i].out);
    }
    nn_find_heads(p, count, n, heads);
    a->q = heads[0], a->k = heads[1], a->v = heads[2];
    if (d->rotate)
        rotate(s, d, &a->q);
    if (d->k_cache.dtype)
        use_cache(s, d, a);
    else if (d->rotate)
        rotate(s, d, &a->k);
    r->merged = nn_take_kept(s, d->x.dtype, 3, (uint32_t[]){n->batch, n->queries, n->heads * n->value_dim});
    a->out = nn_heads_of(&r->merged, 0, n->heads, n->value_dim);
    if (s->keep && !a->lse.dtype)
        a->lse = nn_take_kept(s, VKA_F32, 3, (uint32_t[]){n->batch, n->heads, n->queries});
    nn_run(s, VKA_OPERATION_ATTENTION, a, sizeof *a, &a->workspace);
    for (uint32_t i = 0; i < count; ++i)
        nn_give_back_kept(s, &p[i].out);
}

void nn_build_attention(vka_nn_sequence *s, const char *field, const vka_nn_attention_desc *d,
                        nn_attention_results *r) {
    *r = (nn_attention_results){.attention = d->attention};
    if (!check(s, field, d, &r->sizes))
        return;
    attend(s, d, &r->sizes, r);
    if (d->out.dtype)
        nn_project(s, &d->projection, &r->merged, VKA_ACTIVATION_NONE, d->residual.dtype ? &d->residual : NULL,
                   &d->out);
    if (s->keep && !d->attention.lse.dtype)
        nn_give_back_kept(s, &r->attention.lse);
    nn_give_back_kept(s, &r->merged);
}

static void build(vka_nn_sequence *s, const void *desc) {
    const vka_nn_attention_desc *d = desc;
    nn_attention_results r;
    if (nn_begin_forward(s, d->keep, &d->kept))
        nn_build_attention(s, "", d, &r);
}

vka_status vka_nn_attention_sized(vka_nn_sequence *s, const vka_nn_attention_desc *desc, size_t desc_size) {
    static const char function[] = "vka_nn_attention";
    vka_nn_attention_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_attention.sequence");
    return nn_read(s, function, &d, sizeof d, desc, desc_size) ? nn_add(s, function, build, &d) : s->status;
}

vka_status vka_nn_attention_kept_bytes_sized(vka_nn_sequence *s, const vka_nn_attention_desc *desc, size_t desc_size,
                                             uint64_t *bytes) {
    static const char function[] = "vka_nn_attention_kept_bytes";
    vka_nn_attention_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_attention_kept_bytes.sequence");
    return nn_read(s, function, &d, sizeof d, desc, desc_size) ? nn_measure(s, function, build, &d, bytes) : s->status;
}
