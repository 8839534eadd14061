/* Cutting grids into dispatches and tensors into bindings.
 * SPDX-License-Identifier: MIT */
#include "op/geometry.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

vka__grid vka__grid_of(const vka_device_caps *caps, uint32_t x, uint32_t y, uint32_t z) {
    vka__grid grid = {.groups = {x, y, z}};
    memcpy(grid.limit, caps->max_groups, sizeof grid.limit);
    return grid;
}

void vka__grid_cap(vka__grid *grid, uint64_t most) {
    uint32_t *limit = grid->limit;
    for (int i = 0; i < 3; ++i)
        limit[i] = vka__min_u32(limit[i], grid->groups[i]);
    for (int i = 2; i >= 0; --i) {
        uint64_t step = 1; /* groups of one index along this dimension */
        for (int inner = 0; inner < i; ++inner)
            step *= limit[inner];
        if (step * limit[i] <= most)
            return;
        /* Dispatches of equal size, not full ones and a rest. */
        uint32_t longest = (uint32_t)vka__max_u64(most / step, 1);
        limit[i] = vka__div_up(grid->groups[i], vka__div_up(grid->groups[i], longest));
    }
}

void vka__grid_cap_ops(vka__grid *grid, const vka_device_caps *caps, uint64_t ops) {
    grid->ops = ops;
    vka__grid_cap(grid, vka__dispatch_ops(caps) / vka__max_u64(ops, 1));
}

uint64_t vka__grid_chunks(const vka__grid *grid) {
    uint64_t chunks = 1;
    for (int i = 0; i < 3; ++i)
        chunks *= vka__div_up(grid->groups[i], grid->limit[i]);
    return chunks;
}

void vka__grid_chunk(const vka__grid *grid, uint64_t index, uint32_t first[3], vka__dispatch *out) {
    out->group_ops = grid->ops;
    for (int i = 0; i < 3; ++i) {
        uint32_t chunks = vka__div_up(grid->groups[i], grid->limit[i]);
        first[i] = (uint32_t)(index % chunks) * grid->limit[i];
        out->groups[i] = vka__min_u32(grid->limit[i], grid->groups[i] - first[i]);
        index /= chunks;
    }
}

uint32_t vka__group_size(const vka_device_caps *caps, uint32_t most) {
    while (most > caps->max_invocations)
        most /= 2;
    return most;
}

/* Watchdogs take the device from work that does not let others in (Windows: after 2 s), and the safe place to let them
 * in is between dispatches. Half a second on the slow devices of a class: 0.3 TFLOP/s from these kernels on an
 * integrated GPU, 2 on a discrete one, where fast ones still get some 20 ms. Software drivers have no watchdog. */
#define DISPATCH_OPS_DISCRETE UINT64_C(1000000000000)
#define DISPATCH_OPS_OTHER    UINT64_C(150000000000)

uint64_t vka__dispatch_ops(const vka_device_caps *caps) {
    if (caps->type == VKA_DEVICE_CPU)
        return UINT64_MAX;
    return caps->type == VKA_DEVICE_DISCRETE ? DISPATCH_OPS_DISCRETE : DISPATCH_OPS_OTHER;
}

/* Bindings start at aligned offsets and end on whole words: 16-bit tensors may be read through words. */
static uint64_t bind_alignment(const vka_device_caps *caps) {
    return vka__max_u32(caps->storage_align, 4);
}

uint64_t vka__binding_elements(const vka_device_caps *caps, const vka__view *view) {
    uint64_t limit = vka__min_u64(caps->storage_range, UINT64_C(1) << 32), slack = bind_alignment(caps) + 4;
    return limit > slack ? (limit - slack) / view->size * vka__max_u32(view->block, 1) : 0;
}

bool vka__fits_binding(const vka_device_caps *caps, const vka__view *view, uint64_t elements) {
    return !view->present || elements <= vka__binding_elements(caps, view);
}

vka__binding vka__bind(const vka_device_caps *caps, const vka__view *view, uint64_t first, uint64_t elements,
                       vka__access access, uint32_t *base) {
    *base = 0;
    if (!view->present || !elements)
        return (vka__binding){.access = VKA__UNUSED};
    uint64_t begin = view->offset + vka__view_bytes(view, first), aligned = begin & ~(bind_alignment(caps) - 1);
    /* Blocks lie at any even place: their base counts pairs of bytes. */
    *base = (uint32_t)((begin - aligned) / (view->block > 1 ? 2 : view->size));
    uint64_t range = vka__align_up(begin + vka__view_bytes(view, elements) - aligned, 4);
    return (vka__binding){.access = access, .source = view->source, .offset = aligned, .range = range};
}

