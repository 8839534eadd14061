/* From a description to a checked call with its plan.
 * SPDX-License-Identifier: MIT */
#include "op/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "op/switched_off.h"

vka__check vka__call_checker(const vka__call *c) {
    return (vka__check){c->ctx, c->device, c->caps, c->op->name, c->describes};
}

/* Is a field named as it is called in the description? */
static bool is_whole_name(const vka__op *op, const char *field) {
    bool whole = strchr(field, '.') || !strcmp(field, "desc") || !strcmp(field, "workspace");
    for (uint32_t i = 0; i < op->arg_count && !whole; ++i)
        whole = !strcmp(field, op->args[i].name);
    for (uint32_t i = 0; i < op->number_count && !whole; ++i)
        whole = !strcmp(field, op->numbers[i].name);
    return whole;
}

vka_status vka__call_fail(const vka__call *c, vka_status status, const char *field, const char *format, ...) {
    char name[96];
    snprintf(name, sizeof name, "%s%s", c->op->within && !is_whole_name(c->op, field) ? c->op->within : "", field);
    va_list args;
    va_start(args, format);
    status = vka__fail_field(c->ctx, status, c->op->name, name, format, args);
    va_end(args);
    return status;
}

static const vka_integers *list_of(const vka__call *c, uint32_t arg) {
    return (const vka_integers *)(const void *)(c->desc + c->op->args[arg].desc);
}

const vka_tensor *vka__call_tensor(const vka__call *c, uint32_t arg) {
    const vka__arg *a = &c->op->args[arg];
    if (a->flags & VKA__INTERNAL)
        return NULL;
    return a->flags & VKA__LIST ? &list_of(c, arg)->tensor : (const vka_tensor *)(const void *)(c->desc + a->desc);
}

const vka_workspace *vka__call_workspace(const vka__call *c) {
    return c->op->workspace ? (const vka_workspace *)(const void *)(c->desc + c->op->workspace) : NULL;
}

/* ---- description ----------------------------------------------------------------------------------------------- */

static vka_status copy_desc(vka__call *c, const void *desc, size_t size) {
    if (!desc)
        return vka__call_fail(c, VKA_INVALID, "desc", "must not be NULL");
    return vka__read_desc(c->ctx, c->op->name, c->desc, c->op->desc_size, desc, size);
}

/* ---- tensors --------------------------------------------------------------------------------------------------- */

static vka_status check_list(vka__call *c, uint32_t arg) {
    const vka__arg *a = &c->op->args[arg];
    const vka_integers *list = list_of(c, arg);
    const vka__check check = vka__call_checker(c);
    vka_status status = vka__check_tensor(&check, a->name, &list->tensor, VKA__TYPE(VKA_I32), false, &c->view[arg]);
    if (status != VKA_OK || !list->values)
        return status;
    return c->view[arg].present
               ? vka__call_fail(c, VKA_INVALID, a->name, "has host values and a tensor; one of them, please")
               : VKA_OK;
}

static vka_status check_tensors(vka__call *c) {
    const vka__check check = vka__call_checker(c);
    vka_status status = VKA_OK;
    for (uint32_t i = 0; i < c->op->arg_count && status == VKA_OK; ++i) {
        const vka__arg *a = &c->op->args[i];
        const vka_tensor *t = vka__call_tensor(c, i);
        c->view[i] = (vka__view){0};
        c->source[i] = (vka__source){0};
        if (!t)
            continue;
        status = a->flags & VKA__LIST
                     ? check_list(c, i)
                     : vka__check_tensor(&check, a->name, t, a->types, a->flags & VKA__REQUIRED, &c->view[i]);
        c->view[i].source = VKA__SOURCE_ARGS + i;
        c->source[i].buffer = t->buffer;
    }
    return status;
}

/* Types that follow other tensors'. */
static vka_status check_types(const vka__call *c) {
    for (uint32_t i = 0; i < c->op->arg_count; ++i) {
        const vka__arg *a = &c->op->args[i];
        if (!a->like || !c->view[i].present || !c->view[a->like - 1].present)
            continue;
        vka_dtype dtype = c->view[i].dtype, want = c->view[a->like - 1].dtype;
        if (dtype == want || (a->or_types & VKA__TYPE(dtype)))
            continue;
        char also[96] = "";
        if (a->or_types)
            vka__list_types(a->or_types, also, sizeof also);
        return vka__call_fail(c, VKA_INVALID, a->name, "dtype is %s, but must be that of %s%s%s",
                              vka__dtype_name(dtype), c->op->args[a->like - 1].name, a->or_types ? " or " : "", also);
    }
    return VKA_OK;
}

