/* vkattn: biases of relative positions.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_RELATIVE_H
#define VKATTN_RELATIVE_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One table of T5 made into biases. */
typedef struct vka_relative_bias_t5_desc {
    vka_tensor table; /* required: [buckets, Hq]: relative_attention_bias.weight; f32, f16 or bf16. Buckets are    */
                      /*   2 .. 1024, and at least 4 if bidirectional                                              */
    vka_tensor out;   /* required: f32 [Hq, L]: what vka_attention_desc.relative_bias takes                        */
    uint32_t relative_zero; /* where in a row the distance is 0; below L; the same in vka_attention_desc           */
    bool bidirectional;     /* encoders: half of the buckets are for keys after the query. Otherwise (decoders)    */
                            /*   those have the bucket of distance 0                                               */
    uint32_t max_distance;  /* from here on all keys share a bucket; above the number of buckets that hold one     */
                            /*   distance each (a half, or a quarter if bidirectional), at most 2^24; 0 = 128      */
} vka_relative_bias_t5_desc;

/* out[h, l] = table[bucket(l - relative_zero), h], with the buckets of T5 (Raffel 2020) for distances key position -
 * query position, j - p in the words of vka_attention_desc. Buckets are those of _relative_position_bucket in Hugging
 * Face's transformers at every distance, float32 roundings included, with logarithms rounded to the nearest.
 *
 * Nothing changes from max_distance on, and attention clamps distances to the row: L = 2 max_distance + 1 with
 * relative_zero = max_distance serves sequences of any length (of decoders, L = max_distance + 1 does). So this runs
 * once, when a model is loaded, and no bias of Nq x Nk elements ever exists. T5's layers share the first one's table.
 *
 * Any strides. Hq = 0 records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a tensor is larger than a
 *         binding can see; vka_attention could not read it either); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_API vka_status vka_relative_bias_t5(vka_recorder *recorder, const vka_relative_bias_t5_desc *desc);

/* As vka_attention_prepare, vka_attention_workspace (always 0 today) and vka_attention_explain. It takes
 * 4 * (buckets - 1) bytes of vka_recorder_desc.value_bytes, as a list of host values does. Threads: any. */
VKA_API vka_status vka_relative_bias_t5_prepare(vka_device *device, const vka_relative_bias_t5_desc *desc);
VKA_API vka_status vka_relative_bias_t5_workspace(vka_device *device, const vka_relative_bias_t5_desc *desc,
                                                  uint64_t *bytes);
VKA_API vka_status vka_relative_bias_t5_explain(vka_device *device, const vka_relative_bias_t5_desc *desc, char *text,
                                                size_t capacity, size_t *length);

#ifdef __cplusplus
}
#endif

#endif
