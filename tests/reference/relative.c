/* T5's buckets of relative positions, line by line as Hugging Face's transformers has them (T5Attention
 * _relative_position_bucket, after mesh_tensorflow): tensors are float32 there, Python's numbers float64.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

uint32_t ref_t5_bucket(int64_t relative_position, bool bidirectional, uint32_t num_buckets, uint32_t max_distance) {
    uint32_t bucket = 0;
    if (bidirectional) {
        num_buckets /= 2;
        bucket = relative_position > 0 ? num_buckets : 0;
        relative_position = relative_position < 0 ? -relative_position : relative_position;
    } else {
        relative_position = relative_position < 0 ? -relative_position : 0;
    }
    uint32_t max_exact = num_buckets / 2;
    if (relative_position < max_exact) {
        return bucket + (uint32_t)relative_position;
    }
    float scale = (float)log((double)max_distance / max_exact);
    float large = logf((float)relative_position / (float)max_exact) / scale * (float)(num_buckets - max_exact);
    uint32_t within = max_exact + (uint32_t)large;
    return bucket + (within < num_buckets - 1 ? within : num_buckets - 1);
}

void ref_t5_gradient(const ref_t5 *t, uint32_t heads, const float *d_out, uint32_t bucket, bool naive, double *row) {
    for (uint32_t h = 0; h < heads; h++) {
        row[h] = 0;
    }
    for (uint32_t l = 0; l < t->length; l++) {
        bool within = ref_t5_bucket((int64_t)l - t->zero, t->bidirectional, t->buckets, t->max_distance) == bucket;
        for (uint32_t h = 0; h < heads && within; h++) {
            row[h] = ref_step(naive, row[h] + (double)d_out[(size_t)h * t->length + l]);
        }
    }
}
