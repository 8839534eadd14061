/* vkattn: does this device compute what it should?
 * SPDX-License-Identifier: MIT
 *
 * Drivers have bugs, and not all are known. The self-test runs the library's own kernels, as the device's driver
 * compiles them, on small problems whose answers the host knows, and switches off each kernel that gives a wrong one:
 * for as long as the device lives its path is refused by name, is not among the candidates, is not chosen, and
 * explanations say so.
 *
 *   vka_device_desc desc = {.self_test = blob, .self_test_size = size, ..};      of the last run; none: NULL
 *   vka_device_create(&desc, &dev);
 *   vka_self_test_report report;
 *   vka_device_self_test(dev, NULL, &report);                                    nothing runs if the blob said it all
 *   if (!report.known)
 *       vka_device_save_self_test(dev, blob, &size);                             to a file, beside the pipeline cache
 */
#ifndef VKATTN_SELF_TEST_H
#define VKATTN_SELF_TEST_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What to test. NULL, or all zero: everything. */
typedef struct vka_self_test_desc {
    const vka_operation *operations; /* optional: only these; those that have no known answers are passed over      */
    uint32_t operation_count;
    uint32_t
        tiles; /* of each path and problem, at most; UINT32_MAX: all candidates. 0: 3, on software drivers 2, and */
               /*   on those that take long to compile 1                                                       */
    double seconds; /* begin nothing new after so long; 0: no limit. What was begun is finished                      */
    bool again;     /* test also what a verdict is known of                                                         */
} vka_self_test_desc;

/* What a self-test did and found. */
typedef struct vka_self_test_report {
    uint32_t runs;     /* of kernels on a problem                                                                    */
    uint32_t wrong;    /* of these gave wrong answers                                                                */
    uint32_t kernels;  /* different ones that ran                                                                    */
    uint32_t left_out; /* runs that the limit of time left out; their operations count as not tested                 */
    uint32_t switched_off; /* kernels that are off now, by this call, others before it or a verdict                  */
    bool known;            /* nothing ran: a verdict of all operations that were asked for is known already          */
    uint64_t nanoseconds;
    char names[512]; /* of those that are off, separated by blanks; "" if none is                                    */
} vka_self_test_report;

/* Compares each path of the operations attention, attention_merge, linear, linear_attention, layer_norm, rms_norm,
 * group_norm, softmax, cross_entropy, top_k, cache_append and map with known answers: types f32, f16 and bf16 and
 * quantised ones, odd sizes, masks, rows that see nothing, NaN where it must and must not arrive, results between other
 * data. Which paths and tiles run follows from vka_operation_candidates. Of a wrong answer the kernels are switched off
 * that gave it, but for those that gave right ones together with others; each logs a line of level VKA_LOG_WARNING.
 * Where a kernel has another in its place, that is tested then. Operations without any kernel left are refused, with
 * VKA_UNSUPPORTED.
 *
 *   desc     may be NULL
 *   report   may be NULL
 *
 * The call submits and waits. It takes milliseconds on a GPU once its pipelines are compiled, about a hundred of them;
 * they join the pipeline cache. Software drivers take minutes to compile all (docs/self-test.md): choose operations
 * there. Plans that were made before keep their kernels. A driver that crashes or hangs does so in this call, too.
 *
 * VKA_OK, whatever is found; VKA_INVALID (a device imported without a queue, an operation that is none);
 * VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST. On failure what was switched off until then stays off. Threads: no other thread
 * may use the device. */
static inline vka_status vka_device_self_test(vka_device *device, const vka_self_test_desc *desc,
                                              vka_self_test_report *report);
VKA_API vka_status vka_device_self_test_sized(vka_device *device, const vka_self_test_desc *desc, size_t desc_size,
                                              vka_self_test_report *report, size_t report_size);

/* Copies what is known from self-tests as a blob for vka_device_desc.self_test. With data == NULL only *size is set, to
 * the capacity needed. The blob is checksummed and bound to this device, its driver and enabled features, and this
 * build of the library.
 *
 * VKA_OK; VKA_INVALID (capacity too small). Threads: any, but not during a self-test. */
VKA_API vka_status vka_device_save_self_test(vka_device *device, void *data, size_t *size);

static inline vka_status vka_device_self_test(vka_device *device_, const vka_self_test_desc *desc_,
                                              vka_self_test_report *report_) {
    return vka_device_self_test_sized(device_, desc_, sizeof *desc_, report_, sizeof *report_);
}

#ifdef __cplusplus
}

extern "C++" {
static inline vka_status vka_device_self_test(vka_device *device_, const vka_self_test_desc &desc_,
                                              vka_self_test_report *report_) {
    return vka_device_self_test(device_, &desc_, report_);
}
}
#endif

#endif
