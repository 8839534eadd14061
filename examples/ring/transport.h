/* How ranks pass memory on: each to the next one, the last to the first.
 * SPDX-License-Identifier: MIT
 *
 * Transfers begin at once and are asked for until they are done: nothing here waits, so that a rank can look after its
 * device and its time limit meanwhile. Of each kind one may be on its way in each direction. */
#ifndef RING_TRANSPORT_H
#define RING_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is passed on. Of a kind, transfers arrive in the order in which they were sent. */
typedef enum transfer_kind {
    TRANSFER_BLOCK,     /* keys and values           */
    TRANSFER_GRADIENTS, /* of them                   */
    TRANSFER_NOTE,      /* what ranks tell each other */
    TRANSFER_KINDS,
} transfer_kind;

typedef enum transfer_way { TRANSFER_SEND, TRANSFER_RECEIVE, TRANSFER_WAYS } transfer_way;

typedef enum transfer_state { TRANSFER_PENDING, TRANSFER_DONE, TRANSFER_FAILED } transfer_state;

typedef struct transport transport;
struct transport {
    uint32_t rank, ranks;
    uint32_t place;   /* its number among the ranks of its machine */
    const char *name; /* "threads", "MPI"                          */
    char error[256];  /* why something failed                      */

    /* To the next rank, or from the one before. The memory is the transfer's until it is done. false: see error. */
    bool (*begin)(transport *t, transfer_kind kind, transfer_way way, void *data, size_t bytes);
    transfer_state (*poll)(transport *t, transfer_kind kind, transfer_way way);
    /* What a rank does last. Of one that failed the others' transfers fail, too, or the program ends. */
    void (*leave)(transport *t, bool failed);
};

/* ---- ranks that are threads ---------------------------------------------------------------------------------- */

typedef struct thread_ring thread_ring;

/* megabytes: what a link between two ranks passes on in a second; 0: as fast as memory is copied. */
thread_ring *thread_ring_create(uint32_t ranks, float megabytes);
void thread_ring_destroy(thread_ring *r);
transport *thread_ring_rank(thread_ring *r, uint32_t rank);

/* ---- ranks that are processes of MPI ------------------------------------------------------------------------- */

/* NULL: says why on stderr. Once in a program; after it, mpi_ring_finish. */
transport *mpi_ring_start(int *argc, char ***argv);
void mpi_ring_finish(void);

#endif
