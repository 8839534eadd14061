/* Tensors on both sides: dense floats here, any layout there, with guards around and between the elements.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_TENSOR_H
#define VKATTN_TEST_TENSOR_H

#include <vkattn/vkattn.h>

#include "context.h"
#include "reference.h"

/* How a tensor lies in its buffer. Zero: dense, in the order of the shape. Types with blocks count pad in blocks and
 * shift in pairs of bytes, and are dense when the order has another dimension than the last one at its end. */
typedef struct layout {
    const char *order; /* dimensions from slowest to fastest, "0213" for a [B,N,H,D] buffer seen as [B,H,N,D]         */
    uint32_t pad;      /* unused elements at the end of every dimension                                             */
    uint32_t shift;    /* elements by which the tensor starts later than aligned                                    */
} layout;

typedef struct tensor {
    vka_tensor view;
    float *values; /* count dense values, in the order of the shape, as the storage type has them: numbers that are not
                      finite fill a whole block; i8 is without its scale */
    size_t count;
    uint8_t *image; /* all bytes of the buffer as they should be */
    size_t size;
} tensor;

/* The float types, for loops over them. */
#define DTYPES 3
extern const vka_dtype dtypes[DTYPES];
const char *dtype_name(vka_dtype dtype);

/* A buffer full of 0xff bytes, which are NaN in every type, with room for the tensor. */
tensor tensor_create(context *c, vka_dtype dtype, uint32_t rank, const uint32_t *shape, layout l);
void tensor_destroy(tensor *t);

/* Sets the values; tensor_upload sends them. Integers want a large deviation. */
void tensor_fill_normal(tensor *t, ref_rng *rng, float mean, float deviation);
/* Makes the values those that the storage type has. */
void tensor_round(tensor *t);
void tensor_upload(tensor *t);
/* Sets every byte of the buffer to 0xff. */
void tensor_poison(tensor *t);
/* Reads the values back. False when a byte outside of the elements has changed. */
bool tensor_download(tensor *t);
/* The same of a tensor that the call under test had, whose name is `name`: asserts that nothing outside of it changed,
 * nor it, unless it is an output. `what` describes the case. */
void tensor_collect(tensor *t, bool output, const char *name, const char *what);
/* Where the image has the element, or the block, with this dense index. */
uint8_t *tensor_bytes(const tensor *t, size_t index);
/* After a download: does the element still hold what tensor_poison left? */
bool tensor_untouched(const tensor *t, size_t index);

#endif
