/* vka_attention_backward: a sum for each row, a pass over queries, one over keys, and those of what is added to scores.
 * SPDX-License-Identifier: MIT */
#include "ops/attention_backward/attention_backward.h"

#include <string.h>

#include "ops/attention/paths.h"
#include "ops/attention/tensors.h"

enum { ARGS = VKA__BACKWARD_ARGS };
enum { PATH = VKA__ATTENTION_NUMBER_COUNT, NUMBERS };

#define DESC(field) offsetof(vka_attention_backward_desc, field)
#define FORWARD     DESC(forward)
#define GRADIENT(name, shape, types, flags_)                                                                           \
    { #name, shape, DESC(name), VKA__NONE, types, .flags = flags_, .access = VKA__WRITE, .extent = VKA__CUSTOM }

/* Letters as of vka_attention. */
static const vka__arg args[ARGS] = {
    VKA__ATTENTION_TENSORS("forward.", FORWARD, VKA__FLOATS, VKA__REQUIRED, VKA__READ),
    [VKA__BACKWARD_D_OUT] = {"d_out", "B G N V", DESC(d_out), VKA__NONE, VKA__FLOATS, .flags = VKA__REQUIRED,
                             .access = VKA__READ, .extent = VKA__CUSTOM},
    [VKA__BACKWARD_D_LSE] = {"d_lse", "B G N", DESC(d_lse), VKA__NONE, VKA__TYPE(VKA_F32), .flags = VKA__PER_ROW,
                             .access = VKA__READ, .extent = VKA__CUSTOM},
    [VKA__BACKWARD_D_Q] = GRADIENT(d_q, "B G N D", VKA__FLOATS, 0),
    [VKA__BACKWARD_D_K] = GRADIENT(d_k, "Y K M D", VKA__FLOATS, 0),
    [VKA__BACKWARD_D_V] = GRADIENT(d_v, "Z K M V", VKA__FLOATS, 0),
    [VKA__BACKWARD_D_MASK] = GRADIENT(d_mask, NULL, VKA__FLOATS, 0),
    [VKA__BACKWARD_D_ALIBI] = GRADIENT(d_alibi_slopes, "G", VKA__TYPE(VKA_F32), 0),
    [VKA__BACKWARD_D_RELATIVE] = GRADIENT(d_relative_bias, NULL, VKA__TYPE(VKA_F32), 0),
    [VKA__BACKWARD_D_SINKS] = GRADIENT(d_sinks, "G", VKA__TYPE(VKA_F32), 0),
    [VKA__BACKWARD_D_COSINE] = GRADIENT(d_cosine_scale, "G", VKA__TYPE(VKA_F32), 0),
    [VKA__BACKWARD_D_RELATIVE_KEYS] = GRADIENT(d_relative_keys, "1|G L D", VKA__FLOATS, 0),
    [VKA__BACKWARD_D_CONTENT] = GRADIENT(d_content_bias, "G D", VKA__FLOATS, 0),
    [VKA__BACKWARD_D_POSITION] = GRADIENT(d_position_bias, "G D", VKA__FLOATS, 0),
};
static const vka__limit limits[] = {VKA__ATTENTION_LIMITS, {0}};
static const vka__number numbers[NUMBERS] = {
    VKA__ATTENTION_NUMBERS("forward.", FORWARD),
    [PATH] = {"path", DESC(path), VKA__NUMBER_ENUM, false, 0, VKA_ATTENTION_BACKWARD_PATH_DOT, 0,
              "vka_attention_backward_path"},
};

static const vka__backward_state *state_of(const vka__call *c) {
    return (const vka__backward_state *)(const void *)c->state;
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

/* Strides as kernels get them; those that are never taken may exceed 32 bits. */
static vka_strides strides_of(const vka__view *v) {
    return vka__box_strides(v, v->shape);
}

/* Of a table of relative biases: head, row and column; a table of distances has a single row. */
static void fill_relative(const vka__attention_problem *p, const vka__view *v, vka_attention_backward_params *b) {
    uint32_t head = p->relative_width ? 1 : 2;
    b->d_relative = (vka_strides){0, (uint32_t)v->stride[head], p->relative_width ? (uint32_t)v->stride[2] : 0,
                                  (uint32_t)v->stride[3]};
    b->relative_size = (vka_strides){1, v->shape[head], p->relative_width ? v->shape[2] : 1, v->shape[3]};
}

/* ALiBi's slopes and factors of cosines, which do not go together, take the same way. */
static const vka__view *d_slopes(const vka__call *c) {
    return &c->view[vka__call_has(c, VKA__BACKWARD_D_COSINE) ? VKA__BACKWARD_D_COSINE : VKA__BACKWARD_D_ALIBI];
}

static bool wants_parts(const vka__call *c) {
    return vka__call_has(c, VKA__BACKWARD_D_CONTENT) || vka__call_has(c, VKA__BACKWARD_D_POSITION);
}

static bool is_shared(const vka__attention_problem *p) {
    return p->k.shape[0] == 1 && p->batch > 1 && !(p->options & VKA_FLAG_KV_OFFSETS);
}

/* What the workspace has, in floats: a sum of each query, its share of slopes' gradients, its and keys' 1 / length, its
 * two parts of d_q. Returns their number. */
static uint64_t lay_out(const vka__call *c, vka_attention_backward_params *b) {
    const vka__attention_problem *p = &state_of(c)->problem;
    uint64_t rows = vka__volume(p->q.shape), keys = vka__volume(p->k.shape), end = rows;
    uint64_t slopes = end, query_norms = end += d_slopes(c)->present ? rows : 0;
    uint64_t key_norms = end += p->cosine.present ? rows : 0;
    uint64_t parts = end += p->cosine.present ? keys : 0;
    uint64_t part = wants_parts(c) ? rows * 4 * vka__div_up(p->q.shape[3], 4) : 0;
    b->delta = (vka_strides){b->out_heads * b->out_rows, b->out_rows, 1, (uint32_t)slopes};
    b->key_norm = (vka_strides){p->k.shape[1] * p->k.shape[2], p->k.shape[2], 1, (uint32_t)key_norms};
    if (b->out_batches < 2)
        b->delta.b = 0; /* of packed sequences */
    if (b->key_batches < 2)
        b->key_norm.b = 0;
    b->query_norms = (uint32_t)query_norms;
    b->parts = (uint32_t)parts;
    return end + 2 * part;
}

static void fill_products(const vka__call *c, vka_attention_backward_params *b) {
    const vka__view *keys = &c->view[VKA__BACKWARD_D_RELATIVE_KEYS], *content = &c->view[VKA__BACKWARD_D_CONTENT];
    const vka__view *position = &c->view[VKA__BACKWARD_D_POSITION];
    b->d_relative_keys =
        (vka_strides){0, (uint32_t)keys->stride[1], (uint32_t)keys->stride[2], (uint32_t)keys->stride[3]};
    b->relative_heads = keys->shape[1] > 1 ? 1 : b->out_heads;
    b->d_content = strides_of(content);
    b->d_position = strides_of(position);
}

static void fill_params(vka__call *c) {
    vka__backward_state *s = VKA__STATE(c, vka__backward_state);
    const vka__attention_problem *p = &s->problem;
    vka__backward_params *params = VKA__PARAMS(c, vka__backward_params);
    vka_attention_backward_params *b = &params->backward;
    const vka__view *view = c->view, *mask = &view[VKA__BACKWARD_D_MASK];
    /* As of an attention that is not cut at all. */
    const vka__attention_plan whole = {.splits = 1, .part_keys = p->k.shape[2]};
    vka__attention_fill_params(c->caps, p, &whole, &params->forward);
    params->forward.splits = params->forward.parts = 1;
    b->d_out = strides_of(&view[VKA__BACKWARD_D_OUT]);
    b->d_lse = strides_of(&view[VKA__BACKWARD_D_LSE]);
    b->d_q = strides_of(&view[VKA__BACKWARD_D_Q]);
    b->d_k = strides_of(&view[VKA__BACKWARD_D_K]);
    b->d_v = strides_of(&view[VKA__BACKWARD_D_V]);
    if (mask->present) {
        b->d_mask = strides_of(mask);
        b->mask_size = (vka_strides){mask->shape[0], mask->shape[1], mask->shape[2], mask->shape[3]};
    }
    if (view[VKA__BACKWARD_D_RELATIVE].present)
        fill_relative(p, &view[VKA__BACKWARD_D_RELATIVE], b);
    b->out_batches = p->q.shape[0];
    b->out_heads = p->q.shape[1];
    b->out_rows = p->q.shape[2];
    b->key_batches = p->k.shape[0];
    lay_out(c, b);
    fill_products(c, b);
    b->sequences = p->batch;
    b->sharers = is_shared(p) ? p->batch : 1;
    b->grad_scale = p->scale;
    b->d_sinks_step = (uint32_t)view[VKA__BACKWARD_D_SINKS].stride[3];
    b->d_alibi_step = (uint32_t)d_slopes(c)->stride[3];
}

/* ---- plan -------------------------------------------------------------------------------------------------------- */

static vka__pipeline_key *key_of(vka__call *c, vka__backward_pass pass, vka__kernel kernel, uint32_t group_size) {
    c->key[pass].kernel = kernel;
    c->key[pass].spec[VKA_SPEC_GROUP_SIZE] = group_size;
    return &c->key[pass];
}

static void set_type(vka__pipeline_key *key, uint32_t role, const vka__view *v) {
    key->spec[VKA_SPEC_TYPES] &= ~(15u << 4 * role);
    if (v->present)
        key->spec[VKA_SPEC_TYPES] |= (uint32_t)v->dtype << 4 * role;
}

void vka__backward_add_pass(vka__call *c, vka__backward_pass pass, uint64_t x, uint32_t y, uint32_t z, uint64_t work) {
    vka__backward_plan *plan = &VKA__STATE(c, vka__backward_state)->plan;
    if (!x || !y || !z)
        return;
    plan->grid[pass] = vka__grid_of(c->caps, (uint32_t)x, y, z);
    vka__grid_cap_ops(&plan->grid[pass], c->caps, 2 * work);
    plan->chunks[pass] = vka__grid_chunks(&plan->grid[pass]);
    c->dispatches += plan->chunks[pass];
}

static void plan_delta(vka__call *c) {
    const vka__attention_problem *p = VKA__STATE(c, vka__attention_problem);
    const vka__view *d_out = &c->view[VKA__BACKWARD_D_OUT];
    uint32_t t = vka__group_size(c->caps, c->caps->type == VKA_DEVICE_CPU ? 8 : 64);
    vka__pipeline_key *key = key_of(c, VKA__PASS_DELTA, VKA__attention_backward_delta, t);
    key->spec[VKA_SPEC_DV] = p->v.shape[3];
    key->spec[VKA_SPEC_FLAGS] = (vka__view_vec4(&p->out) ? VKA_FLAG_VEC4_OUT : 0) |
                                (vka__view_vec4(d_out) ? VKA_FLAG_VEC4_D_OUT : 0) |
                                (vka__call_has(c, VKA__BACKWARD_D_LSE) ? VKA_FLAG_D_LSE : 0);
    set_type(key, VKA_ROLE_OUT, &p->out);
    set_type(key, VKA_ROLE_DELTA_D_OUT, d_out);
    vka__backward_add_pass(c, VKA__PASS_DELTA, vka__div_up(p->q.shape[2], t), p->q.shape[1], p->q.shape[0],
                           (uint64_t)t * p->v.shape[3]);
}

/* Constants that all other passes share. */
static void fill_spec(const vka__call *c, vka__pipeline_key *key) {
    const vka__attention_problem *p = &state_of(c)->problem;
    const vka__view *d_out = &c->view[VKA__BACKWARD_D_OUT];
    vka__attention_fill_spec(c->caps, p, false, key->spec);
    key->spec[VKA_SPEC_FLAGS] &= ~(uint32_t)(VKA_FLAG_VEC4_OUT | VKA_BACKWARD_FLAGS);
    key->spec[VKA_SPEC_FLAGS] |= vka__view_vec4(d_out) ? VKA_FLAG_VEC4_OUT : 0;
    set_type(key, VKA_ROLE_OUT, d_out);
    set_type(key, VKA_ROLE_GRAD, &(vka__view){0});
    set_type(key, VKA_ROLE_GRAD_V, &(vka__view){0});
    if (p->relative_keys.present) {
        const vka__view *bias = p->content.present ? &p->content : &p->position;
        key->spec[VKA_SPEC_COLS] = (uint32_t)p->relative_keys.dtype << 4 * VKA_PRODUCT_TYPE_KEYS |
                                   (bias->present ? (uint32_t)bias->dtype : 0) << 4 * VKA_PRODUCT_TYPE_BIAS;
    }
}

static void plan_norms(vka__call *c) {
    const vka__attention_problem *p = &state_of(c)->problem;
    uint32_t t = vka__group_size(c->caps, c->caps->type == VKA_DEVICE_CPU ? 8 : 64);
    fill_spec(c, key_of(c, VKA__PASS_NORMS, VKA__attention_backward_norms, t));
    vka__backward_add_pass(c, VKA__PASS_NORMS, vka__div_up(vka__max_u32(p->q.shape[2], p->k.shape[2]), t),
                           p->q.shape[1] + p->k.shape[1], vka__max_u32(p->q.shape[0], p->k.shape[0]),
                           (uint64_t)t * p->q.shape[3]);
}

static void plan_queries(vka__call *c) {
    const vka__attention_problem *p = &state_of(c)->problem;
    const vka__view *d_q = &c->view[VKA__BACKWARD_D_Q];
    vka__pipeline_key *key = &c->key[VKA__PASS_QUERIES];
    fill_spec(c, key);
    set_type(key, VKA_ROLE_GRAD, d_q);
    key->spec[VKA_SPEC_FLAGS] |= d_q->present && vka__view_vec4(d_q) ? VKA_FLAG_VEC4_GRAD : 0;
    key->spec[VKA_SPEC_FLAGS] |= d_slopes(c)->present ? VKA_FLAG_D_ALIBI : 0;
    key->spec[VKA_SPEC_FLAGS] |= wants_parts(c) ? VKA_FLAG_D_PARTS : 0;
    uint32_t rows = p->options & VKA_FLAG_Q_OFFSETS ? p->q_len : p->q.shape[2], tile = key->spec[VKA_SPEC_BR];
    uint32_t keys = p->key_lists.present ? p->key_lists.shape[3] : p->kv_len;
    vka__backward_add_pass(c, VKA__PASS_QUERIES, vka__div_up(rows, tile), p->q.shape[1], p->batch,
                           (uint64_t)tile * keys * (2 * p->q.shape[3] + p->v.shape[3]));
}

/* Queries that a key has, of lists on average. */
static uint64_t queries_of_key(const vka__attention_problem *p) {
    const vka__view *lists = &p->key_lists;
    uint64_t entries = (uint64_t)p->q_len * lists->shape[3];
    return lists->present ? vka__min_u64(entries / vka__max_u32(p->kv_len, 1) + 1, p->q_len) : p->q_len;
}

static void plan_keys(vka__call *c) {
    const vka__attention_problem *p = &state_of(c)->problem;
    const vka__view *d_k = &c->view[VKA__BACKWARD_D_K], *d_v = &c->view[VKA__BACKWARD_D_V];
    vka__pipeline_key *key = &c->key[VKA__PASS_KEYS];
    fill_spec(c, key);
    set_type(key, VKA_ROLE_GRAD, d_k);
    set_type(key, VKA_ROLE_GRAD_V, d_v);
    key->spec[VKA_SPEC_FLAGS] |= d_k->present && vka__view_vec4(d_k) ? VKA_FLAG_VEC4_GRAD : 0;
    key->spec[VKA_SPEC_FLAGS] |= d_v->present && vka__view_vec4(d_v) ? VKA_FLAG_VEC4_GRAD_V : 0;
    uint32_t rows = p->options & VKA_FLAG_KV_OFFSETS ? p->kv_len : p->k.shape[2], tile = key->spec[VKA_SPEC_BR];
    uint32_t sharers = VKA__PARAMS(c, vka__backward_params)->backward.sharers;
    vka__backward_add_pass(c, VKA__PASS_KEYS, vka__div_up(rows, tile), p->k.shape[1], p->batch / sharers,
                           tile * queries_of_key(p) * vka__group_of(p) * sharers * 2 * (p->q.shape[3] + p->v.shape[3]));
}

static void plan_heads(vka__call *c) {
    const vka__attention_problem *p = &state_of(c)->problem;
    uint32_t t = vka__group_size(c->caps, c->caps->type == VKA_DEVICE_CPU ? 8 : 128);
    vka__pipeline_key *key = key_of(c, VKA__PASS_HEADS, VKA__attention_backward_heads, t);
    fill_spec(c, key);
    key->spec[VKA_SPEC_FLAGS] |= (d_slopes(c)->present ? VKA_FLAG_D_ALIBI : 0) |
                                 (vka__call_has(c, VKA__BACKWARD_D_SINKS) ? VKA_FLAG_D_SINKS : 0);
    key->spec[VKA_SPEC_BR] = key->spec[VKA_SPEC_BC] = 1;
    vka__backward_add_pass(c, VKA__PASS_HEADS, p->q.shape[1], 1, 1, (uint64_t)p->batch * p->q_len);
}

/* Elements of which each stands for few pairs have an invocation each, others a workgroup. */
#define MANY_PAIRS 64

static bool plan_bias(vka__call *c, vka__backward_pass pass) {
    const vka__attention_problem *p = &state_of(c)->problem;
    bool relative = pass == VKA__PASS_RELATIVE;
    uint32_t arg = relative ? VKA__BACKWARD_D_RELATIVE : VKA__BACKWARD_D_MASK;
    const vka_attention_backward_params *b = &VKA__PARAMS(c, vka__backward_params)->backward;
    const vka_strides size = relative ? b->relative_size : b->mask_size;
    uint64_t pairs = (uint64_t)p->batch * p->q.shape[1] * p->q_len * p->kv_len;
    uint64_t elements = (uint64_t)size.n * size.d, all = elements * size.b * size.h;
    uint64_t each = vka__max_u64(pairs / vka__max_u64(all, 1), 1);
    if (elements > UINT32_MAX)
        return vka__refuse(&c->refusal, c->op->args[arg].name, "has more than 2^32 - 1 elements of a head");
    uint32_t t = vka__group_size(c->caps, c->caps->type == VKA_DEVICE_CPU ? 8 : 64), team = each >= MANY_PAIRS ? t : 1;
    vka__pipeline_key *key =
        key_of(c, pass, relative ? VKA__attention_backward_relative : VKA__attention_backward_mask, t);
    key->kernel += vka__has_products(p) ? 1 : 0;
    fill_spec(c, key);
    set_type(key, VKA_ROLE_GRAD, &c->view[arg]);
    key->spec[VKA_SPEC_BR] = key->spec[VKA_SPEC_BC] = 1;
    key->spec[VKA_SPEC_RM] = t / team;
    key->spec[VKA_SPEC_TC] = team;
    /* The ends of a table of distances may stand for half of all pairs. */
    uint64_t most = relative ? pairs / vka__max_u32(size.h, 1) : each;
    vka__backward_add_pass(c, pass, (elements + t / team - 1) / (t / team), size.h, size.b,
                           most * (p->q.shape[3] + p->v.shape[3]) * (t / team));
    return true;
}

/* A workgroup has a key of relative positions, of which the first and the last may stand for half of all pairs. */
static void plan_relative_keys(vka__call *c) {
    const vka__attention_problem *p = &state_of(c)->problem;
    const vka__view *d_keys = &c->view[VKA__BACKWARD_D_RELATIVE_KEYS];
    uint32_t t = vka__group_size(c->caps, c->caps->type == VKA_DEVICE_CPU ? 8 : 64);
    vka__pipeline_key *key = key_of(c, VKA__PASS_RELATIVE_KEYS, VKA__attention_backward_relative_keys, t);
    fill_spec(c, key);
    set_type(key, VKA_ROLE_GRAD, d_keys);
    key->spec[VKA_SPEC_FLAGS] |= vka__view_vec4(d_keys) ? VKA_FLAG_VEC4_GRAD : 0;
    key->spec[VKA_SPEC_BR] = key->spec[VKA_SPEC_BC] = 1;
    uint64_t pairs = (uint64_t)p->batch * p->q.shape[1] / d_keys->shape[1] * p->q_len * p->kv_len;
    vka__backward_add_pass(c, VKA__PASS_RELATIVE_KEYS, d_keys->shape[2], d_keys->shape[1], 1,
                           pairs * (3 * p->q.shape[3] + p->v.shape[3]));
}

/* A bias of queries. */
static void plan_content(vka__call *c, vka__backward_pass pass, uint32_t arg) {
    const vka__attention_problem *p = &state_of(c)->problem;
    uint32_t t = vka__group_size(c->caps, c->caps->type == VKA_DEVICE_CPU ? 8 : 64);
    vka__pipeline_key *key = key_of(c, pass, VKA__attention_backward_content, t);
    fill_spec(c, key);
    set_type(key, VKA_ROLE_GRAD, &c->view[arg]);
    key->spec[VKA_SPEC_FLAGS] |= pass == VKA__PASS_POSITION ? VKA_FLAG_BY_POSITION : 0;
    key->spec[VKA_SPEC_BR] = key->spec[VKA_SPEC_BC] = 1;
    vka__backward_add_pass(c, pass, vka__div_up(p->q.shape[3], 4), p->q.shape[1], 1, (uint64_t)p->batch * p->q_len);
}

static bool sees_all(vka__call *c) {
    for (uint32_t i = 0; i < ARGS; ++i)
        if (c->view[i].present && i != VKA__ATTENTION_STATS && i != VKA__ATTENTION_SCORES &&
            !vka__sees_all(c->caps, &c->view[i], args[i].name, &c->refusal))
            return false;
    const vka__attention_problem *p = &state_of(c)->problem;
    if (p->map.present && !vka__sees_all(c->caps, &p->map, "forward.pattern", &c->refusal))
        return false;
    vka_attention_backward_params unused = {0};
    c->workspace_bytes = vka__align_up(4 * lay_out(c, &unused), 256);
    return true;
}

static bool sees_workspace(vka__call *c) {
    return c->workspace_bytes <= vka__min_u64(c->caps->storage_range, UINT64_C(1) << 32) ||
           vka__refuse_span(c->caps, "workspace", "the sums of all rows and the tiles of a pattern or entries of lists",
                            &c->refusal);
}

/* Sums over pairs ask how often a list has a key. */
static bool needs_sort(const vka__call *c, bool keys) {
    const vka__attention_problem *p = &state_of(c)->problem;
    bool pairs = vka__call_has(c, VKA__BACKWARD_D_MASK) || vka__call_has(c, VKA__BACKWARD_D_RELATIVE);
    return p->key_lists.present ? keys || pairs : p->map.present && keys;
}

static bool plan(vka__call *c) {
    vka__backward_state *s = VKA__STATE(c, vka__backward_state);
    s->plan.options = vka__attention_has_options(&s->problem);
    if (s->plan.options && c->caps->storage_buffers < VKA_OPTIONS_BUFFERS)
        return vka__refuse(&c->refusal, "desc", "its options need %u storage buffers, but a kernel has %u here",
                           VKA_OPTIONS_BUFFERS, c->caps->storage_buffers);
    if (!sees_all(c) || !vka__backward_choose(c))
        return false;
    bool slopes = d_slopes(c)->present;
    c->key_count = VKA__PASSES;
    fill_params(c);
    plan_delta(c);
    if (s->problem.cosine.present)
        plan_norms(c);
    if (vka__call_has(c, VKA__BACKWARD_D_Q) || slopes || wants_parts(c))
        plan_queries(c);
    bool keys = vka__call_has(c, VKA__BACKWARD_D_K) || vka__call_has(c, VKA__BACKWARD_D_V);
    if (keys)
        plan_keys(c);
    if (needs_sort(c, keys) && !vka__backward_plan_sort(c))
        return false;
    if (!sees_workspace(c))
        return false;
    if (slopes || vka__call_has(c, VKA__BACKWARD_D_SINKS))
        plan_heads(c);
    if (vka__call_has(c, VKA__BACKWARD_D_MASK) && !plan_bias(c, VKA__PASS_MASK))
        return false;
    if (vka__call_has(c, VKA__BACKWARD_D_RELATIVE) && !plan_bias(c, VKA__PASS_RELATIVE))
        return false;
    if (vka__call_has(c, VKA__BACKWARD_D_RELATIVE_KEYS))
        plan_relative_keys(c);
    if (vka__call_has(c, VKA__BACKWARD_D_CONTENT))
        plan_content(c, VKA__PASS_CONTENT, VKA__BACKWARD_D_CONTENT);
    if (vka__call_has(c, VKA__BACKWARD_D_POSITION))
        plan_content(c, VKA__PASS_POSITION, VKA__BACKWARD_D_POSITION);
    for (int i = 0; i < VKA__PASSES; ++i)
        if (!s->plan.chunks[i])
            c->key[i].kernel = VKA__KERNEL_COUNT;
    return true;
}

/* ---- dispatches -------------------------------------------------------------------------------------------------- */

static void bind_workspace(const vka__call *c, vka__access access, vka__dispatch *out) {
    out->binding[VKA_BIND_WORKSPACE] =
        (vka__binding){.access = access, .source = VKA__SOURCE_WORKSPACE, .range = c->workspace_bytes};
}

/* What says which keys a query sees, and by what score. */
static void bind_options(const vka__call *c, vka__dispatch *out) {
    const vka__attention_problem *p = &state_of(c)->problem;
    vka__bind_all(c->caps, &p->mask, VKA_BIND_MASK, VKA__READ, out);
    vka__bind_all(c->caps, &p->relative, VKA_BIND_RELATIVE, VKA__READ, out);
    vka__bind_all(c->caps, &p->alibi, VKA_BIND_ALIBI, VKA__READ, out);
    vka__bind_all(c->caps, &p->sinks, VKA_BIND_SINKS, VKA__READ, out);
    vka__bind_all(c->caps, &p->q_list, VKA_BIND_Q_LIST, VKA__READ, out);
    vka__bind_all(c->caps, &p->kv_list, VKA_BIND_KV_LIST, VKA__READ, out);
    vka__bind_all(c->caps, &p->map, VKA_BIND_MAP, VKA__READ, out);
    vka__bind_all(c->caps, &p->key_lists, VKA_BIND_KEY_LISTS, VKA__READ, out);
    vka__bind_all(c->caps, &p->random_step, VKA_BIND_RANDOM_STEP, VKA__READ, out);
    vka__bind_all(c->caps, &p->cosine, VKA_BIND_COSINE, VKA__READ, out);
    vka__bind_all(c->caps, &p->relative_keys, VKA_BIND_RELATIVE_KEYS, VKA__READ, out);
    vka__bind_all(c->caps, &p->content, VKA_BIND_CONTENT, VKA__READ, out);
    vka__bind_all(c->caps, &p->position, VKA_BIND_POSITION, VKA__READ, out);
}

static void bind_pass(const vka__call *c, vka__backward_pass pass, vka__dispatch *out) {
    const vka__attention_problem *p = &state_of(c)->problem;
    const vka__view *view = c->view;
    uint32_t grad = VKA_BIND_GRAD + (state_of(c)->plan.options ? VKA_OPTION_BIND : 0);
    /* Where ALiBi has no gradient the kernel with options still has the instruction that would write. */
    bool sums = pass == VKA__PASS_QUERIES && state_of(c)->plan.options;
    bool writes = pass == VKA__PASS_DELTA || pass == VKA__PASS_NORMS;
    bind_workspace(c, writes ? VKA__WRITE : sums ? VKA__READ_WRITE : VKA__READ, out);
    if (pass == VKA__PASS_DELTA) {
        vka__bind_all(c->caps, &p->out, VKA_BIND_DELTA_OUT, VKA__READ, out);
        vka__bind_all(c->caps, &view[VKA__BACKWARD_D_OUT], VKA_BIND_DELTA_D_OUT, VKA__READ, out);
        vka__bind_all(c->caps, &view[VKA__BACKWARD_D_LSE], VKA_BIND_DELTA_D_LSE, VKA__READ, out);
        return;
    }
    bind_options(c, out);
    vka__bind_all(c->caps, &p->lse, VKA_BIND_LSE, VKA__READ, out);
    if (pass == VKA__PASS_HEADS) {
        vka__bind_all(c->caps, &view[VKA__BACKWARD_D_SINKS], VKA_BIND_D_SINKS, VKA__WRITE, out);
        vka__bind_all(c->caps, d_slopes(c), VKA_BIND_D_ALIBI, VKA__WRITE, out);
        return;
    }
    vka__bind_all(c->caps, &p->q, VKA_BIND_Q, VKA__READ, out);
    vka__bind_all(c->caps, &p->k, VKA_BIND_K, VKA__READ, out);
    if (pass == VKA__PASS_NORMS)
        return;
    vka__bind_all(c->caps, &p->v, VKA_BIND_V, VKA__READ, out);
    vka__bind_all(c->caps, &view[VKA__BACKWARD_D_OUT], VKA_BIND_D_OUT, VKA__READ, out);
    static const uint32_t written[VKA__PASSES] = {[VKA__PASS_QUERIES] = VKA__BACKWARD_D_Q,
                                                  [VKA__PASS_KEYS] = VKA__BACKWARD_D_K,
                                                  [VKA__PASS_MASK] = VKA__BACKWARD_D_MASK,
                                                  [VKA__PASS_RELATIVE] = VKA__BACKWARD_D_RELATIVE,
                                                  [VKA__PASS_RELATIVE_KEYS] = VKA__BACKWARD_D_RELATIVE_KEYS,
                                                  [VKA__PASS_CONTENT] = VKA__BACKWARD_D_CONTENT,
                                                  [VKA__PASS_POSITION] = VKA__BACKWARD_D_POSITION};
    vka__bind_all(c->caps, &view[written[pass]], grad, VKA__WRITE, out);
    if (pass == VKA__PASS_KEYS)
        vka__bind_all(c->caps, &view[VKA__BACKWARD_D_V], grad + 1, VKA__WRITE, out);
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const vka__backward_plan *plan = &state_of(c)->plan;
    vka__backward_pass pass = VKA__PASS_DELTA;
    while (index >= plan->chunks[pass])
        index -= plan->chunks[pass++];
    uint32_t first[3];
    out->key = pass;
    if (vka__backward_is_of_sort(pass))
        vka__backward_bind_sort(c, pass, out);
    else
        bind_pass(c, pass, out);
    vka__grid_chunk(&plan->grid[pass], index, first, out);
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.z0 = first[2];
}

static void explain(const vka__call *c, vka__text *text) {
    const vka__backward_plan *plan = &state_of(c)->plan;
    const vka__tile *q = &plan->tile[VKA__PASS_QUERIES], *k = &plan->tile[VKA__PASS_KEYS];
    vka__say(text, "path: %s\noptions: %s\n", vka__backward_path_name(plan->path), vka__yes(plan->options));
    vka__say(text, "queries: %u rows by %u keys, shared_bytes %u\n", q->br, q->bc,
             plan->shared_bytes[VKA__PASS_QUERIES]);
    vka__say(text, "keys: %u rows by %u queries, shared_bytes %u\n", k->br, k->bc, plan->shared_bytes[VKA__PASS_KEYS]);
    if (plan->chunks[VKA__PASS_SORT_TILES])
        vka__say(text, "sorted_tiles: %llu\n", (unsigned long long)state_of(c)->problem.pattern->info.live_tiles);
}

_Static_assert(offsetof(vka__backward_state, problem) == 0, "checks of attention look for it there");
_Static_assert(sizeof(vka__backward_block) <= VKA__MAX_PARAMS && sizeof(vka_attention_backward_params) % 16 == 0,
               "both structures lie in one block, by std140");

VKA__OPERATION(attention_backward, .within = "forward.", .within_at = FORWARD,
               .params_size = sizeof(vka__backward_block), .param_blocks = VKA__BACKWARD_BLOCKS,
               .state_size = sizeof(vka__backward_state), .workspace = DESC(workspace), .limits = limits,
               .sizes = vka__attention_sizes_of, .check = vka__backward_check, .plan = plan, .dispatch = dispatch,
               .explain = explain);
