/* vka_additive_attention.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "ops/additive_attention/additive.h"
#include "params/additive_attention.h"

enum { Q, K, V, VECTOR, MASK, LENGTHS, OUT, LSE, ARGS };
enum { DIAGONAL, PATH, NUMBERS };

#define BIT(arg)    (1u << (arg))
#define DESC(field) offsetof(vka_additive_attention_desc, field)

/* G: heads of keys. M: keys. */
#define TENSOR(name, shape, types, f, a, b, e)                                                                         \
    { #name, shape, DESC(name), VKA__NONE, types, .flags = f, .access = a, .binding = b, .extent = e }
static const vka__arg args[ARGS] = {
    [Q] = TENSOR(q, "B H N A", VKA__FLOATS, VKA__REQUIRED, VKA__READ, VKA_BIND_ADDITIVE_Q, VKA__CUSTOM),
    [K] = TENSOR(k, "B G M A", VKA__FLOATS, VKA__REQUIRED, VKA__READ, VKA_BIND_ADDITIVE_K, VKA__CUSTOM),
    [V] = TENSOR(v, "B G M V", VKA__FLOATS, VKA__REQUIRED, VKA__READ, VKA_BIND_ADDITIVE_V, VKA__CUSTOM),
    [VECTOR] = TENSOR(score_vector, NULL, VKA__FLOATS, VKA__REQUIRED, VKA__READ, VKA_BIND_ADDITIVE_VECTOR, VKA__ALL),
    [MASK] = TENSOR(mask, NULL, VKA__MASKS, 0, VKA__READ, VKA_BIND_ADDITIVE_MASK, VKA__CUSTOM),
    [LENGTHS] = TENSOR(kv_lengths, "B", VKA__TYPE(VKA_I32), VKA__LIST, VKA__READ, VKA_BIND_ADDITIVE_LENGTHS, VKA__ALL),
    [OUT] = TENSOR(out, "B H N V", VKA__FLOATS, VKA__REQUIRED, VKA__WRITE, VKA_BIND_ADDITIVE_OUT, VKA__CUSTOM),
    [LSE] = TENSOR(lse, "B H N", VKA__TYPE(VKA_F32), VKA__PER_ROW, VKA__WRITE, VKA_BIND_ADDITIVE_LSE, VKA__CUSTOM),
};

static const vka__limit limits[] = VKA__ADDITIVE_LIMITS;
static const vka__number numbers[NUMBERS] = {
    [DIAGONAL] = {"diagonal", DESC(diagonal), VKA__NUMBER_ENUM, false, 0, VKA_DIAGONAL_EXPLICIT, 0, "vka_diagonal"},
    [PATH] = {"path", DESC(path), VKA__NUMBER_ENUM, false, 0, VKA_ADDITIVE_ATTENTION_PATH_TILE, 0,
              "vka_additive_attention_path"},
};

/* A slice is all entries, or one, or a head of one; and so many of its queries. */
typedef struct state {
    uint32_t batch, heads, rows;
    uint32_t slices, pieces; /* a piece is a slice's queries           */
    vka__grid grid;          /* tiles of queries, heads, entries       */
} state;

static const state *state_of(const vka__call *c) {
    return (const state *)(const void *)c->state;
}

static const vka__additive_args shared = {VECTOR, MASK, LENGTHS};

static vka_status check(vka__call *c) {
    const vka_additive_attention_desc *d = VKA__DESC(c, vka_additive_attention_desc);
    return vka__additive_check(c, &shared, d->diagonal, d->diagonal_offset);
}

/* ---- kernel ----------------------------------------------------------------------------------------------------- */

/* Vectors of shared memory that queries, keys and score vectors take. With them a tile's scores and weights, and the
 * sums of groups of keys, take less than 16 KiB. */
#define STAGED 512
/* Of registers that an invocation has for its part of the output. */
#define OUT_VECTORS 8

/* Four queries at a time, so that one key's channels serve several, and an invocation computes the scores of 4 at most;
 * as many keys as that leaves invocations for. */
static void choose_tile(vka__call *c) {
    uint32_t group = vka__group_size(c->caps, 128), queries = vka__call_letter(c, 'N'), rows = 1, columns = 1;
    uint32_t vectors = vka__div_up(vka__call_letter(c, 'V'), 4), channels = vka__div_up(vka__call_letter(c, 'A'), 4);
    while (rows < 16 && rows < queries)
        rows *= 2;
    while (columns < group && columns < vectors)
        columns *= 2;
    while (rows * columns > OUT_VECTORS * group)
        rows /= 2;
    uint32_t at_once = vka__min_u32(rows, 4), keys = group / at_once;
    vka__pipeline_key *key = vka__call_add_key(c, VKA__additive_tile, group);
    key->spec[VKA_SPEC_BR] = rows;
    key->spec[VKA_SPEC_BC] = keys;
    key->spec[VKA_SPEC_RM] = rows / at_once;
    key->spec[VKA_SPEC_K] = vka__min_u32(channels, STAGED / (rows + keys + 1));
    key->spec[VKA_SPEC_TC] = columns;
}

/* Software drivers do better without barriers even where a single query has the workgroup to itself. */
static bool is_row_path(const vka__call *c) {
    return c->number[PATH] ? c->number[PATH] == VKA_ADDITIVE_ATTENTION_PATH_ROW : c->caps->type == VKA_DEVICE_CPU;
}

static bool is_own_diagonal(const vka__call *c) {
    return c->number[DIAGONAL] == VKA_DIAGONAL_BOTTOM_RIGHT && vka__call_has(c, LENGTHS);
}

static void choose_kernel(vka__call *c) {
    if (is_row_path(c)) {
        vka__pipeline_key *key = vka__call_add_key(c, VKA__additive_row, vka__min_u32(8, c->caps->max_invocations));
        key->spec[VKA_SPEC_BR] = key->spec[VKA_SPEC_GROUP_SIZE];
        key->spec[VKA_SPEC_BC] = 4;
    } else {
        choose_tile(c);
    }
    uint32_t *spec = c->key[0].spec;
    spec[VKA_SPEC_D] = vka__call_letter(c, 'A');
    spec[VKA_SPEC_DV] = vka__call_letter(c, 'V');
    spec[VKA_SPEC_FLAGS] = (VKA__DESC(c, vka_additive_attention_desc)->causal ? VKA_FLAG_ADDITIVE_CAUSAL : 0) |
                           (is_own_diagonal(c) ? VKA_FLAG_ADDITIVE_OWN : 0) |
                           (vka__call_has(c, LENGTHS) ? VKA_FLAG_LENGTHS : 0) |
                           (vka__call_has(c, LSE) ? VKA_FLAG_ADDITIVE_LSE : 0) |
                           (vka__call_vec4(c, BIT(Q) | BIT(K)) ? VKA_FLAG_ADDITIVE_VEC4_QK : 0) |
                           (vka__call_vec4(c, BIT(V)) ? VKA_FLAG_ADDITIVE_VEC4_V : 0) |
                           (vka__call_vec4(c, BIT(OUT)) ? VKA_FLAG_ADDITIVE_VEC4_OUT : 0) |
                           (vka__call_vec4(c, BIT(VECTOR)) ? VKA_FLAG_ADDITIVE_VEC4_VECTOR : 0);
    spec[VKA_SPEC_TYPES] = vka__call_type(c, Q, VKA_ROLE_ADDITIVE_Q) | vka__call_type(c, K, VKA_ROLE_ADDITIVE_K) |
                           vka__call_type(c, V, VKA_ROLE_ADDITIVE_V) | vka__call_type(c, OUT, VKA_ROLE_ADDITIVE_OUT) |
                           vka__call_type(c, VECTOR, VKA_ROLE_ADDITIVE_VECTOR) |
                           vka__call_type(c, MASK, VKA_ROLE_ADDITIVE_MASK);
}

/* ---- slices ----------------------------------------------------------------------------------------------------- */

static bool is_sliced(uint32_t arg) {
    return args[arg].extent == VKA__CUSTOM;
}

static bool has_queries(uint32_t arg) {
    return arg != K && arg != V;
}

/* The box of a tensor that goes with a slice's first entry, query head and query, or with its numbers of them. */
static void box_of(const vka__call *c, uint32_t arg, const uint32_t begin[3], const uint32_t size[3], uint32_t at[3],
                   uint32_t part[3]) {
    const uint32_t *shape = c->view[arg].shape;
    uint32_t heads = vka__call_letter(c, 'H'), kv_heads = vka__call_letter(c, 'G');
    memcpy(at, begin, 3 * sizeof *at);
    memcpy(part, size, 3 * sizeof *part);
    if (!has_queries(arg)) {
        at[1] = begin[1] / (heads / kv_heads);
        part[1] = size[1] == heads ? kv_heads : 1;
        at[2] = 0;
        part[2] = shape[2];
    }
    for (int dim = 0; dim < 3 && arg == MASK; ++dim) {
        at[dim] = shape[dim] == 1 ? 0 : at[dim];
        part[dim] = shape[dim] == 1 ? 1 : part[dim];
    }
}

/* Queries of a slice that bindings see, at most `rows`; 0 and the tensor that is too large: none. */
static uint32_t visible_rows(const vka__call *c, const uint32_t slice[2], uint32_t rows, uint32_t *misfit) {
    for (uint32_t arg = 0; arg < ARGS && rows; ++arg) {
        static const uint32_t first[3];
        uint32_t size[3] = {slice[0], slice[1], rows}, at[3], part[3];
        if (!is_sliced(arg) || !c->view[arg].present)
            continue;
        box_of(c, arg, first, size, at, part);
        uint32_t whole = part[2];
        bool fits = vka__cut_to_binding(c->caps, &c->view[arg], has_queries(arg) ? 1u << 2 : 0, part);
        uint32_t seen = !fits ? 0 : part[2] == whole ? rows : part[2];
        *misfit = seen < rows ? arg : *misfit;
        rows = seen;
    }
    return rows;
}

/* The largest slice that bindings see; or some queries of one head. */
static bool choose_slices(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const uint32_t *shape = c->view[Q].shape;
    const uint32_t slices[3][2] = {{shape[0], shape[1]}, {1, shape[1]}, {1, 1}};
    uint32_t visible = 0, misfit = Q, tile = c->key[0].spec[VKA_SPEC_BR];
    for (int i = 0; i < 3 && visible < shape[2]; ++i) {
        visible = visible_rows(c, slices[i], shape[2], &misfit);
        s->batch = slices[i][0];
        s->heads = slices[i][1];
    }
    if (!visible)
        return vka__refuse_span(c->caps, args[misfit].name, has_queries(misfit) ? "one query" : "one head",
                                &c->refusal);
    s->rows = visible < shape[2] && visible > tile ? visible / tile * tile : visible;
    s->pieces = vka__div_up(shape[2], s->rows);
    s->slices = shape[0] / s->batch * (shape[1] / s->heads);
    return true;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static vka_strides strides_of(const vka__call *c, uint32_t arg) {
    const state *s = state_of(c);
    const uint32_t size[3] = {s->batch, s->heads, s->rows};
    static const uint32_t first[3];
    uint32_t at[3], part[3];
    box_of(c, arg, first, size, at, part);
    return vka__box_strides(&c->view[arg], part);
}

static void fill_params(vka__call *c) {
    const vka_additive_attention_desc *d = VKA__DESC(c, vka_additive_attention_desc);
    const vka__view *vector = &c->view[VECTOR];
    *VKA__PARAMS(c, vka_additive_attention_params) = (vka_additive_attention_params){
        .q = strides_of(c, Q),
        .k = strides_of(c, K),
        .v = strides_of(c, V),
        .mask = strides_of(c, MASK),
        .out_ = strides_of(c, OUT),
        .lse = strides_of(c, LSE),
        .q_len = vka__call_letter(c, 'N'),
        .kv_len = vka__call_letter(c, 'M'),
        .group = vka__call_letter(c, 'H') / vka__call_letter(c, 'G'),
        .vector_h = (uint32_t)vector->stride[2],
        .vector_d = (uint32_t)vector->stride[3],
        .length_b = (uint32_t)c->view[LENGTHS].stride[3],
        .diagonal = vka__additive_diagonal(c, d->diagonal, d->diagonal_offset),
    };
}

static bool plan(vka__call *c) {
    state *s = VKA__STATE(c, state);
    const uint32_t *shape = c->view[Q].shape;
    if (!shape[0] || !shape[1] || !shape[2])
        return true;
    choose_kernel(c);
    if (!vka__call_sees_whole(c) || !choose_slices(c))
        return false;
    fill_params(c);
    uint32_t tile = c->key[0].spec[VKA_SPEC_BR];
    uint64_t pairs = (uint64_t)tile * vka__max_u32(vka__call_letter(c, 'M'), 1);
    uint64_t ops = pairs * (VKA__ADDITIVE_OPS * (uint64_t)vka__call_letter(c, 'A') + 2 * vka__call_letter(c, 'V'));
    s->grid = vka__grid_of(c->caps, vka__div_up(s->rows, tile), s->heads, s->batch);
    vka__grid_cap_ops(&s->grid, c->caps, ops);
    c->dispatches = (uint64_t)s->slices * s->pieces * vka__grid_chunks(&s->grid);
    return true;
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const state *s = state_of(c);
    const uint32_t *shape = c->view[Q].shape;
    uint32_t across = shape[1] / s->heads, first[3];
    uint64_t chunks = vka__grid_chunks(&s->grid), piece = index / chunks % s->pieces,
             slice = index / chunks / s->pieces;
    const uint32_t begin[3] = {(uint32_t)(slice / across) * s->batch, (uint32_t)(slice % across) * s->heads,
                               (uint32_t)piece * s->rows};
    const uint32_t size[3] = {s->batch, s->heads, vka__min_u32(s->rows, shape[2] - begin[2])};
    vka__grid_chunk(&s->grid, index % chunks, first, out);
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.z0 = first[2];
    out->push.b0 = begin[0];
    out->push.h0 = begin[1];
    out->push.row0 = begin[2];
    out->push.rows = size[2];
    for (uint32_t arg = 0; arg < ARGS; ++arg) {
        uint32_t at[3], part[3];
        if (!is_sliced(arg))
            continue;
        box_of(c, arg, begin, size, at, part);
        vka__call_bind_box(c, arg, at, part, out);
    }
    vka__call_bind_whole(c, ~0u, out);
}

static void explain(const vka__call *c, vka__text *text) {
    const uint32_t *spec = c->key[0].spec;
    const state *s = state_of(c);
    bool row = is_row_path(c);
    const char *why = row ? "software driver: no barriers" : "GPU: keys and queries are shared";
    vka__say(text, "path: %s\nwhy: %s\nquery_tile: %u\nkey_tile: %u\n", row ? "row" : "tile",
             c->number[PATH] ? "the description asks for it" : why, spec[VKA_SPEC_BR], spec[VKA_SPEC_BC]);
    vka__say(text, "slice: %u entries, %u heads, %u queries\n", s->batch, s->heads, s->rows);
}

VKA__OPERATION(additive_attention, .params_size = sizeof(vka_additive_attention_params), .state_size = sizeof(state),
               .limits = limits, .check = check, .plan = plan, .dispatch = dispatch, .explain = explain);
