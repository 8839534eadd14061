/* vka_attention_merge_backward.
 * SPDX-License-Identifier: MIT */
#include <vkattn/merge.h>

#include "ops/merge/merge.h"

enum { A, B, A_LSE, B_LSE, D_OUT, D_LSE, D_A, D_A_LSE, ARGS, NUMBERS = 0 };

#define BIT(arg)       (1u << (arg))
#define DESC(field)    offsetof(vka_attention_merge_backward_desc, field)
#define STRIDES(field) offsetof(vka_merge_backward_params, field)
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
    [D_OUT] = {"d_out", "B H N D", DESC(d_out), STRIDES(d_out), VKA__FLOATS, .flags = VKA__REQUIRED,
               .access = VKA__READ, .binding = VKA_BIND_MERGE_D_OUT},
    [D_LSE] = {"d_lse", "B H N", DESC(d_lse), STRIDES(d_lse), F32, .flags = VKA__PER_ROW, .access = VKA__READ,
               .binding = VKA_BIND_MERGE_D_LSE},
    [D_A] = {"d_a", "B H N D", DESC(d_a), STRIDES(d_a), VKA__FLOATS, .access = VKA__WRITE, .binding = VKA_BIND_D_A},
    [D_A_LSE] = {"d_a_lse", "B H N", DESC(d_a_lse), STRIDES(d_a_lse), F32, .flags = VKA__PER_ROW, .access = VKA__WRITE,
                 .binding = VKA_BIND_D_A_LSE},
};
static const vka__number numbers[1];
static const vka__limit limits[] = {{'D', 1, UINT32_MAX}, {0}};

static vka_status check(vka__call *c) {
    return vka__call_has(c, D_A) || vka__call_has(c, D_A_LSE)
               ? VKA_OK
               : vka__call_fail(c, VKA_INVALID, "d_a", "is absent, and so is d_a_lse: there is no result");
}

static bool plan(vka__call *c) {
    uint32_t group, rows = vka__merge_group(c, c->view[D_OUT].shape[3], &group);
    uint32_t vectors = BIT(A) | BIT(B) | BIT(D_OUT) | (vka__call_has(c, D_A) ? BIT(D_A) : 0);
    vka__pipeline_key *key = vka__call_add_key(c, VKA__attention_merge_backward, group);
    key->spec[VKA_SPEC_TC] = group / rows;
    key->spec[VKA_SPEC_FLAGS] = (vka__call_vec4(c, vectors) ? VKA_FLAG_VEC4 : 0) |
                                (vka__call_has(c, D_LSE) ? VKA_FLAG_MERGED_LSE : 0) |
                                (vka__call_has(c, D_A_LSE) ? VKA_FLAG_D_A_LSE : 0);
    key->spec[VKA_SPEC_TYPES] = vka__call_type(c, A, VKA_ROLE_A) | vka__call_type(c, B, VKA_ROLE_B) |
                                vka__call_type(c, D_OUT, VKA_ROLE_MERGE_D_OUT);
    if (vka__call_has(c, D_A))
        key->spec[VKA_SPEC_TYPES] |= vka__call_type(c, D_A, VKA_ROLE_OUT);
    VKA__PARAMS(c, vka_merge_backward_params)->cols = c->view[D_OUT].shape[3];
    return vka__rows_plan(c, D_OUT, 1, rows);
}

VKA__OPERATION(attention_merge_backward, .params_size = sizeof(vka_merge_backward_params), .limits = limits,
               .check = check, .plan = plan);
