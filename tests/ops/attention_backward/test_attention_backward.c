/* Gradients of attention against float64, by the accuracy rule.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backward_case.h"

static void run_all(const device_config *config, const backward_case *cases, size_t count) {
    context c;
    context_open(&c, config);
    for (size_t i = 0; i < count; i++) {
        backward_on_paths(&c, cases[i]);
    }
    context_close(&c);
}
#define RUN_ALL(config, cases) run_all(config, cases, sizeof cases / sizeof *(cases))

#define SHAPE(b, hq, hkv, nq, nk, d, dv)                                                                               \
    .batch = b, .q_heads = hq, .kv_heads = hkv, .q_len = nq, .kv_len = nk, .head_dim = d, .value_dim = dv

Test(attention_backward, plain) {
    const backward_case cases[] = {
        {.forward = {SHAPE(1, 1, 1, 1, 1, 1, 1)}},
        {.forward = {SHAPE(2, 2, 2, 19, 45, 16, 24)}},
        {.forward = {SHAPE(1, 4, 2, 37, 37, 33, 33), .causal = true}},
        {.forward = {SHAPE(2, 3, 3, 33, 70, 64, 64), .causal = true, .layout = {"0213", 3, 1}}},
        {.forward = {SHAPE(1, 2, 1, 50, 50, 20, 7), .window = {true, 5, 3}, .scale = 0.3f}},
        {.forward = {SHAPE(1, 2, 1, 9, 70, 24, 24), .causal = true, .diagonal = VKA_DIAGONAL_EXPLICIT, .offset = -4}},
    };
    RUN_ALL(&config_real, cases);
}

Test(attention_backward, types) {
    const backward_case cases[] = {
        {.forward = {SHAPE(1, 2, 2, 21, 35, 32, 32), .dtype = VKA_F16, .causal = true}},
        {.forward = {SHAPE(1, 2, 1, 21, 35, 31, 17), .dtype = VKA_BF16, .layout = {NULL, 1, 1}}},
        {.forward = {SHAPE(1, 2, 1, 21, 35, 24, 24), .dtype = VKA_F16, .k_dtype = VKA_F32, .v_dtype = VKA_BF16},
         .d_out_dtype = VKA_F32,
         .d_dtype = VKA_F32},
    };
    RUN_ALL(&config_real, cases);
}

/* Head dimensions of one product and of many, several blocks of rows and steps of partners, ragged at every end. */
Test(attention_backward, matrices) {
    const backward_case cases[] = {
        {.forward = {SHAPE(1, 1, 1, 1, 1, 1, 1), .dtype = VKA_F16}},
        {.forward = {SHAPE(2, 4, 2, 70, 53, 24, 40), .dtype = VKA_F16}},
        {.forward = {SHAPE(1, 3, 1, 53, 99, 32, 16), .dtype = VKA_F16, .causal = true, .layout = {"0213", 3, 1}},
         .d_lse = true,
         .d_dtype = VKA_F32},
        {.forward = {SHAPE(1, 2, 2, 90, 90, 64, 59), .dtype = VKA_F16, .window = {true, 20, 7}, .scale = 0.3f}},
        {.forward = {SHAPE(1, 2, 1, 41, 41, 80, 72), .dtype = VKA_F16, .causal = true}, .d_dtype = VKA_BF16},
        {.forward = {SHAPE(1, 2, 1, 70, 40, 48, 64), .dtype = VKA_BF16, .causal = true}},
    };
    RUN_ALL(&config_real, cases);
}

/* Pairs of f16: dimensions that are no multiple of eight, rows of few queries and of many, with and without options. */
Test(attention_backward, dots) {
    const backward_case cases[] = {
        {.forward = {SHAPE(2, 4, 2, 37, 45, 20, 11), .dtype = VKA_F16, .causal = true, .layout = {"0213", 3, 1}},
         .d_lse = true,
         .path = VKA_ATTENTION_BACKWARD_PATH_DOT},
        {.forward = {SHAPE(2, 2, 1, 37, 45, 72, 24), .dtype = VKA_F16, .window = {true, 9, 3}, .poison_hidden = true,
                     .kv_list = {LIST_LENGTHS}, .alibi = true},
         .d_dtype = VKA_F32,
         .path = VKA_ATTENTION_BACKWARD_PATH_DOT},
    };
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        backward_problem p = backward_make(&c, cases[i], test_seed());
        if (backward_can(&p) && !context_leaves_out(&c, 2)) {
            backward_run(&p);
        }
        backward_destroy(&p);
    }
    context_close(&c);
}

