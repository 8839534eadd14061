/* SPDX-License-Identifier: MIT */
#include "op/matrix.h"
#include "op/known_drivers.h"

#include <stddef.h>

/* 32-bit registers of accumulators and operands that a lane keeps, beside what is on its way. Above that the compilers
 * of every vendor were seen to spill, or to leave one workgroup a core. */
#define MAX_REGISTERS 96

/* Software drivers compile every product of a block's rows and columns into code: this many elements took Mesa's 26.1
 * half a gigabyte of memory, and 25 seconds. */
#define MAX_SOFTWARE_BLOCK 4096

static bool is_power_of_two(uint32_t x) {
    return x && !(x & (x - 1));
}

/* The largest product of the type: the most arithmetic for one load of its operands. */
const vka_matrix_shape *vka__matrix_shape(const vka_device_caps *caps, vka_dtype dtype) {
    const vka_matrix_shape *best = NULL;
    for (uint32_t i = 0; i < caps->matrix_shape_count; ++i) {
        const vka_matrix_shape *s = &caps->matrix_shapes[i];
        /* Rows of operands and of factors are multiples of 16 bytes. */
        bool usable = s->dtype == dtype && is_power_of_two(s->m) && is_power_of_two(s->n) && is_power_of_two(s->k) &&
                      s->m >= 4 && s->m <= 32 && s->n >= 8 && s->n <= 32 && s->k >= 8 && s->k <= 32;
        if (usable && (!best || s->m * s->n * s->k > best->m * best->n * best->k))
            best = s;
    }
    return best;
}

/* Intel's matrices are made for the narrowest subgroups. On AMD's matrix cores a product takes as long at either width,
 * and what surrounds it half as long: wider subgroups hold every operand twice as often. */
uint32_t vka__matrix_width(const vka_device_caps *caps) {
    if (caps->subgroup_min == caps->subgroup_max || !caps->subgroup_size_control)
        return caps->subgroup_min == caps->subgroup_max ? caps->subgroup_size : 0;
    bool narrow = caps->vendor_id == VKA_VENDOR_INTEL || caps->vendor_id == VKA_VENDOR_AMD;
    return narrow ? caps->subgroup_min : caps->subgroup_size;
}

const char *vka__matrix_why_not(const vka_device_caps *caps, vka_dtype dtype) {
    const vka_matrix_shape *shape = vka__matrix_shape(caps, dtype);
    if (dtype == VKA_F16 && (!shape || !caps->f16_storage))
        return "this device has no cooperative matrices that sum products of f16 in f32";
    if (dtype == VKA_BF16 && !shape)
        return "this device has no cooperative matrices that sum products of bf16 in f32";
    if (vka__matrix_width(caps) < 4 || !caps->subgroup_arithmetic || !caps->subgroup_shuffle)
        return "this device has no subgroups of known width with arithmetic and shuffles";
    return vka__known_fault(caps, VKA__AVOID_MATRICES | VKA__AVOID_PLAIN_MATRICES);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

/* Of a lane of one subgroup that has the whole block; two operands share a register. */
static bool is_too_much(const vka_device_caps *caps, uint32_t rows, uint32_t columns, uint32_t operand_columns) {
    return rows * (columns + operand_columns / 2) / vka__matrix_width(caps) > MAX_REGISTERS;
}

/* Software drivers compile every product into hundreds of instructions: no more rows than one product. */
vka__matrix_block vka__matrix_choose_block(const vka_device_caps *caps, const vka_matrix_shape *shape, uint32_t columns,
                                           uint32_t operand_columns) {
    vka__matrix_block block = {shape->m, 1};
    while (block.rows < 16 && caps->type != VKA_DEVICE_CPU)
        block.rows *= 2;
    if (is_too_much(caps, block.rows, columns, operand_columns) && block.rows > shape->m)
        block.rows /= 2;
    if (is_too_much(caps, block.rows, columns, operand_columns))
        block.subgroups = 2;
    return block;
}

bool vka__matrix_compiles(const vka_device_caps *caps, uint32_t rows, uint32_t columns) {
    return caps->type != VKA_DEVICE_CPU || rows * columns <= MAX_SOFTWARE_BLOCK;
}

/* A subgroup of dg2's has 4 KiB of registers, one of Xe2's twice as much, and there loads add constants to addresses,
 * which else wait in registers of their own. Beside these sums there are operands, and products have other registers
 * than the sums they begin with; on dg2 what masks scores was seen to take the rest. */
bool vka__matrix_fits_few_registers(const vka_device_caps *caps, uint32_t floats, bool plain) {
    uint32_t width = vka__matrix_width(caps);
    return floats <= (width < 16 && !plain ? 40 : 48) * width;
}

/* ---- matrices of any size --------------------------------------------------------------------------------------- */

bool vka__matrix_by_workgroup(const vka_device_caps *caps) {
    return caps->matrix_workgroup_grain.m;
}

const vka_matrix_shape *vka__matrix_grain(const vka_device_caps *caps) {
    return vka__matrix_by_workgroup(caps) ? &caps->matrix_workgroup_grain : &caps->matrix_grain;
}

uint32_t vka__matrix_invocations(const vka_device_caps *caps) {
    return vka__matrix_by_workgroup(caps) ? caps->matrix_workgroup_size : vka__matrix_width(caps);
}

const char *vka__matrix_any_size_why_not(const vka_device_caps *caps) {
    uint32_t invocations = vka__matrix_invocations(caps);
    if (!caps->matrix_operations || !vka__matrix_grain(caps)->m || !invocations || invocations > caps->max_invocations)
        return "this device has no matrices of any size with reductions";
    return vka__known_fault(caps, VKA__AVOID_MATRICES);
}