/* Host values are as many as the letter of the list's shape says. */
static void place_values(vka__call *c) {
    for (uint32_t i = 0; i < c->op->arg_count; ++i) {
        const vka__arg *a = &c->op->args[i];
        if (!(a->flags & VKA__LIST) || (a->flags & VKA__INTERNAL) || !list_of(c, i)->values)
            continue;
        vka__call_set_values(c, i, list_of(c, i)->values, vka__call_letter(c, a->shape[0]));
    }
}

void vka__call_set_values(vka__call *c, uint32_t arg, const int32_t *values, uint32_t count) {
    c->view[arg] = (vka__view){.present = true,
                               .dtype = VKA_I32,
                               .size = 4,
                               .block = 1,
                               .source = VKA__SOURCE_ARGS + arg,
                               .shape = {1, 1, 1, count},
                               .stride = {0, 0, 0, 1}};
    c->source[arg] = (vka__source){.values = values, .value_bytes = 4 * (uint64_t)count};
}

static void append_ones(vka__call *c) {
    for (uint32_t i = 0; i < c->op->arg_count; ++i)
        if (c->op->args[i].flags & VKA__PER_ROW)
            vka__view_append_one(&c->view[i]);
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

static vka_status check(vka__call *c) {
    const vka__op *op = c->op;
    vka_status status = check_tensors(c);
    if (status == VKA_OK)
        status = check_types(c);
    if (status == VKA_OK && op->sizes)
        status = op->sizes(c);
    if (status == VKA_OK)
        status = vka__call_match_shapes(c);
    if (status != VKA_OK)
        return status;
    place_values(c);
    append_ones(c);
    status = vka__call_check_numbers(c);
    if (status == VKA_OK && op->check)
        status = op->check(c);
    return status == VKA_OK ? vka__call_check_memory(c) : status;
}

/* Plans keep away from kernels that are switched off where there are others. */
static vka_status check_kernels(const vka__call *c) {
    for (uint32_t i = 0; i < c->key_count && c->dispatches && vka__any_switched_off(c->caps); ++i)
        if (c->key[i].kernel < VKA__KERNEL_COUNT && vka__is_switched_off(c->caps, c->key[i].kernel))
            return vka__call_fail(c, VKA_UNSUPPORTED, "desc", "%s", vka__switched_off_why(c->key[i].kernel));
    return VKA_OK;
}

vka_status vka__call_init(vka__call *c, const vka__op *op, const vka__context *ctx, vka_device *device,
                          const vka_device_caps *caps, bool describes, const void *desc, size_t size) {
    memset(c, 0, offsetof(vka__call, view));
    memset(c->params, 0, op->params_size * vka__max_u32(op->param_blocks, 1));
    memset(c->state, 0, op->state_size);
    c->op = op;
    c->ctx = ctx;
    c->device = device;
    c->caps = caps;
    c->describes = describes;
    c->lead_rank = VKA__NONE;
    c->param_blocks = op->param_blocks;
    vka_status status = copy_desc(c, desc, size);
    if (status == VKA_OK)
        status = check(c);
    if (status != VKA_OK)
        return status;
    if (!op->plan(c))
        return vka__call_fail(c, VKA_UNSUPPORTED, c->refusal.field, "%s", c->refusal.reason);
    status = check_kernels(c);
    return status == VKA_OK && c->dispatches && !describes ? vka__call_check_workspace(c) : status;
}

vka_status vka__call_begin(vka__call *c, const vka__op *op, vka_device *device, bool describes, const void *desc,
                           size_t size) {
    return vka__call_init(c, op, vka__device_context(device), device, vka_device_get_caps(device), describes, desc,
                          size);
}

void vka__call_dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    memset(out, 0, sizeof *out);
    if (c->op->dispatch)
        c->op->dispatch(c, index, out);
    else
        vka__rows_dispatch(c, index, out);
}