/* Lists of keys, of which some hold a key twice, keys that don't exist, or end early. */
Test(attention_backward, lists) {
    const backward_case cases[] = {
        {.forward = {SHAPE(2, 4, 2, 11, 37, 20, 12), .key_list_len = 21, .causal = true, .dropout = 0.3f,
                     .random_seed = 3, .random_offset = 0xffffffff, .random_step = true}},
        {.forward = {SHAPE(2, 4, 2, 11, 37, 20, 12), .key_list_len = 21, .key_list_heads = 1, .alibi = true,
                     .kv_list = {LIST_LENGTHS, true}, .q_list = {LIST_LENGTHS, true}, .poison_hidden = true},
         .d_lse = true},
        {.forward = {SHAPE(2, 4, 2, 11, 37, 20, 12), .key_list_len = 21, .key_list_heads = 2, .mask = VKA_F32,
                     .mask_broadcast = 2, .softcap = 2, .sinks = true}},
        {.forward = {SHAPE(3, 4, 2, 50, 70, 20, 12), .key_list_len = 9, .key_list_heads = 1, .dtype = VKA_F16,
                     .q_list = {LIST_OFFSETS, true}, .kv_list = {LIST_OFFSETS, true}, .causal = true,
                     .layout = {"0213", 3, 1}},
         .d_dtype = VKA_F32},
        {.forward = {SHAPE(3, 2, 1, 9, 5, 70, 40), .key_list_len = 300, .dtype = VKA_BF16, .k_shared = true,
                     .v_shared = true, .relative_len = 5, .relative_zero = 2}},
        {.forward = {SHAPE(1, 2, 1, 5, 0, 20, 12), .key_list_len = 3, .no_keys = true}},
        {.forward = {SHAPE(2, 4, 2, 11, 37, 20, 12), .key_list_len = 21, .cosine = true, .cosine_long_rows = true}},
        {.forward = {SHAPE(2, 4, 2, 11, 37, 20, 12), .key_list_len = 21, .key_list_heads = 1, .relative_keys_len = 9,
                     .relative_keys_zero = 5}},
        {.forward = {SHAPE(1, 2, 2, 3, 30, 20, 12), .key_list_len = 600}, .left_out = 1u << BACKWARD_d_q},
    };
    RUN_ALL(&config_real, cases);
}

static void factors_done(backward_problem *p, float *d_out, context *c) {
    free(d_out);
    backward_destroy(p);
    context_close(c);
}

static void run_scaled(backward_problem *p, float factor, const float *d_out) {
    for (size_t i = 0; i < p->d_out.count; i++) {
        p->d_out.values[i] = factor * d_out[i];
    }
    tensor_upload(&p->d_out);
    vka_attention_backward_desc desc = backward_desc(p);
    EXPECT_OK(vka_recorder_begin(p->p.c->recorder));
    EXPECT_OK(vka_attention(p->p.c->recorder, &desc.forward));
    EXPECT_OK(vka_attention_backward(p->p.c->recorder, &desc));
    context_finish(p->p.c);
    for (int g = BACKWARD_d_q; g <= BACKWARD_d_v; g++) {
        cr_assert(tensor_download(&p->gradient[g]));
    }
}

/* Of a loss times a power of two every gradient is that power times as large, to the last bit, also where gradients of
 * scores are beyond the largest f16 or below the smallest. */
