/* vka_attention_merge.
 * SPDX-License-Identifier: MIT */
#include <vkattn/merge.h>

#include "ops/merge/merge.h"

enum { A, B, A_LSE, B_LSE, OUT, LSE, ARGS, NUMBERS = 0 };

#define BIT(arg)       (1u << (arg))
#define DESC(field)    offsetof(vka_attention_merge_desc, field)
#define STRIDES(field) offsetof(vka_merge_params, field)
#define F32            VKA__TYPE(VKA_F32)

static const vka__arg args[ARGS] = {
    [A] = {"a", "B H N D", DESC(a), STRIDES(a), VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
           .binding = VKA_BIND_A},
    [B] = {"b", "B H N D", DESC(b), STRIDES(b), VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
           .binding = VKA_BIND_B},
    [A_LSE] = {"a_lse", "B H N", DESC(a_lse), STRIDES(a_lse), F32, .flags = VKA__REQUIRED | VKA__PER_ROW,
               .access = VKA__READ, .binding = VKA_BIND_A_LSE},
    [B_LSE] = {"b_lse", "B H N", DESC(b_lse), STRIDES(b_lse), F32, .flags = VKA__REQUIRED | VKA__PER_ROW,
               .access = VKA__READ, .binding = VKA_BIND_B_LSE},
    [OUT] = {"out", "B H N D", DESC(out), STRIDES(out_), VKA__FLOATS, BIT(A) | BIT(B), .flags = VKA__REQUIRED,
             .access = VKA__WRITE, .binding = VKA_BIND_MERGED},
    [LSE] = {"lse", "B H N", DESC(lse), STRIDES(lse), F32, BIT(A_LSE) | BIT(B_LSE), .flags = VKA__PER_ROW,
             .access = VKA__WRITE, .binding = VKA_BIND_MERGED_LSE},
};
static const vka__number numbers[1];
static const vka__limit limits[] = {{'D', 1, UINT32_MAX}, {0}};

static bool plan(vka__call *c) {
    uint32_t group, rows = vka__merge_group(c, c->view[OUT].shape[3], &group);
    bool vec4 = vka__call_vec4(c, BIT(A) | BIT(B) | BIT(OUT));
    vka__pipeline_key *key = vka__call_add_key(c, VKA__attention_merge_parts, group);
    key->spec[VKA_SPEC_TC] = group / rows;
    key->spec[VKA_SPEC_FLAGS] = (vec4 ? VKA_FLAG_VEC4 : 0) | (vka__call_has(c, LSE) ? VKA_FLAG_MERGED_LSE : 0);
    key->spec[VKA_SPEC_TYPES] =
        vka__call_type(c, A, VKA_ROLE_A) | vka__call_type(c, B, VKA_ROLE_B) | vka__call_type(c, OUT, VKA_ROLE_OUT);
    VKA__PARAMS(c, vka_merge_params)->cols = c->view[OUT].shape[3];
    return vka__rows_plan(c, OUT, 1, rows);
}

static void explain(const vka__call *c, vka__text *text) {
    const uint32_t *spec = c->key[0].spec;
    vka__say(text, "invocations_per_row: %u\nvector_loads: %s\n", spec[VKA_SPEC_TC],
             vka__yes(spec[VKA_SPEC_FLAGS] & VKA_FLAG_VEC4));
}

VKA__OPERATION(attention_merge, .params_size = sizeof(vka_merge_params), .limits = limits, .plan = plan,
               .explain = explain);
