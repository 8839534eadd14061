/* What C and GLSL share of routing between capsules. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_CAPSULE_ROUTING_H
#define VKA_PARAMS_CAPSULE_ROUTING_H

#include "params.h"

/* One routing. b is an entry; of votes h is an input, n an output and d a channel; of out h an output and n a channel; of
 * coupling h an input and n an output; of the bias n an output and d a channel. */
VKA_STRUCT(vka_capsule_routing_params) {
    vka_strides votes;
    vka_strides out_;
    vka_strides coupling;
    vka_strides bias;
    VKA_UINT_ inputs; /* I */
    VKA_UINT_ iterations;
    VKA_UINT_ parts;       /* workgroups that share an entry's inputs    */
    VKA_UINT_ part_inputs; /* of each, but for the last                  */
    VKA_UINT_ counters;    /* where they begin in the workspace: words   */
}
VKA_END(vka_capsule_routing_params);

/* VKA_SPEC_D: channels of an output, VKA_SPEC_BC: outputs, VKA_SPEC_BR: inputs of a step, VKA_SPEC_TC: invocations that
 * share the softmax of an input, VKA_SPEC_COLS: vectors of four channels that an invocation sums. */

/* Roles of tensors, and VKA_ROLE_X, _OUT. */
#define VKA_ROLE_CAPSULE_BIAS     1
#define VKA_ROLE_CAPSULE_COUPLING 2

#define VKA_FLAG_CAPSULE_WHOLE    1 /* a workgroup does all iterations of an entry               */
#define VKA_FLAG_CAPSULE_SHARED   2 /* sums and outputs of an entry lie in shared memory         */
#define VKA_FLAG_CAPSULE_BIAS     4
#define VKA_FLAG_CAPSULE_COUPLING 8
#define VKA_FLAG_CAPSULE_VEC4     16 /* votes can be read four channels at a time                 */
#define VKA_FLAG_CAPSULE_VEC4_OUT 32

/* Outputs whose sums lie in shared memory have at most so many vectors of four channels, all together. */
#define VKA_CAPSULE_SHARED_VECTORS 256

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_CAPSULE_BIAS      2
#define VKA_BIND_CAPSULE_OUT       3
#define VKA_BIND_CAPSULE_COUPLING  4
#define VKA_BIND_CAPSULE_WORKSPACE 5

#endif