Test(attention_backward, scaled) {
    const float factors[] = {4096, 0.00390625f};
    context c;
    context_open(&c, &config_real);
    backward_problem p =
        backward_make(&c,
                      (backward_case){.forward = {SHAPE(1, 2, 1, 53, 45, 16, 16), .dtype = VKA_F16, .causal = true},
                                      .d_dtype = VKA_F32,
                                      .path = VKA_ATTENTION_BACKWARD_PATH_COOPMAT},
                      test_seed());
    float *d_out = attention_must(malloc(p.d_out.count * sizeof *d_out)), *first[3];
    vka_attention_backward_desc desc = backward_desc(&p);
    vka_requirements need;
    if (vka_attention_backward_requirements(c.device, &desc, &need) == VKA_UNSUPPORTED) {
        fprintf(stderr, "SKIP: %s\n", log_last(VKA_LOG_ERROR).message);
        log_clear();
        factors_done(&p, d_out, &c);
        return;
    }
    for (size_t i = 0; i < p.d_out.count; i++) { /* f16 has all multiples of these by the factors */
        d_out[i] = floorf(p.d_out.values[i] * 64) / 64;
    }
    run_scaled(&p, 1, d_out);
    for (int g = BACKWARD_d_q; g <= BACKWARD_d_v; g++) {
        first[g] = attention_must(malloc(p.gradient[g].count * sizeof(float)));
        memcpy(first[g], p.gradient[g].values, p.gradient[g].count * sizeof(float));
    }
    for (size_t f = 0; f < sizeof factors / sizeof *factors; f++) {
        run_scaled(&p, factors[f], d_out);
        for (int g = BACKWARD_d_q; g <= BACKWARD_d_v; g++) {
            for (size_t i = 0; i < p.gradient[g].count; i++) {
                cr_assert(p.gradient[g].values[i] == factors[f] * first[g][i], "%d[%zu] is %g, not %g times %g", g, i,
                          (double)p.gradient[g].values[i], (double)factors[f], (double)first[g][i]);
            }
        }
    }
    for (int g = BACKWARD_d_q; g <= BACKWARD_d_v; g++) {
        free(first[g]);
    }
    factors_done(&p, d_out, &c);
}

Test(attention_backward, options) {
    const backward_case cases[] = {
        {.forward = {SHAPE(2, 2, 1, 23, 41, 16, 16), .mask = VKA_F32, .softcap = 2, .sinks = true}, .d_lse = true},
        {.forward = {SHAPE(2, 4, 2, 23, 41, 20, 12), .mask = VKA_U8, .mask_broadcast = 2, .alibi = true,
                     .causal = true}},
        {.forward = {SHAPE(2, 2, 2, 23, 23, 16, 16), .mask = VKA_F32, .mask_broadcast = 1 | 2 | 4, .dropout = 0.3f,
                     .random_seed = 77, .random_step = true}},
        {.forward = {SHAPE(2, 2, 2, 23, 31, 16, 16), .relative_len = 13, .relative_zero = 5, .causal = true}},
        {.forward = {SHAPE(1, 2, 2, 20, 20, 16, 16), .relative_len = 7, .relative_zero = 3, .relative_width = 4,
                     .relative_rows = 5, .relative_zero_row = 2, .relative_shared = true}},
    };
    RUN_ALL(&config_real, cases);
}

/* A recorded step that is submitted again drops other pairs once the number that says so is another one. */
Test(attention_backward, replayed_steps) {
    const backward_case cases[] = {
        {.forward = {SHAPE(2, 2, 2, 23, 23, 16, 16), .mask = VKA_F32, .mask_broadcast = 1 | 2 | 4, .dropout = 0.3f,
                     .random_seed = 77, .random_step = true}},
        {.forward = {SHAPE(2, 4, 2, 37, 45, 20, 12), .dtype = VKA_F16, .causal = true, .dropout = 0.5f,
                     .random_seed = 3, .random_offset = 0xffffffff, .random_step = true}},
        {.forward = {SHAPE(2, 4, 2, 11, 37, 20, 12), .key_list_len = 21, .causal = true, .dropout = 0.3f,
                     .random_seed = 3, .random_offset = 0xffffffff, .random_step = true}},
    };
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        backward_replays_steps(&c, cases[i]);
    }
    context_close(&c);
}

Test(attention_backward, cosines) {
    const backward_case cases[] = {
        {.forward = {SHAPE(2, 2, 1, 23, 41, 16, 16), .cosine = true, .cosine_long_rows = true}, .d_lse = true},
        {.forward = {SHAPE(2, 4, 2, 23, 41, 16, 16), .cosine = true, .dtype = VKA_BF16}},
        {.forward = {SHAPE(1, 4, 2, 37, 37, 33, 17), .cosine = true, .cosine_long_rows = true, .causal = true,
                     .softcap = 3, .sinks = true, .layout = {"0213", 3, 1}}},
        {.forward = {SHAPE(2, 2, 2, 20, 20, 70, 24), .cosine = true, .cosine_long_rows = true, .dtype = VKA_F16,
                     .mask = VKA_F32, .relative_len = 7, .relative_zero = 3, .relative_width = 4, .relative_rows = 5,
                     .relative_zero_row = 2}},
        {.forward = {SHAPE(3, 2, 1, 50, 70, 16, 16), .cosine = true, .cosine_long_rows = true, .q_list = {LIST_OFFSETS},
                     .kv_list = {LIST_OFFSETS, true}}},
        {.forward = {SHAPE(3, 2, 2, 17, 30, 16, 16), .cosine = true, .cosine_long_rows = true, .k_shared = true,
                     .v_shared = true, .kv_list = {LIST_LENGTHS}, .poison_hidden = true}},
    };
    RUN_ALL(&config_real, cases);
}

