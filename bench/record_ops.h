/* One description of every operation, at shapes of a step of a small model: what `record` measures, and what
 * tools/offline compiles.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_RECORD_OPS_H
#define VKATTN_BENCH_RECORD_OPS_H

#include <vkattn/vkattn.h>

typedef struct record_memory {
    vka_device *device;
    vka_buffer *buffers[32];
    size_t count;
    bool failed;
} record_memory;

typedef struct record_op {
    vka_operation operation;
    const char *name;
    size_t desc_size;
    void (*describe)(record_memory *memory, void *desc);
} record_op;

extern const record_op bench_record_ops[];
extern const size_t bench_record_op_count;
/* Where in the description its vka_workspace is; 0: it has none. */
size_t bench_record_workspace(vka_operation operation);
enum { RECORD_DESC_SIZE = 3584 };

vka_buffer *bench_record_buffer(record_memory *memory, uint64_t bytes);
void bench_record_free(record_memory *memory);

#endif
