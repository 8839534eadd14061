/* Activations as kernels have them. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_ACTIVATION_H
#define VKA_PARAMS_ACTIVATION_H

/* As in vka_activation. */
#define VKA_ACT_NONE      0
#define VKA_ACT_RELU      1
#define VKA_ACT_GELU      2
#define VKA_ACT_GELU_TANH 3
#define VKA_ACT_SILU      4
#define VKA_ACT_TANH      5
#define VKA_ACT_SIGMOID   6

/* Where flags of a kernel have one: four bits. */
#define VKA_ACT_SHIFT 24

#endif