bool vka__cut_to_binding(const vka_device_caps *caps, const vka__view *view, uint32_t dims, uint32_t part[3]) {
    uint64_t most = vka__binding_elements(caps, view), extent;
    vka__view box = *view;
    memcpy(box.shape, part, 3 * sizeof *part);
    while ((extent = vka__view_extent(&box, 0)) > most) {
        uint32_t widest = 0;
        uint64_t span = 0;
        for (uint32_t dim = 0; dim < 3; ++dim)
            if ((dims >> dim & 1) && (box.shape[dim] - 1) * box.stride[dim] > span) {
                span = (box.shape[dim] - 1) * box.stride[dim];
                widest = dim;
            }
        if (!span)
            return false;
        uint64_t rest = extent - span;
        box.shape[widest] = rest < most ? 1 + (uint32_t)((most - rest) / box.stride[widest]) : 1;
    }
    memcpy(part, box.shape, 3 * sizeof *part);
    return true;
}

uint64_t vka__volume(const uint32_t part[3]) {
    return (uint64_t)part[0] * part[1] * part[2];
}

void vka__cut_to_grid(uint64_t most, uint32_t part[3]) {
    for (uint32_t dim = 0; dim < 3 && vka__volume(part) > most; ++dim)
        part[dim] = (uint32_t)vka__max_u64(most / (vka__volume(part) / part[dim]), 1);
}

void vka__even_out(const uint32_t shape[3], uint32_t part[3], uint32_t parts[3]) {
    for (uint32_t dim = 0; dim < 3; ++dim) {
        parts[dim] = vka__div_up(shape[dim], part[dim]);
        part[dim] = vka__div_up(shape[dim], parts[dim]);
    }
}

vka_strides vka__box_strides(const vka__view *v, const uint32_t part[3]) {
    return (vka_strides){
        .b = part[0] < 2 ? 0 : (uint32_t)v->stride[0],
        .h = part[1] < 2 ? 0 : (uint32_t)v->stride[1],
        .n = part[2] < 2 ? 0 : (uint32_t)v->stride[2],
        .d = (uint32_t)v->stride[3],
    };
}

void vka__box_at(const uint32_t shape[3], const uint32_t part[3], const uint32_t parts[3], uint64_t index,
                 uint32_t begin[3], uint32_t size[3]) {
    for (uint32_t dim = 3; dim-- > 0; index /= parts[dim]) {
        begin[dim] = (uint32_t)(index % parts[dim]) * part[dim];
        size[dim] = vka__min_u32(part[dim], shape[dim] - begin[dim]);
    }
}

vka__binding vka__bind_box(const vka_device_caps *caps, const vka__view *view, const uint32_t begin[3],
                           const uint32_t size[3], vka__access access, uint32_t *base) {
    vka__view box = *view;
    uint64_t first = 0;
    for (uint32_t dim = 0; dim < 3; ++dim) {
        first += begin[dim] * box.stride[dim];
        box.shape[dim] = size[dim];
    }
    return vka__bind(caps, view, first, box.present ? vka__view_extent(&box, 0) : 0, access, base);
}

bool vka__refuse(vka__refusal *refusal, const char *field, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(refusal->reason, sizeof refusal->reason, format, args);
    va_end(args);
    refusal->field = field;
    return false;
}

bool vka__refuse_span(const vka_device_caps *caps, const char *field, const char *what, vka__refusal *refusal) {
    return vka__refuse(refusal, field, "%s spans more than the %llu bytes a binding can see", what,
                       (unsigned long long)caps->storage_range);
}

bool vka__sees_all(const vka_device_caps *caps, const vka__view *view, const char *field, vka__refusal *refusal) {
    if (!view->present || vka__fits_binding(caps, view, vka__view_extent(view, 0)))
        return true;
    return vka__refuse_span(caps, field, "it", refusal);
}

vka__view vka__workspace_view(const uint32_t shape[VKA_MAX_RANK], uint64_t offset) {
    vka__view v = {.present = true, .source = VKA__SOURCE_WORKSPACE, .dtype = VKA_F32, .size = 4, .block = 1};
    uint64_t stride = 1;
    v.offset = offset;
    for (uint32_t i = VKA_MAX_RANK; i-- > 0; stride *= v.shape[i]) {
        v.shape[i] = shape[i];
        v.stride[i] = shape[i] == 1 ? 0 : stride;
    }
    return v;
}

void vka__bind_all(const vka_device_caps *caps, const vka__view *view, uint32_t binding, vka__access access,
                   vka__dispatch *out) {
    if (view->present)
        out->binding[binding] = vka__bind(caps, view, 0, vka__view_extent(view, 0), access, &out->push.base[binding]);
}
