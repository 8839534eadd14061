/* Cooperative matrices: what their tiles have in common, whatever is multiplied. Operands are f16 or bf16, both of one
 * type, and products are summed in f32.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_MATRIX_H
#define VKA_MATRIX_H

#include "op/tile.h"

/* ---- matrices of a subgroup (VK_KHR_cooperative_matrix) -------------------------------------------------------- */

/* Why kernels can't multiply operands of this type, f16 or bf16, here; NULL: they can. */
const char *vka__matrix_why_not(const vka_device_caps *caps, vka_dtype dtype);
/* The width of subgroups that matrices are made for; 0: nobody knows how wide subgroups are here. */
uint32_t vka__matrix_width(const vka_device_caps *caps);
/* The product that kernels are made of; NULL: the device has none that they can use. */
const vka_matrix_shape *vka__matrix_shape(const vka_device_caps *caps, vka_dtype dtype);

/* A block is a number of rows, one product's or several stacked, with accumulators and operands in registers. Subgroups
 * that share it have equal parts of the accumulators' columns. */
typedef struct vka__matrix_block {
    uint32_t rows, subgroups;
} vka__matrix_block;

/* 16 rows or as many as a product has, and as few subgroups as their registers allow, up to two. `columns` are those of
 * the accumulators, `operand_columns` those of the operands that stay in registers. */
vka__matrix_block vka__matrix_choose_block(const vka_device_caps *caps, const vka_matrix_shape *shape, uint32_t columns,
                                           uint32_t operand_columns);
/* Does the code of such a block fit the memory of the driver that compiles it? `columns`: accumulators' and operands'
 * of one subgroup. */
bool vka__matrix_compiles(const vka_device_caps *caps, uint32_t rows, uint32_t columns);
/* Where registers are few: do a subgroup's accumulators, of so many floats, fit them, with operands in shared memory?
 * `plain`: nothing masks, adds to or looks up what is multiplied. */
bool vka__matrix_fits_few_registers(const vka_device_caps *caps, uint32_t floats, bool plain);

/* ---- matrices of any size (VK_NV_cooperative_matrix2) ---------------------------------------------------------- */

/* Are they of a workgroup, and not of a subgroup? */
bool vka__matrix_by_workgroup(const vka_device_caps *caps);
/* What their sizes are multiples of; m = 0: there are none. */
const vka_matrix_shape *vka__matrix_grain(const vka_device_caps *caps);
/* Invocations that hold one. */
uint32_t vka__matrix_invocations(const vka_device_caps *caps);
/* Why there are none here whose elements functions can be called for; NULL: there are. */
const char *vka__matrix_any_size_why_not(const vka_device_caps *caps);
/* Rows and columns of a subgroup's: Mesa's drivers, the only ones that have them, refuse pipelines with larger ones. */
#define VKA__MAX_SUBGROUP_MATRIX 240

#endif
