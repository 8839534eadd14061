/* Patterns inside the library: what attentions need of one, and the parts that make one.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_API_PATTERN_H
#define VKA_API_PATTERN_H

#include "op/check.h"
#include "ops/pattern/build.h"

const vka__pattern_shape *vka__pattern_shape_of(const vka_pattern *pattern);
vka_buffer *vka__pattern_buffer(const vka_pattern *pattern);
vka_device *vka__pattern_device(const vka_pattern *pattern);

/* pattern_check.c: every rule that a description can break. */
vka_status vka__pattern_check(const vka__check *c, const vka_pattern_desc *desc);

/* pattern_blob.c: the map in a blob, all checked, and where its words begin. */
vka_status vka__pattern_parse(const vka__context *ctx, const char *function, const void *data, size_t size,
                              vka__pattern_shape *shape, const uint32_t **words);

/* pattern.c: words of a map that a binding can see, and what is said of larger ones. */
uint64_t vka__pattern_most_words(const vka_device_caps *caps);
vka_status vka__pattern_too_large(const vka__check *c, const char *field);

/* pattern_device.c: do a program's lists fit its kernels' bindings? Builds the map; the device has a queue. */
bool vka__pattern_device_can(const vka_device_caps *caps, const vka__pattern_program *program);
vka_status vka__pattern_build_on_device(const vka__check *c, const vka__pattern_program *program,
                                        vka__pattern_shape *shape, vka_buffer **built);

#endif
