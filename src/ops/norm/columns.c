/* Gradients of weights and biases of norms: columns' sums of chunks of rows, and the sums of those.
 * SPDX-License-Identifier: MIT */
#include "ops/norm/backward.h"

#define STATE(c)    VKA__STATE(c, vka__norm_backward_state)
#define GRADIENT(c) (&VKA__PARAMS(c, vka_norm_backward_params)->gradient)

/* Invocations that the sums of columns keep busy; rows that a chunk has at least, and rows of partial sums at most. */
#define ENOUGH      32768
#define LEAST_CHUNK 16
#define MOST_CHUNKS 2048
/* Workgroups that sums along positions keep busy, and positions that a chunk has at least. */
#define ENOUGH_RUNS 2048
#define LEAST_RUN   4096
/* Positions that are summed along their runs. */
#define LEAST_POSITIONS 64

static bool is_processor(const vka__call *c) {
    return c->caps->type == VKA_DEVICE_CPU;
}

static uint32_t columns(const vka__call *c) {
    return vka__call_letter(c, 'C');
}

static uint32_t flags_of(const vka__call *c) {
    return (vka__call_has(c, VKA__NORM_D_WEIGHT) ? VKA_FLAG_WEIGHT : 0) |
           (vka__call_has(c, VKA__NORM_D_BIAS) ? VKA_FLAG_BIAS : 0) | (STATE(c)->kind.rms ? VKA_FLAG_RMS : 0) |
           (vka__call_has(c, VKA__NORM_D_RESIDUAL) ? VKA_FLAG_RESIDUAL : 0);
}

/* As many invocations side by side as there are vectors of columns, or `most`. */
static void add_columns_key(vka__call *c, vka__kernel kernel, uint32_t vectors, bool vec4) {
    uint32_t group = vka__group_size(c->caps, is_processor(c) ? 8 : 128), across = vka__min_u32(group, 32);
    while (across > 1 && across / 2 >= vectors)
        across /= 2;
    vka__pipeline_key *key = vka__call_add_key(c, kernel, group);
    key->spec[VKA_SPEC_BC] = across;
    key->spec[VKA_SPEC_FLAGS] = flags_of(c) | (vec4 ? VKA_FLAG_VEC4 : 0);
}

static void add_runs_key(vka__call *c, uint32_t positions, bool vec4) {
    uint32_t group = vka__group_size(c->caps, 256);
    while (group > 32 && group > vka__div_up(positions, 4))
        group /= 2;
    vka__call_add_key(c, VKA__group_norm_runs, group)->spec[VKA_SPEC_FLAGS] = flags_of(c) | (vec4 ? VKA_FLAG_VEC4 : 0);
}

/* [B, C, P] as [B, P, C]. */
static vka__view turned(const vka__view *v) {
    vka__view t = *v;
    t.shape[2] = v->shape[3];
    t.stride[2] = v->stride[3];
    t.shape[3] = v->shape[2];
    t.stride[3] = v->stride[2];
    return t;
}

static vka_strides column_strides(const vka__view *v) {
    return (vka_strides){.b = (uint32_t)v->stride[1], .n = (uint32_t)v->stride[3], .d = (uint32_t)v->stride[2]};
}

static void add_groups_key(vka__call *c, const vka__view *x, const vka__view *d_out) {
    vka_norm_gradient_params *g = GRADIENT(c);
    g->positions = vka__call_letter(c, 'P');
    g->x_column = column_strides(x);
    g->d_out_column = column_strides(d_out);
    uint64_t most = 8 * ((uint64_t)vka__call_letter(c, 'B') * columns(c) + ENOUGH_RUNS); /* bytes of partial sums */
    bool lane = c->number[VKA__NORM_PATH] ? c->number[VKA__NORM_PATH] == VKA_NORM_PATH_LANE : is_processor(c);
    STATE(c)->runs = !vka__groups_channels_last(x) && !lane && g->positions >= LEAST_POSITIONS &&
                     most <= vka__min_u64(c->caps->storage_range, UINT64_C(1) << 32) - 256;
    if (STATE(c)->runs) {
        add_runs_key(c, g->positions, vka__view_vec4(x) && vka__view_vec4(d_out));
        return;
    }
    vka__view xt = turned(x), dt = turned(d_out);
    /* Groups of a dispatch must begin with a vector, too. */
    bool whole = columns(c) / vka__call_letter(c, 'G') % 4 == 0;
    add_columns_key(c, VKA__group_norm_columns, vka__div_up(columns(c), 4),
                    whole && vka__view_vec4(&xt) && vka__view_vec4(&dt));
}

