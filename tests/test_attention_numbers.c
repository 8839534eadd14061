/* Numbers at the ends of f32: finite scores, masks, biases, caps and sinks of any size give what float64 gives, NaN
 * reaches what it must, and nothing that a row does not see changes a bit of its results; by every path.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

#include "attention_case.h"

#define DIM  8
#define KEYS 16

static const vka_dtype mask_types[] = {VKA_F32, VKA_F16, VKA_BF16};
static const float lowest[] = {-FLT_MAX, -65504, -0x1.fep127f};

/* Whichever paths there are, with keys split and not: in turns on software drivers, which compile long. */
static void run_everywhere(attention_problem *p) {
    static uint32_t calls;
    bool software = context_is_software(p->c);
    attention_update(p);
    calls++;
    if (!software || calls % 2) {
        attention_run_paths(p, 1);
    }
    if (!software || calls % 2 == 0) {
        attention_run_paths(p, 3);
    }
}

/* No scores but those of biases; values are 1, 2, .. in every channel. */
static attention_problem counted(context *c, attention_case a) {
    a.q_len = a.q_len ? a.q_len : 3;
    a.kv_len = KEYS;
    a.head_dim = DIM;
    attention_problem p = attention_make(c, a, test_seed());
    for (size_t i = 0; i < p.q.count; i++) {
        p.q.values[i] = 0;
    }
    for (size_t i = 0; i < p.k.count; i++) {
        p.k.values[i] = 0;
    }
    for (size_t i = 0; i < p.v.count; i++) {
        p.v.values[i] = (float)(i / DIM % KEYS + 1);
    }
    return p;
}

static void set_all(tensor *t, float x) {
    for (size_t i = 0; i < t->count; i++) {
        t->values[i] = x;
    }
}

/* Scores of a row's keys, as the first channel of q times that of k. */
static void set_scores(attention_problem *p, float query, const float keys[KEYS]) {
    for (size_t i = 0; i < p->q.count; i += DIM) {
        p->q.values[i] = query;
    }
    for (size_t i = 0; i < p->k.count; i += DIM) {
        p->k.values[i] = keys[i / DIM % KEYS];
    }
}

/* That every element of the reference is this: what the rule for accuracy then compares with. */
static void expect_reference(const attention_problem *p, double out, double precision) {
    for (size_t i = 0; i < p->out.count; i++) {
        cr_assert_float_eq(p->ref_out[i], out, precision, "the reference says %g for %g", p->ref_out[i], out);
    }
}

static void run_counted(attention_problem *p, double out) {
    run_everywhere(p);
    expect_reference(p, out, 1e-3);
    attention_destroy(p);
}

/* ---- masks ----------------------------------------------------------------------------------------------------- */

/* Rows that have nothing but the lowest number of their mask's type are rows like any other. */
static void lowest_masks(vka_selection selection, bool sinks) {
    context c;
    context_open(&c, &config_real);
    for (int type = 0; type < 3; type++) {
        attention_problem p = counted(&c, (attention_case){.dtype = type == 1 ? VKA_F16 : VKA_F32,
                                                           .mask = mask_types[type],
                                                           .selection = selection,
                                                           .sinks = sinks,
                                                           .stats = true});
        set_all(&p.mask, lowest[type]);
        set_all(&p.sinks, -FLT_MAX);
        double with_sink = type == 0 ? 136. / 17 : 8.5; /* the others' lowest is more than the sink */
        run_everywhere(&p);
        if (selection != VKA_SELECTION_SAMPLE || type != 1) {
            expect_reference(&p, selection ? 1 : sinks ? with_sink : 8.5, 1e-3);
        }
        attention_destroy(&p);
    }
    context_close(&c);
}

Test(attention_numbers, lowest_masks) {
    lowest_masks(VKA_SELECTION_SOFTMAX, false);
}

Test(attention_numbers, lowest_masks_and_sinks) {
    lowest_masks(VKA_SELECTION_SOFTMAX, true);
}

Test(attention_numbers, lowest_masks_argmax) {
    lowest_masks(VKA_SELECTION_ARGMAX, false);
}

/* Noise is lost beside such scores, but of f16's. */
Test(attention_numbers, lowest_masks_sample) {
    lowest_masks(VKA_SELECTION_SAMPLE, false);
}

