/* A caller's function of scores: checks, and its kernels.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/score_function.h"

#include <stdio.h>
#include <string.h>

#include "ops/attention/check.h"
#include "shader_hash.h"

/* ---- checks ----------------------------------------------------------------------------------------------------- */

/* What would go to a function. */
static vka_status check_absent(const vka__call *c, const vka_attention_desc *d) {
    char name[32];
    for (uint32_t i = 0; i < VKA_SCORE_TENSORS; ++i)
        if (vka__is_present(&d->score_tensors[i]))
            return vka__call_fail(c, VKA_INVALID, c->op->args[VKA__ATTENTION_SCORE_TENSOR + i].name,
                                  "is there, but there is no score_function");
    for (uint32_t i = 0; i < VKA_SCORE_CONSTANTS; ++i) {
        snprintf(name, sizeof name, "score_constants[%u]", i);
        if (d->score_constants[i] != 0)
            return vka__call_fail(c, VKA_INVALID, name, "is %g, but there is no score_function",
                                  (double)d->score_constants[i]);
    }
    return VKA_OK;
}

static vka_status check_code(const vka__call *c, const vka_score_function *f) {
    if (f->shaders != VKA_SHADER_HASH)
        return vka__call_fail(c, VKA_UNSUPPORTED, "score_function",
                              "was compiled with the shaders of vkattn %s, %016llx, but this library has %016llx: "
                              "compile it again",
                              f->version ? f->version : "?", (unsigned long long)f->shaders,
                              (unsigned long long)VKA_SHADER_HASH);
    if (!f->code || !f->kernels || !f->kernel_count)
        return vka__call_fail(c, VKA_INVALID, "score_function",
                              "has no kernels: it is none that vkattn_add_score_function made");
    return VKA_OK;
}

/* Kernels with products have no place for it, and its tensors have that of others in kernels. */
static vka_status check_places(const vka__call *c, const vka_attention_desc *d) {
    const vka_tensor *products[] = {&d->cosine_scale, &d->relative_keys};
    const vka_tensor *others[VKA_SCORE_TENSORS] = {&d->alibi_slopes, &d->relative_bias, &d->mask, &d->sinks};
    static const char *const names[] = {"alibi_slopes", "relative_bias", "mask", "sinks"};
    for (uint32_t i = 0; i < 2; ++i)
        if (vka__is_present(products[i]))
            return vka__call_fail(c, VKA_INVALID, "score_function", "does not go together with %s",
                                  i ? "relative_keys" : "cosine_scale");
    for (uint32_t i = 0; i < VKA_SCORE_TENSORS; ++i) {
        const vka__view *t = &c->view[VKA__ATTENTION_SCORE_TENSOR + i];
        const char *name = c->op->args[VKA__ATTENTION_SCORE_TENSOR + i].name;
        if (t->present && vka__is_present(others[i]))
            return vka__call_fail(c, VKA_INVALID, name, "takes the binding of %s, which is there as well", names[i]);
        if (t->present && !vka__view_extent(t, 0))
            return vka__call_fail(c, VKA_INVALID, name, "has no elements");
    }
    return VKA_OK;
}

vka_status vka__attention_check_score(vka__call *c, vka__attention_problem *p) {
    const vka_attention_desc *d = vka__attention_desc_of(c);
    const vka_score_function *f = d->score_function;
    vka_status status = f ? check_code(c, f) : check_absent(c, d);
    if (status != VKA_OK || !f)
        return status;
    status = check_places(c, d);
    if (status == VKA_OK && p->diagonal_rest)
        return vka__call_fail(c, VKA_UNSUPPORTED, "score_function",
                              "gets positions of 32 bits, but the diagonal is more than 2^29 off");
    p->score_function = f;
    for (uint32_t i = 0; i < VKA_SCORE_TENSORS; ++i)
        p->score_tensor[i] = c->view[VKA__ATTENTION_SCORE_TENSOR + i];
    memcpy(p->score_constant, d->score_constants, sizeof p->score_constant);
    return status;
}

/* ---- kernels ---------------------------------------------------------------------------------------------------- */

static const vka_score_kernel *kernel_named(const vka_score_function *f, const char *name) {
    for (uint32_t i = 0; i < f->kernel_count; ++i)
        if (f->kernels[i].words && !strcmp(f->kernels[i].name, name))
            return &f->kernels[i];
    return NULL;
}

bool vka__has_score_kernel(const vka__attention_problem *p, uint32_t kernel) {
    return !p->score_function || kernel_named(p->score_function, vka__kernel_name((vka__kernel)kernel));
}

void vka__take_score_kernel(const vka__attention_problem *p, vka__pipeline_key *key) {
    const vka_score_function *f = p->score_function;
    const vka_score_kernel *kernel = f ? kernel_named(f, vka__kernel_name((vka__kernel)key->kernel)) : NULL;
    if (!kernel)
        return;
    key->code[0] = (uint32_t)f->code;
    key->code[1] = (uint32_t)(f->code >> 32);
    key->words = kernel->words;
    key->bytes = (size_t)kernel->bytes;
}

uint32_t vka__score_types(const vka__attention_problem *p) {
    uint32_t types = 0;
    for (uint32_t i = 0; i < VKA_SCORE_TENSORS; ++i)
        types |= (p->score_tensor[i].present ? (uint32_t)p->score_tensor[i].dtype : 0) << 4 * i;
    return types;
}

void vka__say_score_function(const vka__attention_problem *p, vka__text *text) {
    const vka_score_function *f = p->score_function;
    if (f)
        vka__say(text, "score_function: %s, compiled with vkattn %s\n", f->name ? f->name : "?",
                 f->version ? f->version : "?");
}

void vka__fill_score_params(const vka__attention_problem *p, vka_attention_params *params) {
    for (uint32_t i = 0; i < VKA_SCORE_TENSORS; ++i) {
        const vka__view *t = &p->score_tensor[i];
        const uint64_t *stride = t->stride;
        params->score_strides[i] =
            (vka_strides){(uint32_t)stride[0], (uint32_t)stride[1], (uint32_t)stride[2], (uint32_t)stride[3]};
        if (t->present)
            params->score_last[i] = (vka_strides){t->shape[0] - 1, t->shape[1] - 1, t->shape[2] - 1, t->shape[3] - 1};
    }
    params->score_constant0 = p->score_constant[0];
    params->score_constant1 = p->score_constant[1];
    params->score_constant2 = p->score_constant[2];
    params->score_constant3 = p->score_constant[3];
}
