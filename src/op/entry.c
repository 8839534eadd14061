/* The functions of operations: recording, _plan, _prepare, _requirements, _explain, and where there is a choice
 * _candidates. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "op/call.h"

/* "function_suffix.argument must not be NULL"; `device` is NULL where that is what is missing. */
static vka_status missing(const vka__op *op, vka_device *device, const char *argument) {
    char item[96];
    snprintf(item, sizeof item, "%s%s", op->name, argument);
    return vka__fail(device ? vka__device_context(device) : NULL, VKA_INVALID, item, "must not be NULL");
}

static void dispatch_at(const void *user, uint64_t index, vka__dispatch *out) {
    vka__call_dispatch(user, index, out);
}

/* Points into the call. */
static vka__commands commands_of(const vka__call *c) {
    vka__commands commands = {
        .item = c->op->name,
        .params = c->params,
        .params_size = c->op->params_size,
        .param_blocks = vka__max_u32(c->param_blocks, 1),
        .keys = c->key,
        .key_count = c->key_count,
        .source_count = VKA__SOURCE_ARGS + c->op->arg_count,
        .workspace_bytes = c->workspace_bytes,
        .counts = c->counts,
        .dispatches = c->dispatches,
        .dispatch = dispatch_at,
        .user = c,
    };
    for (uint32_t i = 0; i < c->op->arg_count; ++i)
        commands.source[VKA__SOURCE_ARGS + i] = c->source[i];
    const vka_workspace *w = vka__call_workspace(c);
    if (w) {
        commands.source[VKA__SOURCE_WORKSPACE].buffer = w->buffer;
        commands.workspace_offset = w->offset;
    }
    return commands;
}

vka_status vka__op_record(const vka__op *op, vka_recorder *recorder, const void *desc, size_t size) {
    vka__call call;
    if (!recorder)
        return missing(op, NULL, ".recorder");
    vka_status status = vka__call_begin(&call, op, vka__recorder_device(recorder), false, desc, size);
    if (status != VKA_OK)
        return status;
    const vka__commands commands = commands_of(&call);
    return vka__record(recorder, &commands);
}

vka_status vka__op_prepare(const vka__op *op, vka_device *device, const void *desc, size_t size) {
    vka__call call;
    if (!device)
        return missing(op, NULL, "_prepare.device");
    vka_status status = vka__call_begin(&call, op, device, true, desc, size);
    return status == VKA_OK ? vka__prepare(device, op->name, call.key, call.key_count) : status;
}

vka_status vka__op_plan(const vka__op *op, vka_device *device, const void *desc, size_t size, vka_plan **plan) {
    if (!device)
        return missing(op, NULL, "_plan.device");
    if (!plan)
        return missing(op, device, "_plan.plan");
    *plan = NULL;
    const vka__context *ctx = vka__device_context(device);
    vka__call *call = vka__alloc(ctx, 1, sizeof *call);
    if (!call)
        return vka__fail(ctx, VKA_OUT_OF_MEMORY, op->name, "no host memory");
    vka_status status = vka__call_begin(call, op, device, false, desc, size);
    if (status != VKA_OK) {
        vka__free(ctx, call);
        return status;
    }
    const vka__commands commands = commands_of(call);
    return vka__plan_create(device, &commands, call, plan);
}

vka_status vka__op_requirements(const vka__op *op, vka_device *device, const void *desc, size_t size,
                                vka_requirements *requirements, size_t requirements_size) {
    vka__call call;
    if (!device)
        return missing(op, NULL, "_requirements.device");
    if (!requirements)
        return missing(op, device, "_requirements.requirements");
    vka_status status = vka__call_begin(&call, op, device, true, desc, size);
    if (status != VKA_OK)
        return status;
    const vka__commands commands = commands_of(&call);
    const vka_requirements all = {
        .workspace_bytes = call.workspace_bytes,
        .dispatches = call.dispatches,
        .value_bytes = vka__value_bytes(device, &commands),
    };
    vka__copy_desc(requirements, requirements_size, &all, sizeof all);
    return VKA_OK;
}

vka_status vka__op_explain(const vka__op *op, vka_device *device, const void *desc, size_t size, char *text,
                           size_t capacity, size_t *length) {
    vka__call call;
    if (!device)
        return missing(op, NULL, "_explain.device");
    if (!text && capacity)
        return missing(op, device, "_explain.text");
    if (capacity)
        text[0] = 0;
    vka__text out = {text, capacity, 0};
    vka_status status = vka__call_begin(&call, op, device, true, desc, size);
    if (status == VKA_OK)
        vka__call_explain(&call, &out);
    if (length)
        *length = out.length;
    return status;
}

/* A call whose description asks for no path, so that the plan is any. */
static vka_status begin_unasked(vka__call *c, const vka__op *op, vka_device *device, const void *desc, size_t size) {
    _Alignas(16) unsigned char plain[VKA__MAX_DESC];
    char item[96];
    snprintf(item, sizeof item, "%s_candidates", op->name);
    vka_status status = vka__read_desc(vka__device_context(device), item, plain, op->desc_size, desc, size);
    if (status != VKA_OK)
        return status;
    memset(plain + op->asked, 0, op->asked_size);
    return vka__call_begin(c, op, device, true, plain, op->desc_size);
}

