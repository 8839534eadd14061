/* Problems of attention to plan for.
 * SPDX-License-Identifier: MIT */
#include "plan_problem.h"

#include "support/tensor.h"

vka__attention_problem plain(vka_dtype dtype, uint32_t heads, uint32_t kv, uint32_t nq, uint32_t nk, uint32_t d) {
    vka__attention_problem p = {.q = dense(dtype, 1, heads, nq, d),
                                .k = dense(dtype, 1, kv, nk, d),
                                .v = dense(dtype, 1, kv, nk, vka__min_u32(d, VKA_MAX_VALUE_DIM)),
                                .out = dense(dtype, 1, heads, nq, vka__min_u32(d, VKA_MAX_VALUE_DIM)),
                                .scale = 1};
    vka__attention_sizes(&p);
    return p;
}

/* ---- drawn ------------------------------------------------------------------------------------------------------ */

static vka_dtype kv_type(ref_rng *rng, vka_dtype dtype, uint32_t dim) {
    const vka_dtype types[] = {
        VKA_F32, VKA_F16, VKA_BF16, VKA_I8, dim % 32 ? VKA_I8 : VKA_Q8_0, dim % 32 ? VKA_I8 : VKA_Q4_0};
    return ref_rng_below(rng, 3) ? dtype : types[ref_rng_below(rng, 6)];
}

static vka__attention_problem random_shapes(ref_rng *rng) {
    vka_dtype dtype = dtypes[ref_rng_below(rng, DTYPES)];
    vka_dtype out_dtype = ref_rng_below(rng, 3) ? dtype : dtypes[ref_rng_below(rng, DTYPES)];
    uint32_t b = ONE_OF(rng, 1, 1, 2, 3), kv = ONE_OF(rng, 1, 2, 8), group = ONE_OF(rng, 1, 1, 2, 3, 8);
    uint32_t d = ONE_OF(rng, 1, 8, 40, 59, 64, 80, 96, 111, 128, 192, 256, 320, 576);
    uint32_t dv = ref_rng_below(rng, 3) ? vka__min_u32(d, 512) : ONE_OF(rng, 64, 512);
    uint32_t nq = ONE_OF(rng, 1, 2, 3, 17, 64, 113, 1023, 4096, 100000), nk = ONE_OF(rng, 0, 1, 63, 239, 1024, 100000);
    vka__attention_problem p = {
        .q = random_view(rng, dtype, b, kv * group, nq, d),
        .k = random_view(rng, kv_type(rng, dtype, d), b, kv, nk, d),
        .v = random_view(rng, kv_type(rng, dtype, dv), b, kv, nk, dv),
        .out = random_view(rng, out_dtype, b, kv * group, nq, dv),
        .scale = 0.125f,
        .path = ONE_OF(rng, VKA_ATTENTION_PATH_AUTO, VKA_ATTENTION_PATH_AUTO, VKA_ATTENTION_PATH_ROW,
                       VKA_ATTENTION_PATH_TILE, VKA_ATTENTION_PATH_DECODE, VKA_ATTENTION_PATH_COOPMAT,
                       VKA_ATTENTION_PATH_COOPMAT2, VKA_ATTENTION_PATH_DOT, VKA_ATTENTION_PATH_COOPMAT_REGISTERS),
        .splits = ONE_OF(rng, 0, 0, 1, 2, 7, 64)};
    if (dv <= d && ref_rng_below(rng, 4) == 0) {
        p.v = p.k;
        p.v.shape[3] = dv;
        p.values_are_keys = true;
    }
    if (ref_rng_below(rng, 2)) {
        p.lse = random_view(rng, VKA_F32, b, kv * group, nq, 1);
    }
    p.band = ref_rng_below(rng, 2);
    p.band_lo = p.band ? -(int32_t)ref_rng_below(rng, 300) : -(1 << 29);
    p.band_hi = p.band ? (int32_t)ref_rng_below(rng, 300) : 1 << 29;
    vka__attention_sizes(&p);
    return p;
}

/* Lengths or offsets of either side, or none: with offsets, a batch of 1 has all sequences. */
static void draw_lists(ref_rng *rng, vka__attention_problem *p) {
    uint32_t kinds[] = {ref_rng_below(rng, 5), p->pages.present ? ref_rng_below(rng, 2) : ref_rng_below(rng, 5)};
    static const uint32_t flags[2][3] = {{0, VKA_FLAG_Q_LENGTHS, VKA_FLAG_Q_OFFSETS},
                                         {0, VKA_FLAG_KV_LENGTHS, VKA_FLAG_KV_OFFSETS}};
    vka__view *lists[] = {&p->q_list, &p->kv_list};
    for (int side = 0; side < 2; side++) {
        uint32_t kind = kinds[side] > 2 ? 0 : kinds[side];
        vka__view *packed[] = {side ? &p->k : &p->q, side ? &p->v : &p->out, side ? &p->k : &p->lse};
        for (int i = 0; i < 3 && kind == 2; i++) {
            packed[i]->shape[0] = packed[i]->present ? 1 : 0;
            packed[i]->stride[0] = 0;
        }
        if (kind) {
            *lists[side] = random_view(rng, VKA_I32, 1, 1, 1, p->batch + kind - 1);
            p->options |= flags[side][kind];
        }
    }
    if (p->q_list.present || p->kv_list.present) {
        p->device_lengths = ref_rng_below(rng, 2);
        p->options |= p->band && ref_rng_below(rng, 2) ? VKA_FLAG_OWN_DIAGONAL : 0;
        p->q_len = vka__max_u32(1, p->q_len / (p->q_list.present ? ONE_OF(rng, 1, 1, 2) : 1));
    }
}

