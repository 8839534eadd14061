/* Grids cut into dispatches, tensors cut into bindings.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_GEOMETRY_H
#define VKA_GEOMETRY_H

#include "core/dispatch.h"
#include "core/view.h"

/* Why a plan can't be made, for the log: the field and the rule. */
typedef struct vka__refusal {
    const char *field;
    char reason[200];
} vka__refusal;

/* Fills in a refusal; false. */
bool vka__refuse(vka__refusal *refusal, const char *field, const char *format, ...) VKA_PRINTF(3, 4);

/* A grid of workgroups cut into dispatches of at most `limit` groups a dimension. */
typedef struct vka__grid {
    uint32_t groups[3];
    uint32_t limit[3];
    uint64_t ops; /* of a workgroup, about; 0: not known */
} vka__grid;
/* As many groups a dispatch as the device can have. */
vka__grid vka__grid_of(const vka_device_caps *caps, uint32_t x, uint32_t y, uint32_t z);
/* Lowers the limits, z's first and x's last, until a dispatch has at most `most` groups, or one. */
void vka__grid_cap(vka__grid *grid, uint64_t most);
/* The same for workgroups of `ops` operations, of which a dispatch has no more than vka__dispatch_ops. */
void vka__grid_cap_ops(vka__grid *grid, const vka_device_caps *caps, uint64_t ops);
uint64_t vka__grid_chunks(const vka__grid *grid);
/* Chunk `index`: its first group; the dispatch receives its number of groups, and their work. */
void vka__grid_chunk(const vka__grid *grid, uint64_t index, uint32_t first[3], vka__dispatch *out);

/* `most`, a power of two, halved until a workgroup can have so many invocations. */
uint32_t vka__group_size(const vka_device_caps *caps, uint32_t most);

/* Operations that a dispatch may have. */
uint64_t vka__dispatch_ops(const vka_device_caps *caps);

/* Binds `elements` elements of a view from element `first` on; *base receives the first element's index within the
 * binding, or of blocks the first one's place in pairs of bytes. */
vka__binding vka__bind(const vka_device_caps *caps, const vka__view *view, uint64_t first, uint64_t elements,
                       vka__access access, uint32_t *base);
/* Elements that a binding can see, whatever the alignment. */
uint64_t vka__binding_elements(const vka_device_caps *caps, const vka__view *view);
bool vka__fits_binding(const vka_device_caps *caps, const vka__view *view, uint64_t elements);

/* A dispatch may do a box of a tensor's rows, which lie in its first three dimensions; no row is ever cut. */

/* Shortens a box until a binding sees it: along the one of `dims` (bits of dimensions) that lies widest in memory, to
 * as much as fits, so that what is left of the others is seen in whole. False: not even a box of one row fits. */
#define VKA__DIMS_ALL 7
bool vka__cut_to_binding(const vka_device_caps *caps, const vka__view *view, uint32_t dims, uint32_t part[3]);
uint64_t vka__volume(const uint32_t part[3]);
/* Shortens it to at most `most` rows, or one. A box is one dispatch: boxes may differ in size, and a dispatch knows
 * only its own. Its work needs no cap: it takes what memory takes to pass through a few bindings. */
void vka__cut_to_grid(uint64_t most, uint32_t part[3]);
/* As many boxes, of equal size but for the last ones. */
void vka__even_out(const uint32_t shape[3], uint32_t part[3], uint32_t parts[3]);
/* Where box `index` begins, and its size. */
void vka__box_at(const uint32_t shape[3], const uint32_t part[3], const uint32_t parts[3], uint64_t index,
                 uint32_t begin[3], uint32_t size[3]);
/* Binds a box of a tensor, as vka__bind does. */
vka__binding vka__bind_box(const vka_device_caps *caps, const vka__view *view, const uint32_t begin[3],
                           const uint32_t size[3], vka__access access, uint32_t *base);
/* Strides as kernels get them; those that a box never takes are dropped, as they may exceed 32 bits. */
vka_strides vka__box_strides(const vka__view *view, const uint32_t part[3]);

/* Refuses a tensor of which no binding sees `what`; false. */
bool vka__refuse_span(const vka_device_caps *caps, const char *field, const char *what, vka__refusal *refusal);
/* Does one binding see all of a tensor? Otherwise the refusal says which it is. */
bool vka__sees_all(const vka_device_caps *caps, const vka__view *view, const char *field, vka__refusal *refusal);
/* f32 in the workspace from byte `offset` on, dense. */
vka__view vka__workspace_view(const uint32_t shape[VKA_MAX_RANK], uint64_t offset);
/* Binds all of a tensor, which may be absent. */
void vka__bind_all(const vka_device_caps *caps, const vka__view *view, uint32_t binding, vka__access access,
                   vka__dispatch *out);

#endif