void vka__norm_columns_add_keys(vka__call *c, const vka__view *x, const vka__view *d_out) {
    vka__norm_backward_state *s = STATE(c);
    s->sums_key = c->key_count;
    if (s->kind.groups)
        add_groups_key(c, x, d_out);
    else
        add_columns_key(c, VKA__norm_columns, vka__div_up(columns(c), 4),
                        vka__call_vec4(c, 1u << VKA__NORM_X | 1u << VKA__NORM_D_OUT | 1u << VKA__NORM_D_RESIDUAL));
    c->key[s->sums_key].spec[VKA_SPEC_TYPES] = vka__call_type(c, VKA__NORM_X, VKA_ROLE_X);
    s->reduce_key = c->key_count;
    uint32_t group = vka__group_size(c->caps, is_processor(c) ? 8 : 256);
    uint32_t *spec = vka__call_add_key(c, VKA__norm_reduce, group)->spec;
    spec[VKA_SPEC_BC] = vka__min_u32(group, 32);
    spec[VKA_SPEC_FLAGS] =
        (flags_of(c) & (VKA_FLAG_WEIGHT | VKA_FLAG_BIAS)) | (s->kind.accumulate ? VKA_FLAG_ACCUMULATE : 0);
    spec[VKA_SPEC_TYPES] =
        vka__call_type(c, VKA__NORM_D_WEIGHT, VKA_ROLE_D_WEIGHT) | vka__call_type(c, VKA__NORM_D_BIAS, VKA_ROLE_D_BIAS);
}

/* ---- chunks ---------------------------------------------------------------------------------------------------- */

static void choose_runs(vka__call *c) {
    vka_norm_gradient_params *g = GRADIENT(c);
    uint64_t channels = (uint64_t)vka__call_letter(c, 'B') * columns(c);
    uint32_t parts = (uint32_t)(ENOUGH_RUNS / channels) + 1;
    parts = vka__min_u32(parts, vka__div_up(g->positions, LEAST_RUN));
    g->chunk = (uint32_t)vka__align_up(vka__div_up(g->positions, parts), 4);
    g->entry_chunks = vka__div_up(g->positions, g->chunk);
    g->chunks = vka__call_letter(c, 'B') * g->entry_chunks;
}

/* Rows of partial sums that a binding sees. */
static uint32_t most_chunks(const vka__call *c) {
    bool both = vka__call_has(c, VKA__NORM_D_WEIGHT) && vka__call_has(c, VKA__NORM_D_BIAS);
    uint64_t range = vka__min_u64(c->caps->storage_range, UINT64_C(1) << 32) - 256;
    return (uint32_t)vka__min_u64(range / (4 * (uint64_t)columns(c) * (both ? 2 : 1)), UINT32_MAX);
}

/* Where not all boxes have rows of partial sums of their own, later ones add to those of earlier ones. */
static bool choose_chunks(vka__call *c) {
    vka__norm_backward_state *s = STATE(c);
    vka_norm_gradient_params *g = GRADIENT(c);
    const uint32_t *part = c->rows.part, seen = most_chunks(c);
    uint64_t rows = s->kind.groups ? (uint64_t)vka__call_letter(c, 'B') * g->positions : vka__volume(c->rows.shape);
    uint64_t of_box = s->kind.groups ? (uint64_t)part[0] * g->positions : vka__volume(part);
    uint32_t most = vka__min_u32(vka__max_u32(ENOUGH / vka__div_up(columns(c), 4), 1), MOST_CHUNKS);
    if (!seen)
        return vka__refuse_span(c->caps, "workspace", "a row of sums of columns", &c->refusal);
    uint64_t chunk = vka__max_u64((rows + most - 1) / most, LEAST_CHUNK);
    g->chunk = (uint32_t)vka__max_u64(chunk, (of_box + seen - 1) / seen);
    s->box_chunks = (uint32_t)((of_box + g->chunk - 1) / g->chunk);
    s->slots = vka__min_u32(s->kind.groups ? c->rows.parts[0] : s->boxes, seen / s->box_chunks);
    g->chunks = s->slots * s->box_chunks;
    return true;
}