/* Keys and values become pages, of which there are more than the table has. */
static void draw_pages(ref_rng *rng, vka__attention_problem *p) {
    uint32_t page = ONE_OF(rng, 8, 16, 256), columns = vka__div_up(vka__max_u32(p->kv_len, 1), page);
    uint32_t pages = p->batch * columns + ref_rng_below(rng, 9), heads = p->k.shape[1];
    p->k = random_view(rng, p->k.dtype, pages, heads, page, p->k.shape[3]);
    p->v = random_view(rng, p->v.dtype, pages, heads, page, p->v.shape[3]);
    p->values_are_keys = false;
    p->pages = random_view(rng, VKA_I32, 1, 1, p->batch, columns);
    p->kv_len = columns * page;
}

static void draw_mask(ref_rng *rng, vka__attention_problem *p) {
    static const vka_dtype types[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_U8};
    uint32_t shape[] = {p->batch, p->q.shape[1], p->q_len, p->kv_len};
    for (int i = 0; i < 4; i++) {
        shape[i] = ref_rng_below(rng, 3) ? shape[i] : 1;
    }
    p->mask = random_view(rng, types[ref_rng_below(rng, 4)], shape[0], shape[1], shape[2], shape[3]);
}

/* Results and per-head tensors, which follow the shapes that lists and pages left. */
static void draw_tensors(ref_rng *rng, vka__attention_problem *p) {
    uint32_t heads = p->q.shape[1];
    if (ref_rng_below(rng, 3) == 0) {
        draw_mask(rng, p);
    }
    if (ref_rng_below(rng, 4) == 0) {
        p->relative = random_view(rng, VKA_F32, 1, 1, ref_rng_below(rng, 2) ? heads : 1, 1 + ref_rng_below(rng, 200));
    }
    if (ref_rng_below(rng, 4) == 0) {
        p->alibi = random_view(rng, VKA_F32, 1, 1, 1, heads);
    }
    if (ref_rng_below(rng, 4) == 0 && !(p->options & VKA_FLAG_HARD)) {
        p->sinks = random_view(rng, VKA_F32, 1, 1, 1, heads);
    }
    uint32_t product = ref_rng_below(rng, 6);
    if (product == 1) {
        p->alibi = (vka__view){0};
        p->cosine = random_view(rng, VKA_F32, 1, 1, 1, heads);
    }
    if (product == 2) {
        uint32_t channels = p->q.shape[3];
        vka_dtype dtype = dtypes[ref_rng_below(rng, DTYPES)];
        p->alibi = p->relative = p->sinks = (vka__view){0};
        p->relative_keys = random_view(rng, dtypes[ref_rng_below(rng, DTYPES)], 1, ref_rng_below(rng, 2) ? heads : 1,
                                       1 + ref_rng_below(rng, 200), channels);
        p->content = ref_rng_below(rng, 2) ? random_view(rng, dtype, 1, 1, heads, channels) : p->content;
        p->position = ref_rng_below(rng, 2) ? random_view(rng, dtype, 1, 1, heads, channels) : p->position;
    }
    if (ref_rng_below(rng, 4) == 0) {
        p->stats = random_view(rng, VKA_F32, p->q.shape[0], heads, p->q.shape[2], 2);
    }
    if (ref_rng_below(rng, 4) == 0) {
        uint32_t stages = p->lse.present && !(p->options & VKA_FLAG_HARD) ? 4 : 3;
        p->scores = random_view(rng, dtypes[ref_rng_below(rng, DTYPES)], p->batch, heads, p->q_len, p->kv_len);
        p->score_stage = ref_rng_below(rng, stages);
    }
}

/* The scales that i8 needs. */
static void add_scales(ref_rng *rng, vka__attention_problem *p) {
    const vka__view *tensors[] = {&p->k, &p->v};
    vka__view *scales[] = {&p->k_scale, &p->v_scale};
    for (int i = 0; i < 2; i++) {
        const uint32_t *shape = tensors[i]->shape;
        if (tensors[i]->dtype == VKA_I8) {
            *scales[i] = random_view(rng, VKA_F32, shape[0], shape[1], shape[2], 1);
        }
    }
}

vka__attention_problem random_attention(ref_rng *rng, bool options) {
    vka__attention_problem p = random_shapes(rng);
    if (options) {
        static const uint32_t selections[] = {0, 0, VKA_FLAG_DROPOUT, VKA_FLAG_HARD, VKA_FLAG_HARD | VKA_FLAG_SAMPLE};
        p.options |= selections[ref_rng_below(rng, 5)];
        p.softcap = ref_rng_below(rng, 4) ? 0 : 30;
        p.options |= p.softcap > 0 ? VKA_FLAG_SOFTCAP : 0;
        if (ref_rng_below(rng, 3) == 0) {
            draw_pages(rng, &p);
        }
        draw_lists(rng, &p);
        draw_tensors(rng, &p);
    }
    add_scales(rng, &p);
    return p;
}