/* Of hard attention: a NaN that was the winner's value goes with it. */
Test(attention_numbers, argmax_forgets_nan) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = counted(&c, (attention_case){.selection = VKA_SELECTION_ARGMAX});
    float keys[KEYS];
    for (int j = 0; j < KEYS; j++) {
        keys[j] = (float)j;
    }
    set_scores(&p, 1, keys);
    for (int j = 0; j < KEYS - 1; j++) {
        p.v.values[j * DIM + j % DIM] = j % 2 ? NAN : INFINITY;
    }
    run_counted(&p, 16);
    context_close(&c);
}

/* ---- scores ---------------------------------------------------------------------------------------------------- */

/* All alike, by kernels with options and without: far beyond what a base of two would leave room for. */
Test(attention_numbers, huge_scores) {
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < 4; n++) {
        if (context_leaves_out(&c, 5)) {
            continue;
        }
        attention_problem p = counted(&c, (attention_case){.scale = 1, .stats = n % 2, .sinks = n % 2});
        float keys[KEYS];
        for (int j = 0; j < KEYS; j++) {
            keys[j] = n < 2 ? -2.1e19f : j == 5 || j == 10 ? 3e19f : -3e19f;
        }
        set_scores(&p, 1e19f, keys);
        set_all(&p.sinks, -3e38f);
        run_counted(&p, 8.5);
    }
    context_close(&c);
}

/* The least and the largest scale. */
Test(attention_numbers, scales) {
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < 4; n++) {
        attention_problem p = counted(&c, (attention_case){.scale = n < 2 ? 1e-37f : 1e37f, .stats = n % 2});
        float keys[KEYS];
        for (int j = 0; j < KEYS; j++) {
            keys[j] = n < 2 ? (float)j * 0x1p60f : (float)j * 0x1p-60f;
        }
        set_scores(&p, n < 2 ? 0x1p63f : 0x1p-63f, keys);
        run_counted(&p, n < 2 ? 15.4726 : 15.3594);
    }
    context_close(&c);
}

/* What caps nothing, what is no more than nothing, and what caps a score beyond all others. */
Test(attention_numbers, softcaps) {
    static const struct {
        float cap, query;
        double out;
    } cases[] = {
        {1e38f, 1, 15.418},    {FLT_MAX, 1, 15.418}, {1e30f, 1, 15.418},    {1e-38f, 1, 8.5},
        {1e37f, 0x1p100f, 16}, {1e-45f, 1, 8.5},     {2, 0x1p120f, 8.9285},
    };
    context c;
    context_open(&c, &config_real);
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        if (context_leaves_out(&c, 5)) {
            continue;
        }
        attention_problem p = counted(
            &c,
            (attention_case){.dtype = n % 2 ? VKA_F16 : VKA_F32, .scale = 1, .softcap = cases[n].cap, .stats = n % 2});
        float keys[KEYS];
        for (int j = 0; j < KEYS; j++) {
            keys[j] = (float)j;
        }
        set_scores(&p, cases[n].query, keys);
        run_counted(&p, cases[n].out);
    }
    context_close(&c);
}

/* ---- biases and sinks ------------------------------------------------------------------------------------------ */

Test(attention_numbers, sinks) {
    static const float sinks[] = {3.4e38f, FLT_MAX, -3.4e38f, -FLT_MAX, 1e30f};
    static const double out[] = {0, 0, 8.5, 8.5, 0};
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < 5; n++) {
        attention_problem p =
            counted(&c, (attention_case){.dtype = n % 2 ? VKA_F16 : VKA_F32, .sinks = true, .stats = true});
        set_all(&p.sinks, sinks[n]);
        run_counted(&p, out[n]);
    }
    context_close(&c);
}

/* A slope times a distance may be more than a float: the nearest key still wins, and where all are beyond it none does.
 */
Test(attention_numbers, slopes) {
    static const float slopes[] = {1e30f, 0x1p123f, FLT_MAX, -0x1p100f};
    static const double out[] = {16, 16, 16, 1};
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < 4; n++) {
        attention_problem p =
            counted(&c, (attention_case){.dtype = n % 2 ? VKA_F16 : VKA_F32, .q_len = 1, .alibi = true, .stats = true});
        set_all(&p.alibi_slopes, slopes[n]);
        run_counted(&p, out[n]);
    }
    context_close(&c);
}