Test(attention_backward, relative_keys) {
    const backward_case cases[] = {
        {.forward = {SHAPE(2, 2, 2, 23, 41, 16, 16), .relative_keys_len = 41, .causal = true}, .d_lse = true},
        {.forward = {SHAPE(2, 4, 2, 19, 33, 33, 17), .relative_keys_len = 9, .relative_keys_zero = 5,
                     .relative_keys_shared = true, .softcap = 4, .mask = VKA_F32, .layout = {"0213", 3, 1}}},
        {.forward = {SHAPE(1, 2, 1, 21, 35, 70, 24), .relative_keys_len = 56, .relative_keys_zero = 20,
                     .dtype = VKA_F16, .no_content_bias = true, .dropout = 0.2f, .random_seed = 5},
         .d_dtype = VKA_F32},
        {.forward = {SHAPE(3, 2, 1, 50, 70, 16, 16), .relative_keys_len = 1, .no_position_bias = true,
                     .q_list = {LIST_OFFSETS}, .kv_list = {LIST_OFFSETS, true}}},
        {.forward = {SHAPE(2, 2, 1, 23, 41, 16, 16), .relative_keys_len = 30, .relative_keys_zero = 10, .causal = true,
                     .poison_hidden = true, .kv_list = {LIST_LENGTHS, true}, .q_list = {LIST_LENGTHS}},
         .left_out = 1u << BACKWARD_d_q},
        {.forward = {SHAPE(1, 2, 2, 100, 130, 16, 16), .relative_keys_len = 40, .relative_keys_zero = 20,
                     .pattern_seed = 6, .pattern_query_tile = 64, .pattern_key_tile = 32}},
    };
    RUN_ALL(&config_real, cases);
}

Test(attention_backward, sequences) {
    const backward_case cases[] = {
        {.forward = {SHAPE(3, 2, 1, 23, 41, 16, 16), .q_list = {LIST_LENGTHS, true}, .kv_list = {LIST_LENGTHS, true},
                     .causal = true}},
        {.forward = {SHAPE(3, 2, 1, 50, 70, 16, 16), .q_list = {LIST_OFFSETS}, .kv_list = {LIST_OFFSETS, true},
                     .causal = true, .sinks = true, .alibi = true}},
        {.forward = {SHAPE(3, 2, 2, 17, 30, 16, 16), .k_shared = true, .v_shared = true, .kv_list = {LIST_LENGTHS}}},
    };
    RUN_ALL(&config_real, cases);
}

Test(attention_backward, patterns) {
    const backward_case cases[] = {
        {.forward = {SHAPE(1, 2, 2, 150, 150, 16, 16), .pattern_seed = 5, .pattern_query_tile = 32,
                     .pattern_key_tile = 32, .pattern_heads = true}},
        {.forward = {SHAPE(2, 2, 1, 100, 130, 16, 16), .pattern_seed = 6, .pattern_query_tile = 64,
                     .pattern_key_tile = 32, .causal = true, .alibi = true}},
        {.forward = {SHAPE(1, 4, 2, 70, 75, 16, 16), .pattern_seed = 7, .pattern_query_tile = 16,
                     .pattern_key_tile = 64, .pattern_heads = true, .diagonal = VKA_DIAGONAL_EXPLICIT, .offset = 3}},
    };
    RUN_ALL(&config_real, cases);
}