bool vka__norm_columns_plan(vka__call *c, uint64_t bytes) {
    vka__norm_backward_state *s = STATE(c);
    vka_norm_gradient_params *g = GRADIENT(c);
    if (s->boxes && s->runs)
        choose_runs(c);
    else if (s->boxes && !choose_chunks(c))
        return false;
    bool both = vka__call_has(c, VKA__NORM_D_WEIGHT) && vka__call_has(c, VKA__NORM_D_BIAS);
    uint64_t each = (uint64_t)g->chunks * columns(c);
    s->partials = bytes;
    s->partials_bytes = vka__align_up(4 * each * (both ? 2 : 1), 256);
    for (uint32_t i = VKA__NORM_D_WEIGHT; i <= VKA__NORM_D_BIAS; ++i)
        if (!vka__sees_all(c->caps, &c->view[i], c->op->args[i].name, &c->refusal))
            return false;
    g->columns = columns(c);
    g->bias_partials = both ? (uint32_t)each : 0;
    g->d_weight_stride = (uint32_t)c->view[VKA__NORM_D_WEIGHT].stride[3];
    g->d_bias_stride = (uint32_t)c->view[VKA__NORM_D_BIAS].stride[3];
    return true;
}

/* ---- dispatches ------------------------------------------------------------------------------------------------ */

static void bind_partials(const vka__call *c, vka__access access, vka__dispatch *out) {
    const vka__norm_backward_state *s = STATE(c);
    if (s->partials_bytes)
        out->binding[VKA_BIND_NORM_PARTIALS] = (vka__binding){
            .access = access, .source = VKA__SOURCE_WORKSPACE, .offset = s->partials, .range = s->partials_bytes};
}

static void set_groups(const vka__call *c, uint32_t across, uint32_t down, vka__dispatch *out) {
    out->groups[0] = vka__min_u32(across, c->caps->max_groups[0]);
    out->groups[1] = vka__min_u32(down, c->caps->max_groups[1]);
    out->groups[2] = 1;
}

/* d_out, and if normalised values are needed, too, what they are made of. */
static void bind_rows(const vka__call *c, const uint32_t begin[3], const uint32_t size[3], vka__dispatch *out) {
    static const uint8_t tensors[] = {VKA__NORM_D_OUT, VKA__NORM_X, VKA__NORM_D_RESIDUAL, VKA__NORM_D_MEAN,
                                      VKA__NORM_D_INVERSE};
    size_t count = vka__call_has(c, VKA__NORM_D_WEIGHT) ? sizeof tensors : 1;
    for (size_t i = 0; i < count; ++i)
        if (STATE(c)->kind.groups)
            vka__groups_bind(c, tensors[i], begin, size, out);
        else if (vka__call_has(c, tensors[i]))
            vka__call_bind_box(c, tensors[i], begin, size, out);
}

void vka__norm_columns_sums(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const vka__norm_backward_state *s = STATE(c);
    const vka_norm_gradient_params *g = GRADIENT(c);
    const uint32_t *spec = c->key[s->sums_key].spec;
    uint32_t begin[3], size[3], channels = columns(c);
    vka__rows_at(&c->rows, index, begin, size, out);
    bind_rows(c, begin, size, out);
    bind_partials(c, VKA__WRITE, out);
    out->key = s->sums_key;
    out->push.b0 = s->box_chunks;
    uint32_t box = s->kind.groups ? begin[0] / c->rows.part[0] : (uint32_t)index;
    if (s->kind.groups) {
        uint32_t of_group = channels / vka__call_letter(c, 'G');
        out->push.x0 = size[0];
        out->push.y0 = size[1];
        out->push.row0 = begin[1] * of_group;
        channels = size[1] * of_group;
    }
    if (s->runs) {
        out->push.b0 = size[0] * g->entry_chunks;
        out->push.z0 = begin[0] * g->entry_chunks;
        set_groups(c, channels, out->push.b0, out);
        return;
    }
    bool adds = box >= s->slots;
    out->push.z0 = box % s->slots * s->box_chunks;
    out->push.h0 = adds;
    if (adds)
        out->binding[VKA_BIND_NORM_PARTIALS].access = VKA__READ_WRITE;
    uint32_t down = spec[VKA_SPEC_GROUP_SIZE] / spec[VKA_SPEC_BC];
    set_groups(c, vka__div_up(vka__div_up(channels, 4), spec[VKA_SPEC_BC]), vka__div_up(out->push.b0, down), out);
}

void vka__norm_columns_reduce(const vka__call *c, vka__dispatch *out) {
    const vka__norm_backward_state *s = STATE(c);
    vka__access access = s->kind.accumulate ? VKA__READ_WRITE : VKA__WRITE;
    out->key = s->reduce_key;
    bind_partials(c, VKA__READ, out);
    vka__bind_all(c->caps, &c->view[VKA__NORM_D_WEIGHT], VKA_BIND_D_WEIGHT, access, out);
    vka__bind_all(c->caps, &c->view[VKA__NORM_D_BIAS], VKA_BIND_D_BIAS, access, out);
    set_groups(c, vka__div_up(columns(c), c->key[s->reduce_key].spec[VKA_SPEC_BC]), 1, out);
}
