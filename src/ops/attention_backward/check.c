/* Checks of vka_attention_backward: what has no gradient, and gradients' shapes.
 * SPDX-License-Identifier: MIT */
#include "ops/attention_backward/attention_backward.h"

/* What is not differentiated. */
static vka_status check_forward(const vka__call *c, const vka__attention_problem *p) {
    const vka_attention_desc *d = vka__attention_desc_of(c);
    const struct {
        bool there;
        const char *name;
    } refused[] = {{d->selection != VKA_SELECTION_SOFTMAX, "selection"},
                   {p->pages.present, "page_table"},
                   {p->permutation.present, vka__call_has(c, VKA__ATTENTION_PERMUTATION) ? "permutation" : "pattern"},
                   {p->score_function, "score_function"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i)
        if (refused[i].there)
            return vka__call_fail(c, VKA_UNSUPPORTED, refused[i].name, "has no backward pass%s",
                                  i == 2 ? ", as it orders keys by a permutation" : "");
    return VKA_OK;
}

/* Keys and values of a batch that shares one of them only would take sums of their own. */
static vka_status check_sharing(const vka__call *c, const vka__attention_problem *p) {
    if (p->k.shape[0] != p->v.shape[0] && (vka__call_has(c, VKA__BACKWARD_D_K) || vka__call_has(c, VKA__BACKWARD_D_V)))
        return vka__call_fail(c, VKA_UNSUPPORTED, "v", "shape[0] is %u, but must be k's, which is %u, for gradients",
                              p->v.shape[0], p->k.shape[0]);
    return VKA_OK;
}

/* A gradient that has the shape of a tensor, of which there are several. */
static vka_status check_like(const vka__call *c, uint32_t gradient, uint32_t arg) {
    const vka__view *have = &c->view[gradient], *want = &c->view[arg];
    const char *name = c->op->args[gradient].name, *other = c->op->args[arg].name;
    if (!have->present)
        return VKA_OK;
    if (!want->present)
        return vka__call_fail(c, VKA_INVALID, name, "is there, but there is no %s", other);
    if (want->dtype == VKA_U8)
        return vka__call_fail(c, VKA_INVALID, name, "is there, but %s is VKA_U8, which has no gradient", other);
    const vka_tensor *t = vka__call_tensor(c, gradient), *like = vka__call_tensor(c, arg);
    if (t->rank != like->rank)
        return vka__call_fail(c, VKA_INVALID, name, "rank is %u, but must be %u, that of %s", t->rank, like->rank,
                              other);
    for (uint32_t i = 0; i < t->rank; ++i)
        if (t->shape[i] != like->shape[i])
            return vka__call_fail(c, VKA_INVALID, name, "shape[%u] is %u, but must be %u, as that of %s", i,
                                  t->shape[i], like->shape[i], other);
    return VKA_OK;
}

static vka_status check_gradients(const vka__call *c) {
    bool any = false;
    for (uint32_t i = VKA__BACKWARD_D_Q; i < VKA__BACKWARD_ARGS; ++i)
        any = any || vka__call_has(c, i);
    if (!any)
        return vka__call_fail(c, VKA_INVALID, "d_q", "is absent, and so are all other gradients: there is no result");
    static const uint32_t like[][2] = {{VKA__BACKWARD_D_MASK, VKA__ATTENTION_MASK},
                                       {VKA__BACKWARD_D_ALIBI, VKA__ATTENTION_ALIBI},
                                       {VKA__BACKWARD_D_RELATIVE, VKA__ATTENTION_RELATIVE},
                                       {VKA__BACKWARD_D_SINKS, VKA__ATTENTION_SINKS},
                                       {VKA__BACKWARD_D_COSINE, VKA__ATTENTION_COSINE_SCALE},
                                       {VKA__BACKWARD_D_RELATIVE_KEYS, VKA__ATTENTION_RELATIVE_KEYS},
                                       {VKA__BACKWARD_D_CONTENT, VKA__ATTENTION_CONTENT_BIAS},
                                       {VKA__BACKWARD_D_POSITION, VKA__ATTENTION_POSITION_BIAS}};
    vka_status status = VKA_OK;
    for (size_t i = 0; i < sizeof like / sizeof *like && status == VKA_OK; ++i)
        status = check_like(c, like[i][0], like[i][1]);
    return status;
}

vka_status vka__backward_check(vka__call *c) {
    vka__attention_problem *p = VKA__STATE(c, vka__attention_problem);
    vka_status status = vka__attention_check(c);
    if (status == VKA_OK)
        status = check_forward(c, p);
    if (status == VKA_OK)
        status = check_sharing(c, p);
    if (status == VKA_OK)
        status = check_gradients(c);
    p->stats.present = p->scores.present = false;
    return status;
}