/* So many tiles that they are sorted block by block, in rows that see few or all of them. */
Test(attention_backward, many_tiles) {
    static const uint32_t globals[] = {3, 470};
    const vka_pattern_term terms[] = {{.kind = VKA_PATTERN_WINDOW, .window = {70, 40, 0}},
                                      {.kind = VKA_PATTERN_GLOBAL, .global = {globals, 2, false}}};
    const vka_pattern_desc pattern = {
        .queries = 480, .keys = 480, .heads = 3, .terms = terms, .term_count = 2, .query_tile = 16, .key_tile = 32};
    const backward_case cases[] = {{.forward = {SHAPE(1, 3, 3, 480, 480, 8, 8), .pattern = &pattern}}};
    RUN_ALL(&config_real, cases);
}

/* More workgroups than any device runs at a time, with everything that is a sum over several of them. */
Test(attention_backward, same_bits) {
    context c;
    context_open(&c, &config_real);
    backward_problem p = backward_make(
        &c,
        (backward_case){.forward = {SHAPE(2, 4, 2, 70, 90, 16, 16), .mask = VKA_F32, .mask_broadcast = 1 | 2,
                                    .alibi = true, .sinks = true, .causal = true}},
        test_seed());
    for (int path = VKA_ATTENTION_BACKWARD_PATH_ROW; path <= VKA_ATTENTION_BACKWARD_PATH_TILE; path++) {
        p.b.path = (vka_attention_backward_path)path;
        backward_repeats(&p, context_compiles_slowly(&c) ? 20 : 1000);
    }
    backward_destroy(&p);
    context_close(&c);
}

Test(attention_backward, same_bits_of_matrices) {
    context c;
    context_open(&c, &config_real);
    backward_problem p =
        backward_make(&c,
                      (backward_case){.forward = {SHAPE(2, 4, 2, 70, 90, 16, 16), .dtype = VKA_F16, .causal = true},
                                      .path = VKA_ATTENTION_BACKWARD_PATH_COOPMAT},
                      test_seed());
    vka_attention_backward_desc desc = backward_desc(&p);
    vka_requirements need;
    if (vka_attention_backward_requirements(c.device, &desc, &need) == VKA_UNSUPPORTED) {
        fprintf(stderr, "SKIP: %s\n", log_last(VKA_LOG_ERROR).message);
        log_clear();
    } else {
        backward_repeats(&p, 50);
    }
    backward_destroy(&p);
    context_close(&c);
}

/* What pairs that nobody sees hold must not matter. */
Test(attention_backward, hidden) {
    const backward_case cases[] = {
        {.forward = {SHAPE(2, 2, 1, 23, 41, 16, 16), .causal = true, .poison_hidden = true,
                     .kv_list = {LIST_LENGTHS, true}, .q_list = {LIST_LENGTHS}}},
        {.forward = {SHAPE(1, 2, 2, 30, 30, 16, 16), .window = {true, 4, -2}, .poison_hidden = true}},
        {.forward = {SHAPE(1, 2, 2, 50, 50, 16, 16), .dtype = VKA_F16, .window = {true, 4, -2}, .poison_hidden = true}},
        {.forward = {SHAPE(2, 2, 2, 23, 41, 16, 16), .mask = VKA_F32, .mask_content = MASK_ALL}},
    };
    RUN_ALL(&config_real, cases);
}

Test(attention_backward, nothing) {
    const backward_case cases[] = {
        {.forward = {SHAPE(1, 2, 2, 5, 0, 16, 16), .no_keys = true}},
        {.forward = {SHAPE(1, 2, 2, 5, 9, 16, 16)}, .left_out = 1u << BACKWARD_d_q},
        {.forward = {SHAPE(1, 2, 2, 5, 9, 16, 16)}, .left_out = 1u << BACKWARD_d_k},
        {.forward = {SHAPE(1, 2, 2, 5, 9, 16, 16)}, .left_out = 1u << BACKWARD_d_v},
    };
    RUN_ALL(&config_real, cases);
}

Test(attention_backward, small_devices) {
    const backward_case plain[] = {{.forward = {SHAPE(1, 4, 2, 37, 37, 33, 33), .causal = true}}};
    const backward_case options[] = {
        {.forward = {SHAPE(2, 2, 1, 23, 41, 16, 16), .mask = VKA_F32, .softcap = 2, .sinks = true}, .d_lse = true}};
    RUN_ALL(&config_few_buffers, plain);
    RUN_ALL(&config_tiny, plain);
    RUN_ALL(&config_no_sub, options);
    RUN_ALL(&config_few_groups, options);
}