/* Several of the lowest numbers, and a score of its own: their sum is no float, their softmax is. */
Test(attention_numbers, sums_of_biases) {
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < 3; n++) {
        attention_problem p = counted(&c, (attention_case){.q_len = 1,
                                                           .scale = 1,
                                                           .mask = VKA_F32,
                                                           .relative_len = KEYS,
                                                           .relative_zero = KEYS - 1,
                                                           .no_lse = true,
                                                           .selection = n == 2 ? VKA_SELECTION_ARGMAX : 0});
        float keys[KEYS];
        for (int j = 0; j < KEYS; j++) {
            keys[j] = n == 1 && j == 11 ? 1 : -1;
        }
        set_scores(&p, FLT_MAX, keys);
        set_all(&p.mask, -FLT_MAX);
        set_all(&p.relative_bias, -FLT_MAX);
        run_counted(&p, n == 0 ? 8.5 : n == 1 ? 12 : 1);
    }
    context_close(&c);
}

/* ---- NaN ------------------------------------------------------------------------------------------------------- */

/* A NaN score reaches everything that is said of its row, and no other one; so does one of a mask. */
static void nan_scores(vka_selection selection, bool in_mask) {
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < 2; n++) {
        attention_case a = {.dtype = n ? VKA_F16 : VKA_F32,
                            .q_heads = 2,
                            .q_len = 9,
                            .kv_len = 40,
                            .head_dim = DIM,
                            .causal = true,
                            .diagonal = VKA_DIAGONAL_TOP_LEFT,
                            .mask = in_mask ? VKA_F32 : VKA_DTYPE_INVALID,
                            .selection = selection,
                            .stats = true};
        attention_problem p = attention_make(&c, a, test_seed());
        if (in_mask) {
            p.mask.values[40 * 5 + 3] = NAN;
        } else {
            p.k.values[4 * DIM + 1] = NAN;
        }
        run_everywhere(&p);
        cr_assert(isnan(p.ref_lse[5]) && !isnan(p.ref_lse[3]));
        attention_destroy(&p);
    }
    context_close(&c);
}

Test(attention_numbers, nan_scores) {
    nan_scores(VKA_SELECTION_SOFTMAX, false);
}

Test(attention_numbers, nan_masks) {
    nan_scores(VKA_SELECTION_SOFTMAX, true);
}

Test(attention_numbers, nan_scores_argmax) {
    nan_scores(VKA_SELECTION_ARGMAX, false);
}

/* Infinite values too, and beside each other: to the rows that see them, by kernels that set them aside. */
Test(attention_numbers, visible_values) {
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < 4; n++) {
        attention_case a = {.dtype = n % 2 ? VKA_F16 : VKA_F32,
                            .q_heads = 2,
                            .q_len = 17,
                            .kv_len = 40,
                            .head_dim = DIM,
                            .mask = VKA_U8,
                            .dropout = n / 2 ? 0.5f : 0};
        attention_problem p = attention_make(&c, a, test_seed());
        p.v.values[3 * DIM + 1] = INFINITY;
        p.v.values[5 * DIM + 1] = -INFINITY;
        p.v.values[17 * DIM + 2] = INFINITY;
        p.v.values[(40 + 17) * DIM + 4] = NAN;
        run_everywhere(&p);
        attention_destroy(&p);
    }
    context_close(&c);
}

/* ---- what a row does not see ----------------------------------------------------------------------------------- */

/* Matrices take long to compile where they are not hardware. */
static bool is_quick(const context *c, vka_attention_path path) {
    bool matrices = attention_has_matrices(path);
    return !matrices || !context_is_software(c);
}

static void hide(context *c, attention_case a, bool all_paths) {
    char why[1536] = "";
    a.batch = a.batch ? a.batch : 2;
    a.q_heads = 2;
    a.kv_len = 41;
    a.head_dim = DIM;
    a.stats = true;
    attention_problem p = attention_make(c, a, test_seed());
    int first = context_compiles_slowly(c) ? VKA_ATTENTION_PATH_AUTO : VKA_ATTENTION_PATH_ROW,
        last = first ? LAST_PATH : first;
    for (int path = first; path <= last; path++) {
        uint32_t splits = a.permutation_len ? 0 : a.q_len == 1 ? 3 : 1;
        bool wanted = all_paths || is_quick(c, (vka_attention_path)path);
        if (wanted && attention_can(&p, (vka_attention_path)path)) {
            cr_assert(attention_try_hidden(&p, (vka_attention_path)path, splits, why, sizeof why),
                      "path %d splits %u: %s", path, splits, why);
        }
    }
    attention_destroy(&p);
}