vka_status vka__op_candidates(const vka__op *op, vka_device *device, const void *desc, size_t size, void *candidates,
                              size_t candidate_size, uint32_t capacity, uint32_t *count) {
    vka__call call;
    char item[96];
    if (!device)
        return missing(op, NULL, "_candidates.device");
    if (!count)
        return missing(op, device, "_candidates.count");
    if (!candidates && capacity)
        return missing(op, device, "_candidates.candidates");
    if (!desc)
        return missing(op, device, "_candidates.desc");
    if (!candidate_size && capacity) {
        snprintf(item, sizeof item, "%s_candidates.candidate_size", op->name);
        return vka__fail(vka__device_context(device), VKA_INVALID, item, "must not be 0");
    }
    vka_status status = begin_unasked(&call, op, device, desc, size);
    if (status != VKA_OK || !call.dispatches)
        return status;
    const void *problem = call.state + op->problem;
    vka__candidate found;
    for (; vka__path_candidate(op->paths, call.caps, problem, *count, &found.path, &found.tile); ++*count)
        if (*count < capacity)
            vka__copy_desc((char *)candidates + *count * candidate_size, candidate_size, &found, sizeof found);
    return VKA_OK;
}

/* ---- by number -------------------------------------------------------------------------------------------------- */

static const vka__op *const operations[] = {
#define X(NAME, value, name) [value] = &vka__op_##name,
    VKA_OPERATIONS(X)
#undef X
};

const vka__op *vka__op_at(vka_operation operation) {
    return (unsigned)operation < sizeof operations / sizeof *operations ? operations[operation] : NULL;
}

static const vka__op *find(vka_device *device, const char *function, vka_operation operation) {
    const vka__op *op = vka__op_at(operation);
    if (op)
        return op;
    char item[96];
    snprintf(item, sizeof item, "%s.operation", function);
    vka__fail(device ? vka__device_context(device) : NULL, VKA_INVALID, item, "%d is not a vka_operation",
              (int)operation);
    return NULL;
}

vka_status vka_operation_record(vka_recorder *recorder, vka_operation operation, const void *desc, size_t desc_size) {
    vka_device *device = recorder ? vka__recorder_device(recorder) : NULL;
    const vka__op *op = find(device, "vka_operation_record", operation);
    return op ? vka__op_record(op, recorder, desc, desc_size) : VKA_INVALID;
}

vka_status vka_operation_plan(vka_device *device, vka_operation operation, const void *desc, size_t desc_size,
                              vka_plan **plan) {
    if (plan)
        *plan = NULL;
    const vka__op *op = find(device, "vka_operation_plan", operation);
    return op ? vka__op_plan(op, device, desc, desc_size, plan) : VKA_INVALID;
}

vka_status vka_operation_prepare(vka_device *device, vka_operation operation, const void *desc, size_t desc_size) {
    const vka__op *op = find(device, "vka_operation_prepare", operation);
    return op ? vka__op_prepare(op, device, desc, desc_size) : VKA_INVALID;
}

vka_status vka_operation_requirements(vka_device *device, vka_operation operation, const void *desc, size_t desc_size,
                                      vka_requirements *requirements, size_t requirements_size) {
    if (requirements)
        memset(requirements, 0, requirements_size);
    const vka__op *op = find(device, "vka_operation_requirements", operation);
    return op ? vka__op_requirements(op, device, desc, desc_size, requirements, requirements_size) : VKA_INVALID;
}

vka_status vka_operation_explain(vka_device *device, vka_operation operation, const void *desc, size_t desc_size,
                                 char *text, size_t capacity, size_t *length) {
    if (text && capacity)
        text[0] = 0;
    if (length)
        *length = 0;
    const vka__op *op = find(device, "vka_operation_explain", operation);
    return op ? vka__op_explain(op, device, desc, desc_size, text, capacity, length) : VKA_INVALID;
}

vka_status vka_operation_candidates(vka_device *device, vka_operation operation, const void *desc, size_t desc_size,
                                    void *candidates, size_t candidate_size, uint32_t capacity, uint32_t *count) {
    if (count)
        *count = 0;
    const vka__op *op = find(device, "vka_operation_candidates", operation);
    if (!op)
        return VKA_INVALID;
    if (!op->paths)
        return vka__fail(device ? vka__device_context(device) : NULL, VKA_UNSUPPORTED,
                         "vka_operation_candidates.operation", "%s has no paths to choose from", op->name);
    return vka__op_candidates(op, device, desc, desc_size, candidates, candidate_size, capacity, count);
}

vka_status vka__tuning_parse(const vka__context *ctx, const vka_device_caps *caps, const char *text, size_t size,
                             vka__tuning *tuning, const char **why) {
    const vka__paths *paths[sizeof operations / sizeof *operations];
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; ++i)
        if (operations[i] && operations[i]->paths)
            paths[count++] = operations[i]->paths;
    return vka__tuning_parse_lists(ctx, caps, paths, count, text, size, tuning, why);
}
