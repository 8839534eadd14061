/* One rank: its device, its tokens, and the passes over the ring.
 * SPDX-License-Identifier: MIT
 *
 * Queries stay; keys and values go around. In each of R steps a rank attends to the block of keys that it has, passes
 * the block on meanwhile, and gets the next one: it never has more than two blocks, and of one a copy where its device
 * reads it fastest. What it has attended to is merged by its log-sum-exp, in the order of steps. Backward, each block
 * takes its gradients along, one step behind it, and these come home after R steps; queries' gradients stay. */
#ifndef RING_WORKER_H
#define RING_WORKER_H

#include "ring/problem.h"
#include "ring/timeline.h"
#include "ring/transport.h"

#include <vkattn/vkattn.h>

/* How a test makes a rank fail, when step `step` of the forward pass begins. */
typedef enum fault_kind { FAULT_NONE, FAULT_DIE, FAULT_HANG } fault_kind;
typedef struct fault {
    fault_kind kind;
    uint32_t rank, step;
} fault;

typedef enum result { RESULT_OUT, RESULT_LSE, RESULT_D_Q, RESULT_D_K, RESULT_D_V, RESULTS } result;
extern const char *const result_names[RESULTS];

typedef enum worker_buffer {
    BUFFER_Q,
    BUFFER_OUT,       /* of all keys so far */
    BUFFER_LSE,       /*                    */
    BUFFER_PART,      /* of one block       */
    BUFFER_PART_LSE,  /*                    */
    BUFFER_KV,        /* a block: rows of k, then rows of v                  */
    BUFFER_STAGE,     /* two of them, which are received and sent            */
    BUFFER_STAGE_2,   /*                                                     */
    BUFFER_D_OUT,     /* of the backward pass, as the following              */
    BUFFER_D_Q,       /* of all keys so far                                  */
    BUFFER_D_Q_PART,  /* of one block                                        */
    BUFFER_D_KV_PART, /* of one block by our queries                         */
    BUFFER_CARRIED,   /* two of them by all queries so far, as blocks travel */
    BUFFER_CARRIED_2,
    WORKER_BUFFERS,
} worker_buffer;

/* What a rank can wait for. */
enum { DEVICE_WORK = 1, EVERYTHING = 0x7fffffff };

typedef struct worker {
    const problem *problem;
    transport *transport;
    fault fault;
    float timeout; /* seconds in which something has to happen */
    bool ready;    /* since all ranks are; before, compilers take their time */

    vka_device *device;
    bool owns_device;
    vka_recorder *recorder;
    vka_buffer *buffers[WORKER_BUFFERS];
    uint32_t rows; /* ours */

    event_pass pass;
    uint32_t step;
    double start;     /* of the pass           */
    unsigned pending; /* what is being done    */
    event device_work, transfers[TRANSFER_KINDS][TRANSFER_WAYS];
    timeline timeline;
} worker;

/* device: shared with others, or NULL for one of our own. Every function here that returns false has said why on
 * stderr.
 */
bool worker_create(worker *w, vka_device *device);
/* Work of the device that does not come to an end is left alone, and what it uses. */
void worker_destroy(worker *w);
bool worker_prepare(worker *w); /* compiles */
bool worker_forward(worker *w);
bool worker_backward(worker *w); /* after it */
/* Numbers of a row of a result, and all rows, f32. */
uint32_t worker_width(const worker *w, result which);
bool worker_read(worker *w, result which, float *values);

/* ---- for its own files --------------------------------------------------------------------------------------- */

bool worker_fail(const worker *w, const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* false, with a line about the step, unless it is VKA_OK. */
bool worker_ok(const worker *w, vka_status status);

/* Bytes of a rank's block of keys and values, and of its gradients; the block of this step. */
uint64_t worker_block_bytes(const worker *w, uint32_t block);
uint64_t worker_gradient_bytes(const worker *w, uint32_t block);
uint32_t worker_block(const worker *w);

/* Rows of a tensor whose rows have so many heads, [1, heads, count, dim], and of one number each head, [1, heads,
 * count]; `before`: numbers in front of row 0. */
vka_tensor worker_rows(const worker *w, worker_buffer buffer, vka_dtype dtype, uint32_t heads, uint64_t before,
                       uint32_t first, uint32_t count);
vka_tensor worker_lse(const worker *w, worker_buffer buffer, uint32_t first, uint32_t count);

/* Puts our own keys and values into the first stage, waits for all ranks, and begins to count time. */
bool worker_begin_pass(worker *w, event_pass pass);
bool worker_begin_step(worker *w, uint32_t step);
/* Passes the block of this step on and receives the next one, unless it is the last one. */
bool worker_pass_block(worker *w);

bool worker_transfer(worker *w, transfer_kind kind, transfer_way way, void *data, size_t bytes, uint32_t block);
bool worker_submit(worker *w);
/* Until the device, or transfers, have done what is pending: EVERYTHING or DEVICE_WORK. */
bool worker_wait(worker *w, unsigned what);
/* Each rank has put its `each` bytes to their place in `all`; then all have all. */
bool worker_gather(worker *w, void *all, size_t each);

#endif