/* Types in turn. Drivers that compile for seconds take a share of the cases, by the path that they would choose. */
static void hide_all(const attention_case *cases, size_t count) {
    static const vka_dtype types[] = {VKA_F32, VKA_F16};
    static const uint32_t lengths[] = {1, 17};
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n < 2; n++) {
            if (context_leaves_out(&c, 5)) {
                continue;
            }
            attention_case a = cases[i];
            a.dtype = types[(i + n) % 2];
            a.q_len = lengths[n];
            hide(&c, a, i == 0);
        }
    }
    context_close(&c);
}
#define HIDE(cases) hide_all(cases, sizeof(cases) / sizeof *(cases))

Test(attention_numbers, hidden_by_masks) {
    static const attention_case cases[] = {
        {.mask = VKA_F32},
        {.mask = VKA_F16},
        {.mask = VKA_U8},
        {.mask = VKA_BF16, .k_dtype = VKA_I8, .v_dtype = VKA_I8},
        {.relative_len = 9, .relative_zero = 4, .relative_masks = true},
    };
    HIDE(cases);
}

Test(attention_numbers, hidden_by_selection) {
    static const attention_case cases[] = {
        {.selection = VKA_SELECTION_ARGMAX, .mask = VKA_U8},
        {.selection = VKA_SELECTION_SAMPLE, .causal = true},
        {.mask = VKA_U8, .dropout = 0.5f, .sinks = true},
    };
    HIDE(cases);
}

Test(attention_numbers, hidden_by_band) {
    static const int32_t lengths[] = {29, 7};
    static const attention_case cases[] = {
        {.causal = true},
        {.window = {true, 9, 3}, .softcap = 2},
        {.kv_list = {LIST_LENGTHS, true, false, lengths}},
        {.kv_list = {LIST_LENGTHS, false, false, lengths}, .causal = true},
        {.page_size = 8, .kv_list = {LIST_LENGTHS, true, false, lengths}},
    };
    HIDE(cases);
}

Test(attention_numbers, hidden_by_patterns) {
    static const attention_case cases[] = {
        {.pattern_seed = 5, .pattern_query_tile = 16, .pattern_key_tile = 32},
        {.pattern_seed = 8, .pattern_query_tile = 16, .pattern_key_tile = 32, .mask = VKA_F32},
        {.permutation_len = 38, .permutation_heads = true},
    };
    HIDE(cases);
}

/* Steps of fewer keys than a vector of masks has, which wide heads take: what is set aside ends the run of full steps,
 * and those behind it must be the same as without. Scores rise, so that every key changes what the ones before it are
 * worth.
 */
Test(attention_numbers, hidden_in_short_steps) {
    static vka_attention_candidate list[256];
    char why[1536] = "";
    context c;
    uint32_t count = 0, tried = 0;
    context_open(&c, &config_real);
    attention_problem p =
        attention_make(&c, (attention_case){.q_len = 17, .kv_len = 64, .head_dim = DIM, .mask = VKA_F32}, test_seed());
    for (size_t i = 0; i < p.mask.count; i++) {
        p.mask.values[i] = i % 8 == 1 ? -INFINITY : (float)(i % 64) / 3;
    }
    attention_update(&p);
    vka_attention_desc desc = attention_desc(&p);
    EXPECT_OK(vka_attention_candidates(c.device, &desc, list, 256, &count));
    for (uint32_t i = 0; i < count && (!tried || !context_compiles_slowly(&c)); i++) {
        if (list[i].path == VKA_ATTENTION_PATH_ROW && list[i].tile.key_tile < 4) {
            p.a.tile = list[i].tile;
            cr_assert(attention_try_hidden(&p, VKA_ATTENTION_PATH_ROW, 1, why, sizeof why), "%u x %u, %u: %s",
                      p.a.tile.query_tile, p.a.tile.key_tile, p.a.tile.rows_per_invocation, why);
            tried++;
        }
    }
    attention_destroy(&p);
    context_close(&c);
    if (!tried) {
        cr_skip_test("SKIP: no row tiles of fewer than four keys");
    }
}
