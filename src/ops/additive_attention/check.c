/* What calls of additive attention and of its gradients are checked for.
 * SPDX-License-Identifier: MIT */
#include "ops/additive_attention/additive.h"

static vka_status check_vector(const vka__call *c, uint32_t arg) {
    const vka_tensor *t = vka__call_tensor(c, arg);
    uint32_t heads = vka__call_letter(c, 'H'), channels = vka__call_letter(c, 'A');
    bool fits = (t->rank == 1 || (t->rank == 2 && (t->shape[0] == 1 || t->shape[0] == heads))) &&
                t->shape[t->rank - 1] == channels;
    return fits ? VKA_OK
                : vka__call_fail(c, VKA_INVALID, c->op->args[arg].name,
                                 "has rank %u and shape[%u] of %u, but its shape must be [%u], [1, %u] or [%u, %u]",
                                 t->rank, t->rank - 1, t->shape[t->rank - 1], channels, channels, heads, channels);
}

vka_status vka__additive_check(const vka__call *c, const vka__additive_args *args, vka_diagonal diagonal,
                               int32_t offset) {
    uint32_t batch = vka__call_letter(c, 'B'), keys = vka__call_letter(c, 'M');
    const uint32_t pairs[] = {batch, vka__call_letter(c, 'H'), vka__call_letter(c, 'N'), keys};
    if (pairs[1] % vka__call_letter(c, 'G'))
        return vka__call_fail(c, VKA_INVALID, "k", "shape[1] is %u, which does not divide the %u heads of q",
                              vka__call_letter(c, 'G'), pairs[1]);
    if (diagonal != VKA_DIAGONAL_EXPLICIT && offset)
        return vka__call_fail(c, VKA_INVALID, "diagonal_offset", "is %d, but diagonal is not VKA_DIAGONAL_EXPLICIT",
                              offset);
    vka_status status = check_vector(c, args->vector);
    if (status == VKA_OK)
        status = vka__call_check_mask(c, args->mask, pairs);
    return status == VKA_OK ? vka__call_check_list(c, args->lengths, false, batch, keys, keys) : status;
}

/* As far from the first query, and within what a sum with any number of tokens leaves of 32 bits. */
int32_t vka__additive_diagonal(const vka__call *c, vka_diagonal diagonal, int32_t offset) {
    const int64_t most = 2 * (int64_t)VKA__ADDITIVE_MAX_TOKENS, keys = vka__call_letter(c, 'M');
    int64_t x = diagonal == VKA_DIAGONAL_BOTTOM_RIGHT ? keys - vka__call_letter(c, 'N') : offset;
    return (int32_t)(x > most ? most : x < -most ? -most : x);
}
