/* Plans of attention's backward pass for devices that are not here: which kernels AUTO takes.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "op/known_drivers.h"
#include "ops/attention_backward/attention_backward.h"
#include "plan_check.h"
#include "plan_devices.h"

static vka_attention_backward_desc described(vka_dtype dtype, uint32_t dim, bool alibi, bool lists, bool cosine) {
    vka_tensor q = vka_tensor_4d(NULL, dtype, 1, 4, 512, dim), k = vka_tensor_4d(NULL, dtype, 1, 2, 512, dim);
    vka_tensor heads = vka_tensor_1d(NULL, VKA_F32, 4);
    vka_attention_backward_desc p = {
        .forward = {.q = q, .k = k, .v = k, .out = q, .lse = vka_tensor_3d(NULL, VKA_F32, 1, 4, 512), .causal = true},
        .d_out = q,
        .d_q = q,
        .d_k = k,
        .d_v = k};
    if (alibi) {
        p.forward.alibi_slopes = heads;
    }
    if (cosine) {
        p.forward.cosine_scale = heads;
    }
    if (lists) {
        p.forward.key_lists = vka_tensor_4d(NULL, VKA_I32, 1, 1, 512, 64);
    }
    return p;
}

static const char *path_of(const device *d, vka_dtype dtype, uint32_t dim, bool alibi, bool lists, bool cosine) {
    static vka__call c;
    const vka_attention_backward_desc p = described(dtype, dim, alibi, lists, cosine);
    cr_assert(PLAN(&c, attention_backward, &d->caps, &p), "%s", d->name);
    return vka__backward_path_name(((const vka__backward_state *)(const void *)c.state)->plan.path);
}

/* Matrices where there are any, then an instruction for pairs, then floats in shared memory; software drivers by rows.
 */
Test(attention_backward_plan, paths) {
    static const struct {
        const char *device;
        vka_dtype dtype;
        uint32_t dim;
        bool alibi, lists, cosine;
        const char *path;
    } cases[] = {
        {"rdna2", VKA_F16, 64, false, false, false, "dot"},
        {"rdna2", VKA_F16, 128, false, false, false, "dot"},
        {"rdna2", VKA_F16, 64, true, false, false, "dot"},
        {"rdna2", VKA_F16, 64, false, false, true, "tile"},
        {"rdna2", VKA_F32, 64, false, false, false, "tile"},
        {"rdna2", VKA_BF16, 64, false, false, false, "tile"},
        {"amd", VKA_F16, 64, false, false, false, "tile"},
        {"rdna3", VKA_F16, 64, false, false, false, "coopmat"},
        {"rdna3", VKA_F16, 128, false, false, false, "coopmat"},
        {"rdna3", VKA_F16, 64, true, false, false, "tile"},
        {"rdna3", VKA_BF16, 64, false, false, false, "tile"},
        {"rdna4", VKA_BF16, 64, false, false, false, "coopmat"},
        {"nvidia with matrices", VKA_F16, 64, false, false, false, "coopmat"},
        {"nvidia with matrices", VKA_F16, 128, false, false, false, "coopmat"},
        {"nvidia with matrices", VKA_F16, 64, false, true, false, "tile"},
        {"nvidia with matrices", VKA_F16, 64, false, true, true, "row"},
        {"nvidia", VKA_F16, 64, false, false, false, "tile"},
        {"lavapipe 26.1", VKA_F16, 64, false, false, false, "row"},
        {"lavapipe 26.1", VKA_F16, 64, false, true, false, "row"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = path_of(device_named(cases[i].device), cases[i].dtype, cases[i].dim, cases[i].alibi,
                                   cases[i].lists, cases[i].cosine);
        cr_expect_str_eq(path, cases[i].path, "case %zu, %s: %s, not %s", i, cases[i].device, path, cases[i].path);
    }
}

/* SwiftShader's compiler ends the process on them, also where a measurement of all paths asks for it. */
Test(attention_backward_plan, swiftshader_has_no_options_by_dots) {
    static vka__call c;
    device d = *device_named("lavapipe 26.1");
    for (int alibi = 0; alibi < 2; alibi++) {
        vka_attention_backward_desc p = described(VKA_F16, 64, alibi, false, false);
        p.path = VKA_ATTENTION_BACKWARD_PATH_DOT;
        d.caps.driver_id = VKA__DRIVER_LLVMPIPE;
        cr_expect(PLAN(&c, attention_backward, &d.caps, &p), "%s", c.refusal.reason);
        d.caps.driver_id = VKA__DRIVER_SWIFTSHADER;
        cr_expect_eq(PLAN(&c, attention_backward, &d.caps, &p), !alibi);
    }
    cr_expect(strstr(c.refusal.reason, "SwiftShader"), "%s", c.refusal.reason);
}
