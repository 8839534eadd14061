/* Recordings that stay valid while lengths in device memory change.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "attention_case.h"

/* Submits one recording again and again with other lengths, in place of recording each anew. */
static void replay(attention_case a, uint32_t splits, bool sized) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, a, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    desc.splits = splits;
    char text[2048];
    EXPECT_OK(vka_attention_explain(c.device, &desc, text, sizeof text, NULL));
    cr_assert_eq(strstr(text, "sized_on_device: yes") != NULL, sized, "%s", text);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_attention(c.recorder, &desc));
    ref_rng rng = ref_rng_seed(test_seed());
    for (int n = 0; n < 6; n++) {
        for (uint32_t b = 0; b < a.batch; b++) {
            uint32_t most = n == 0 ? 0 : n == 1 ? a.kv_len : n == 2 ? 3 : ref_rng_below(&rng, a.kv_len + 1);
            p.kv_values[b] = (int32_t)most;
            if (p.q_values) {
                p.q_values[b] = n == 3 ? 0 : (int32_t)ref_rng_below(&rng, a.q_len + 1);
            }
        }
        attention_update(&p);
        tensor_poison(&p.out);
        tensor_poison(&p.lse);
        context_finish(&c);
        attention_compare(&p, "replayed");
    }
    attention_destroy(&p);
    context_close(&c);
}

Test(replay, lengths_of_few_groups) {
    replay((attention_case){.batch = 3,
                            .q_heads = 4,
                            .kv_heads = 2,
                            .q_len = 1,
                            .kv_len = 77,
                            .head_dim = 8,
                            .kv_list = {LIST_LENGTHS, .tensor = true}},
           3, false);
}

/* Long enough for keys to be shared by a number of workgroups that follows the length. */
Test(replay, lengths_of_many_keys) {
    replay((attention_case){.batch = 2,
                            .q_heads = 4,
                            .kv_heads = 2,
                            .q_len = 1,
                            .kv_len = 5000,
                            .head_dim = 8,
                            .sinks = true,
                            .kv_list = {LIST_LENGTHS, .tensor = true}},
           5, false);
}

Test(replay, sizes_computed_on_the_device) {
    replay((attention_case){.batch = 8,
                            .q_heads = 16,
                            .kv_heads = 8,
                            .q_len = 1,
                            .kv_len = 77,
                            .head_dim = 8,
                            .kv_list = {LIST_LENGTHS, .tensor = true}},
           8, true);
}

Test(replay, both_lengths_and_a_band) {
    replay((attention_case){.dtype = VKA_F16,
                            .batch = 9,
                            .q_heads = 20,
                            .q_len = 45,
                            .kv_len = 60,
                            .head_dim = 8,
                            .causal = true,
                            .q_list = {LIST_LENGTHS, .tensor = true},
                            .kv_list = {LIST_LENGTHS, .tensor = true}},
           4, true);
}
