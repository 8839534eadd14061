/* vkattn: optimizers.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_OPTIM_H
#define VKATTN_OPTIM_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One step of AdamW for one tensor. All tensors of [.., C] have the same shape, of rank 1 to 4. */
typedef struct vka_adamw_desc {
    vka_tensor parameter; /* required, read and written: [.., C]; f32, or with a master f16 or bf16                   */
    vka_tensor gradient;  /* required: [.., C]; f32, f16 or bf16                                                     */
    vka_tensor master; /* optional, read and written: f32, the parameter unrounded. parameter is then only written   */
    vka_tensor first_moment;  /* required, read and written: f32; 0 before the first step                            */
    vka_tensor second_moment; /* required, read and written: f32; likewise                                           */
    vka_tensor grad_scale;    /* optional: f32 [1], a factor of the gradient, such as vka_gradient_norm's. 0, or one  */
                              /*   that is not finite: the step is left out, nothing is touched                      */
    vka_tensor rate_scale;    /* optional: f32 [1], a factor of learning_rate: a schedule                             */
    vka_integers step;        /* required: [1], the number of this step, from 1 on; below 1 counts as 1               */
    float learning_rate;      /* 0 or more                                                                           */
    float beta1;              /* at least 0 and below 1; 0 = 0.9                                                      */
    float beta2;              /* at least 0 and below 1; 0 = 0.999                                                    */
    float epsilon;            /* at least 1e-30; 0 = 1e-8                                                             */
    float weight_decay;       /* 0 or more                                                                           */
} vka_adamw_desc;

/* Gradients of one call of vka_gradient_norm. */
#define VKA_MAX_GRADIENTS 16

/* The norm of gradients, and what to scale them by. */
typedef struct vka_gradient_norm_desc {
    vka_tensor gradients[VKA_MAX_GRADIENTS]; /* f32, f16 or bf16; rank 1 to 4. The first one is required              */
    vka_tensor sum;        /* optional, written: f32 [1], the sum of squares so far                                  */
    vka_tensor norm;       /* optional, written: f32 [1], the root of the sum, without the loss scale                 */
    vka_tensor grad_scale; /* optional, written: f32 [1], min(1, max_norm / (norm + 1e-6)) / loss scale; 0 where the  */
                           /*   sum is not finite                                                                    */
    vka_tensor loss_scale; /* optional: f32 [1], by which the loss was multiplied. With finite_steps it is updated    */
    vka_tensor finite_steps; /* optional, read and written: i32 [1], steps since loss_scale changed; 0 at first       */
    vka_tensor step;   /* optional, read and written: i32 [1], 1 more where the sum is finite: as vka_adamw's         */
    bool accumulate;   /* `sum` has the sum of other gradients, which counts too                                     */
    float max_norm;    /* 0 or more; 0: the norm is not limited                                                      */
    float growth;      /* loss_scale is multiplied by it after so many finite steps; at least 1; 0 = 2               */
    float backoff;     /* and by this after one that is not; above 0 and at most 1; 0 = 0.5                           */
    uint32_t interval; /* 0 = 2000                                                                                   */
    vka_workspace workspace; /* scratch memory; all zero: the recorder's own                                          */
} vka_gradient_norm_desc;

#ifdef __cplusplus
}
#endif

/* AdamW (Loshchilov 2019), in f32, with g = grad_scale * gradient and rate = rate_scale * learning_rate:
 *
 *   p -= rate * weight_decay * p
 *   m += (1 - beta1) * (g - m)    v = beta2 * v + (1 - beta2) * g^2
 *   p -= rate / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + epsilon)
 *
 *     vka_adamw(recorder, &(vka_adamw_desc){.parameter = w, .gradient = d_w, .first_moment = m, .second_moment = v,
 *                                           .grad_scale = scale, .step.tensor = step, .learning_rate = 3e-4f,
 *                                           .weight_decay = 0.1f});
 *
 * What changes from step to step may lie on the device, so that one recording serves all of them: step and grad_scale,
 * which vka_gradient_norm writes, and rate_scale. C = 0, or no rows, records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a row is larger than a
 *         binding can see, or there are 2^32 rows); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(adamw, ADAMW)

/* The L2 norm of all gradients together, in f32 and in an order that never changes, and what follows from it, without
 * the host: the factor that limits the norm and takes the loss scale away, whether the step is left out, and the next
 * loss scale.
 *
 *     vka_gradient_norm(recorder, &(vka_gradient_norm_desc){.gradients = {d_w, d_b}, .grad_scale = scale,
 *                                                           .step = step, .max_norm = 1});
 *
 * More gradients than VKA_MAX_GRADIENTS take several calls: all have `sum`, all but the first one `accumulate`, and
 * the last one has the rest. A sum of squares beyond f32 is not finite. Gradients may be empty. Records and returns;
 * the rest as vka_adamw. Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(gradient_norm, GRADIENT_NORM)

#endif
