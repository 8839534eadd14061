/* A flock of points: each sees those around it by attention, and steers by that. The attention of a step is spread over
 * frames; what is drawn moves from one step to the next meanwhile.
 * SPDX-License-Identifier: MIT */
#ifndef FRAME_FLOCK_H
#define FRAME_FLOCK_H

#include "frame/gpu.h"

typedef struct flock {
    uint32_t count;
    memory states;              /* [2, count, 4]: the newest ones, and those of a step before */
    memory q, k, v, seen, room; /* room: the attention's workspace                             */
    vka_buffer *wrapped[5];     /* q, k, v, seen, room as vkattn sees them                     */
    vka_plan *plan;
    vka_slice slice;    /* where in the attention of this step we are */
    uint64_t work;      /* of it that is recorded                     */
    uint32_t steps;     /* that are complete                          */
    uint32_t in_slices; /* frames that the last step took             */
    uint32_t slices;    /* of this step so far                        */
    uint32_t current;   /* which half of states is the newest         */
    bool begun;
    VkDescriptorSet set;
    VkPipeline steer;
} flock;

void flock_open(flock *f, const gpu *g, uint32_t count, float aspect);
void flock_close(flock *f, const gpu *g);

/* Records a frame's part of it, and returns how much of the attention's work that was: at most `budget`. */
uint64_t flock_record(flock *f, const gpu *g, VkCommandBuffer commands, vka_recorder *recorder, push *p,
                      uint64_t budget, void (*between)(void *user, int which), void *user);
/* Steps that are complete when the next frame was recorded. */
uint32_t flock_steps_after(const flock *f);
/* Of all bits of the newest states, when nothing runs. */
uint32_t flock_checksum(const flock *f);

#endif
