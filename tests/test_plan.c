/* Plans for devices that are not here: whatever the attention, every dispatch keeps to the device's limits, sees all of
 * its tensors, and together they do every piece of work exactly once.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "plan_check_attention.h"
#include "plan_problem.h"
#include "support/context.h"

static void attention_keeps_to_limits(bool options) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 4000; i++) {
        vka__attention_problem p = random_attention(&rng, options);
        for (size_t d = 0; d < DEVICES; d++) {
            check_attention(&devices[d], &p);
        }
    }
}

Test(plan, attention_keeps_to_limits) {
    attention_keeps_to_limits(false);
}

Test(plan, attention_with_options_keeps_to_limits) {
    attention_keeps_to_limits(true);
}

/* The same device, with dispatches of a few groups. */
Test(plan, attention_in_small_dispatches) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 1000; i++) {
        vka__attention_problem p = random_attention(&rng, i % 2);
        if (p.q.shape[2] > 4096) {
            continue;
        }
        for (size_t d = 0; d < DEVICES; d++) {
            device few = devices[d];
            few.caps.max_groups[0] = 1 + ref_rng_below(&rng, 9);
            few.caps.max_groups[1] = 1 + ref_rng_below(&rng, 5);
            few.caps.max_groups[2] = 1 + ref_rng_below(&rng, 3);
            check_attention(&few, &p);
        }
    }
}

/* Kernels with options bind more storage buffers than some devices have; others do not. */
Test(plan, few_storage_buffers) {
    ref_rng rng = ref_rng_seed(test_seed());
    uint32_t refused = 0, taken = 0;
    for (int i = 0; i < 2000; i++) {
        vka__attention_problem p = random_attention(&rng, i % 2);
        device d = devices[i % DEVICES];
        vka__attention_plan plan;
        vka__refusal refusal = {0};
        d.caps.storage_buffers = 8;
        if (vka__attention_has_options(&p)) {
            cr_assert_eq(vka__plan_attention(&d.caps, &p, &plan, &refusal), VKA_UNSUPPORTED);
            cr_assert_str_eq(refusal.field, "desc");
            cr_assert(strstr(refusal.reason, "17 storage buffers"), "%s", refusal.reason);
            refused++;
        } else {
            check_attention(&d, &p);
            taken++;
        }
    }
    cr_assert(refused > 500 && taken > 500, "%u refused, %u taken", refused, taken);
}

/* Very many workgroups that may find nothing to do: the device computes how many there are, where it alone knows. */
Test(plan, sizes_by_the_device) {
    ref_rng rng = ref_rng_seed(test_seed());
    const device *gpu = device_named("nvidia");
    uint32_t indirect = 0;
    for (int i = 0; i < 2000; i++) {
        vka__attention_problem p = random_attention(&rng, true);
        vka__attention_plan plan;
        vka__refusal refusal;
        if (vka__plan_attention(&gpu->caps, &p, &plan, &refusal) == VKA_OK && plan.indirect) {
            cr_assert(p.device_lengths && plan.slices == 1 && plan.main_chunks == 1);
            check_dispatches(gpu, &p, &plan);
            indirect++;
        }
    }
    cr_assert_gt(indirect, 20, "only %u", indirect);
}

/* Scratch grows with the rows, never with rows times keys. */
Test(plan, workspace_is_linear) {
    for (size_t i = 0; i < DEVICES; i++) {
        for (uint32_t n = 256; n <= 1u << 20; n *= 4) {
            for (uint32_t splits = 0; splits <= 64; splits += 32) {
                vka__attention_problem p = plain(VKA_F16, 8, 8, n, n, 64);
                vka__attention_plan plan;
                vka__refusal refusal;
                p.splits = splits;
                if (vka__plan_attention(&devices[i].caps, &p, &plan, &refusal) == VKA_OK) {
                    cr_assert_leq(plan.workspace_bytes, UINT64_C(8) * n * 64 * (64 + 2) * 4 + 256, "%s, N = %u",
                                  devices[i].name, n);
                }
            }
        }
    }
}
