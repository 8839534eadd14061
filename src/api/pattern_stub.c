#include "api/pattern.h"
const vka__pattern_shape *vka__pattern_shape_of(const vka_pattern *pattern) { (void)pattern; return NULL; }
vka_buffer *vka__pattern_buffer(const vka_pattern *pattern) { (void)pattern; return NULL; }
vka_device *vka__pattern_device(const vka_pattern *pattern) { (void)pattern; return NULL; }
