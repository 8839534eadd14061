/* What attentions need of a pattern. SPDX-License-Identifier: MIT */
#ifndef VKA_API_PATTERN_H
#define VKA_API_PATTERN_H

#include "plan/pattern.h"

const vka__pattern_shape *vka__pattern_shape_of(const vka_pattern *pattern);
vka_buffer *vka__pattern_buffer(const vka_pattern *pattern);
vka_device *vka__pattern_device(const vka_pattern *pattern);

#endif