void vka__call_explain(const vka__call *c, vka__text *text) {
    if (!c->dispatches)
        return;
    vka__say(text, "kernel: %s\nworkgroup: %u\n", vka__kernel_name((vka__kernel)c->key[0].kernel),
             c->key[0].spec[VKA_SPEC_GROUP_SIZE]);
    if (c->op->explain)
        c->op->explain(c, text);
    if (c->op->paths)
        vka__path_explain_off(c->op->paths, c->caps, c->state + c->op->problem, text);
    if (c->rows.group)
        vka__say(text, "rows_per_dispatch: %llu\n", (unsigned long long)vka__volume(c->rows.part));
    vka__say(text, "dispatches: %llu\nworkspace_bytes: %llu\n", (unsigned long long)c->dispatches,
             (unsigned long long)c->workspace_bytes);
}

vka_status vka__call_check_rows(const vka__call *c, uint32_t arg, const uint32_t shape[3]) {
    return (uint64_t)shape[0] * shape[1] > UINT32_MAX / vka__max_u32(shape[2], 1)
               ? vka__call_fail(c, VKA_UNSUPPORTED, c->op->args[arg].name, "has more than 2^32 - 1 rows")
               : VKA_OK;
}

vka_status vka__call_check_list(const vka__call *c, uint32_t arg, bool offsets, uint32_t sequences, uint32_t rows,
                                uint32_t most) {
    const int32_t *x = c->source[arg].values;
    const char *name = c->op->args[arg].name;
    for (uint32_t b = 0; x && b < sequences; ++b) {
        int64_t begin = offsets ? x[b] : 0, end = offsets ? x[b + 1] : x[b];
        if (begin < 0 || end < begin || end > rows)
            return vka__call_fail(c, VKA_INVALID, name, "sequence %u is %lld .. %lld of %u rows", b, (long long)begin,
                                  (long long)end, rows);
        if (end - begin > most)
            return vka__call_fail(c, VKA_INVALID, name, "sequence %u has %lld rows, but at most %u were announced", b,
                                  (long long)(end - begin), most);
    }
    return VKA_OK;
}

vka_status vka__call_check_lengths(const vka__call *c, uint32_t arg, uint32_t count, uint32_t most) {
    const int32_t *x = c->source[arg].values;
    for (uint32_t i = 0; x && i < count; ++i)
        if (x[i] < 0 || (uint32_t)x[i] > most)
            return vka__call_fail(c, VKA_INVALID, c->op->args[arg].name, "values[%u] is %d, but must be 0 .. %u", i,
                                  x[i], most);
    return VKA_OK;
}

vka_status vka__call_check_mask(const vka__call *c, uint32_t arg, const uint32_t pairs[4]) {
    static const char *const rules[] = {"the batch", "the heads of q", "the queries", "the keys"};
    const vka__view *mask = &c->view[arg];
    const char *name = c->op->args[arg].name;
    if (mask->present && vka__call_tensor(c, arg)->rank < 2)
        return vka__call_fail(c, VKA_INVALID, name, "rank is %u, but its shape must be [.., Nq, Nk]",
                              vka__call_tensor(c, arg)->rank);
    for (uint32_t i = 0; i < 4 && mask->present; ++i) {
        uint32_t have = mask->shape[i];
        /* A mask made for a whole cache serves its beginning. */
        bool fits = have == 1 || (i < 2 ? have == pairs[i] : have >= pairs[i]);
        if (!fits)
            return vka__call_fail(c, VKA_INVALID, name, "has %u for %s, which are %u", have, rules[i], pairs[i]);
    }
    return VKA_OK;
}

vka__pipeline_key *vka__call_add_key(vka__call *c, vka__kernel kernel, uint32_t group_size) {
    vka__pipeline_key *key = &c->key[c->key_count++];
    *key = (vka__pipeline_key){.kernel = (uint32_t)kernel};
    key->spec[VKA_SPEC_GROUP_SIZE] = group_size;
    return key;
}

vka__view vka__call_place(vka__call *c, const uint32_t shape[VKA_MAX_RANK]) {
    vka__view v = vka__workspace_view(shape, c->workspace_bytes);
    c->workspace_bytes += vka__align_up(4 * vka__view_extent(&v, 0), 256);
    return v;
}

bool vka__call_vec4(const vka__call *c, uint32_t args) {
    for (uint32_t i = 0; i < vka__min_u32(c->op->arg_count, 32); ++i)
        if ((args >> i & 1) && !vka__view_vec4(&c->view[i]))
            return false;
    return true;
}
