/* Devices that are not here, as their drivers describe themselves.
 * SPDX-License-Identifier: MIT */
#include "plan_devices.h"

#include <criterion/criterion.h>
#include <string.h>

#define F16(m, n, k)                                                                                                   \
    { m, n, k, VKA_F16 }
#define BF16(m, n, k)                                                                                                  \
    { m, n, k, VKA_BF16 }
#define MATRICES(...)                                                                                                  \
    .matrix_shapes = {__VA_ARGS__},                                                                                    \
    .matrix_shape_count = sizeof(vka_matrix_shape[]){__VA_ARGS__} / sizeof(vka_matrix_shape)

const device devices[DEVICES] = {
    {"software", {CAPS(VKA_DEVICE_CPU, 8, 8, 8, 32768, 1024, 128 * MIB, 16, true)}},
    {"swiftshader", {CAPS(VKA_DEVICE_CPU, 4, 4, 4, 32768, 256, 1024 * MIB, 256, false)}},
    {"powervr", {CAPS(VKA_DEVICE_INTEGRATED, 1, 1, 1, 16384, 128, 128 * MIB, 64, false)}},
    {"mali g52", {CAPS(VKA_DEVICE_INTEGRATED, 8, 8, 8, 32768, 256, 4096 * MIB - 1, 64, false), .vendor_id = 0x13b5}},
    {"adreno 618", {CAPS(VKA_DEVICE_INTEGRATED, 64, 64, 128, 32768, 1024, 128 * MIB, 64, false)}},
    {"intel", {CAPS(VKA_DEVICE_INTEGRATED, 32, 8, 32, 49152, 1024, 2048 * MIB - 1, 64, true)}},
    {"nvidia", {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, 4096 * MIB - 1, 16, true)}},
    {"kepler",
     {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, 2048 * MIB - 1, 32, false), .vendor_id = 0x10de,
      .device_id = 0x1004, .api_version = 1u << 22 | 2u << 12}},
    {"amd", {CAPS(VKA_DEVICE_DISCRETE, 64, 32, 64, 65536, 1024, 4096 * MIB - 1, 4, true)}},
    {"smallest", {CAPS(VKA_DEVICE_OTHER, 1, 1, 1, 16384, 128, 65536, 256, false)}},
    {"nvidia with matrices",
     {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, 4096 * MIB - 1, 16, true),
      MATRICES(F16(16, 16, 16), F16(16, 8, 16), F16(16, 8, 8)), .int64 = true}},
    {"nvidia with matrices of workgroups",
     {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, 4096 * MIB - 1, 16, true), MATRICES(F16(16, 16, 16)),
      .matrix_grain = F16(16, 16, 16), .matrix_workgroup_grain = F16(32, 16, 16), .matrix_workgroup_size = 128,
      .matrix_reserved_bytes = 4096, .matrix_operations = true, .matrix_block_loads = true,
      .matrix_functions = VKA_MATRIX_FUNCTIONS_NV}},
    {"rdna2", {CAPS(VKA_DEVICE_DISCRETE, 64, 32, 64, 65536, 1024, 4096 * MIB - 1, 4, true), .f16_mixed_dot = true}},
    {"rdna3",
     {CAPS(VKA_DEVICE_DISCRETE, 64, 32, 64, 65536, 1024, 4096 * MIB - 1, 4, true), MATRICES(F16(16, 16, 16)),
      .vendor_id = 0x1002}},
    {"rdna3 with functions of matrices",
     {CAPS(VKA_DEVICE_DISCRETE, 64, 32, 64, 65536, 1024, 4096 * MIB - 1, 4, true), MATRICES(F16(16, 16, 16)),
      .vendor_id = 0x1002, .matrix_functions = VKA_MATRIX_FUNCTIONS_EXT}},
    {"rdna4",
     {CAPS(VKA_DEVICE_DISCRETE, 64, 32, 64, 65536, 1024, 4096 * MIB - 1, 4, true),
      MATRICES(F16(16, 16, 16), BF16(16, 16, 16)), .vendor_id = 0x1002}},
    {"arc",
     {CAPS(VKA_DEVICE_DISCRETE, 32, 8, 32, 49152, 1024, 4096 * MIB - 1, 64, true),
      MATRICES(F16(8, 8, 16), BF16(8, 8, 16)), .vendor_id = 0x8086}},
    {"intel with narrow matrices",
     {CAPS(VKA_DEVICE_INTEGRATED, 32, 8, 32, 49152, 1024, 4096 * MIB - 1, 64, true), MATRICES(F16(4, 8, 16)),
      .vendor_id = 0x8086}},
    {"xe2",
     {CAPS(VKA_DEVICE_INTEGRATED, 32, 16, 32, 49152, 1024, 4096 * MIB - 1, 64, true),
      MATRICES(BF16(8, 16, 16), F16(8, 16, 16)), .vendor_id = 0x8086}},
    {"software with matrices",
     {CAPS(VKA_DEVICE_CPU, 8, 8, 8, 32768, 1024, 128 * MIB, 16, true), MATRICES(F16(8, 8, 8))}},
    {"lavapipe 25.0",
     {CAPS(VKA_DEVICE_CPU, 8, 8, 8, 32768, 1024, 128 * MIB, 16, true), .driver_id = 13,
      .driver_version = MESA(25, 0, 7), .int64 = true}},
    {"lavapipe 26.1",
     {CAPS(VKA_DEVICE_CPU, 8, 8, 8, 32768, 1024, 128 * MIB, 16, true), MATRICES(F16(8, 8, 8)), .driver_id = 13,
      .driver_version = MESA(26, 1, 6), .int64 = true, .matrix_grain = F16(8, 8, 8), .matrix_operations = true,
      .matrix_functions = VKA_MATRIX_FUNCTIONS_NV}},
    {"adreno 830",
     {CAPS(VKA_DEVICE_INTEGRATED, 64, 64, 64, 32768, 1024, 128 * MIB, 64, true), MATRICES(F16(64, 16, 16))}},
    {"wide", {CAPS(VKA_DEVICE_VIRTUAL, 128, 128, 128, 16384, 128, 1 * MIB, 32, true)}},
};

const device *device_named(const char *name) {
    size_t i = 0;
    while (i < DEVICES && strcmp(devices[i].name, name)) {
        i++;
    }
    cr_assert_lt(i, DEVICES, "no device is called %s", name);
    return &devices[i];
}
