/* Two thousand attentions with everything drawn at random: every option on or off, with every other. The rest of them
 * is for vkattn-random. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "random/random.h"

#define CASES 250

/* Which option a draw of many never has, or never lacks, is one that nothing tests. */
Test(random, draws_everything) {
    enum { DRAWS = 20000 };
    uint32_t on[27] = {0};
    uint32_t extreme[7] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        random_case r = random_draw(7, i);
        const attention_case *a = &r.a;
        const bool has[] = {a->softcap > 0,
                            a->mask,
                            a->alibi,
                            a->relative_len,
                            a->sinks,
                            a->causal,
                            a->window.enabled,
                            a->q_list.kind,
                            a->kv_list.kind,
                            a->page_size,
                            a->selection,
                            a->dropout > 0,
                            a->stats,
                            a->scores,
                            a->no_lse,
                            a->k_dtype == VKA_Q8_0,
                            a->k_dtype == VKA_Q4_0,
                            a->pattern_seed,
                            a->permutation_len,
                            a->key_list_len,
                            r.compares_hidden,
                            a->relative_width,
                            r.candidate,
                            a->cosine,
                            a->relative_keys_len,
                            a->score == &score_borders,
                            a->score == &score_lattice};
        const bool extremes[] = {a->softcap > 1e20f,
                                 a->mask && a->mask_content == MASK_LOWEST,
                                 a->huge_sinks,
                                 a->huge_slopes,
                                 a->lowest_biases,
                                 a->whole_numbers,
                                 a->relative_width && (a->offset > 1 << 28 || a->offset < -(1 << 28))};
        for (size_t n = 0; n < sizeof extremes / sizeof *extremes; n++) {
            extreme[n] += extremes[n];
        }
        for (size_t n = 0; n < sizeof has / sizeof *has; n++) {
            on[n] += has[n];
        }
        random_case again = random_draw(7, i);
        cr_assert_eq(r.seed, again.seed);
        cr_assert_eq(r.a.q_len, again.a.q_len);
    }
    for (size_t n = 0; n < sizeof extreme / sizeof *extreme; n++) {
        cr_assert(extreme[n] > DRAWS / 200, "extreme %zu is drawn %u times in %d", n, extreme[n], DRAWS);
    }
    for (size_t n = 0; n < sizeof on / sizeof *on; n++) {
        cr_assert(on[n] > DRAWS / 50 && on[n] < DRAWS - DRAWS / 50, "option %zu is on in %u of %d", n, on[n], DRAWS);
    }
}

static void run_part(uint64_t part) {
    context c;
    context_open(&c, &config_real);
    for (uint64_t i = 0; i < CASES; i++) {
        if (!context_leaves_out(&c, 49)) {
            random_run(&c, test_seed(), part * CASES + i, 1);
        }
    }
    context_close(&c);
}

Test(random, part_1) {
    run_part(0);
}

Test(random, part_2) {
    run_part(1);
}

Test(random, part_3) {
    run_part(2);
}

Test(random, part_4) {
    run_part(3);
}

Test(random, part_5) {
    run_part(4);
}

Test(random, part_6) {
    run_part(5);
}

Test(random, part_7) {
    run_part(6);
}

Test(random, part_8) {
    run_part(7);
}
