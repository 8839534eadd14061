/* Cutting grids into dispatches and tensors into bindings.
 * SPDX-License-Identifier: MIT */
#include "plan/plan.h"

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

uint64_t vka__grid_chunks(const vka__grid *grid) {
    uint64_t chunks = 1;
    for (int i = 0; i < 3; ++i)
        chunks *= vka__div_up(grid->groups[i], grid->limit[i]);
    return chunks;
}

void vka__grid_chunk(const vka__grid *grid, uint64_t index, uint32_t first[3], uint32_t groups[3]) {
    for (int i = 0; i < 3; ++i) {
        uint32_t chunks = vka__div_up(grid->groups[i], grid->limit[i]);
        first[i] = (uint32_t)(index % chunks) * grid->limit[i];
        groups[i] = vka__min_u32(grid->limit[i], grid->groups[i] - first[i]);
        index /= chunks;
    }
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
    return (vka__binding){.access = access, .offset = aligned, .range = range};
}
