/* Ranks that are processes of MPI, on one machine or many.
 * SPDX-License-Identifier: MIT */
#include "ring/transport.h"

#include "common/program.h"

#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct mpi_rank {
    transport base; /* first */
    MPI_Request requests[TRANSFER_KINDS][TRANSFER_WAYS];
} mpi_rank;

static mpi_rank only;

static bool good(transport *t, int result, const char *call) {
    if (result == MPI_SUCCESS) {
        return true;
    }
    char text[MPI_MAX_ERROR_STRING + 1] = "";
    int length = 0;
    MPI_Error_string(result, text, &length);
    snprintf(t->error, sizeof t->error, "%s: %.200s", call, text);
    return false;
}

static bool begin(transport *t, transfer_kind kind, transfer_way way, void *data, size_t bytes) {
    MPI_Request *request = &((mpi_rank *)t)->requests[kind][way];
    int next = (int)((t->rank + 1) % t->ranks), last = (int)((t->rank + t->ranks - 1) % t->ranks);
    if (bytes > INT_MAX) {
        snprintf(t->error, sizeof t->error, "%zu bytes are more than MPI passes on at once: use more ranks", bytes);
        return false;
    }
    if (way == TRANSFER_SEND) {
        return good(t, MPI_Isend(data, (int)bytes, MPI_BYTE, next, kind, MPI_COMM_WORLD, request), "MPI_Isend");
    }
    return good(t, MPI_Irecv(data, (int)bytes, MPI_BYTE, last, kind, MPI_COMM_WORLD, request), "MPI_Irecv");
}

static transfer_state poll_request(transport *t, transfer_kind kind, transfer_way way) {
    int done = 0;
    if (!good(t, MPI_Test(&((mpi_rank *)t)->requests[kind][way], &done, MPI_STATUS_IGNORE), "MPI_Test")) {
        return TRANSFER_FAILED;
    }
    return done ? TRANSFER_DONE : TRANSFER_PENDING;
}

/* Others may wait for this rank, and do so for as long as it lives. */
static void leave(transport *t, bool failed) {
    (void)t;
    if (failed) {
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

/* Its number among those of its machine. */
static uint32_t place(void) {
    MPI_Comm machine;
    int rank = 0;
    if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine) == MPI_SUCCESS) {
        MPI_Comm_rank(machine, &rank);
        MPI_Comm_free(&machine);
    }
    return (uint32_t)rank;
}

transport *mpi_ring_start(int *argc, char ***argv) {
    int rank = 0, ranks = 1;
    transport *t = &only.base;
    bool ok = good(t, MPI_Init(argc, argv), "MPI_Init") &&
              good(t, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler") &&
              good(t, MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank") &&
              good(t, MPI_Comm_size(MPI_COMM_WORLD, &ranks), "MPI_Comm_size");
    if (!ok) {
        fprintf(stderr, "%s: %s\n", program_name, t->error);
        return NULL;
    }
    *t = (transport){.rank = (uint32_t)rank,
                     .ranks = (uint32_t)ranks,
                     .place = place(),
                     .name = "MPI",
                     .begin = begin,
                     .poll = poll_request,
                     .leave = leave};
    for (int i = 0; i < TRANSFER_KINDS * TRANSFER_WAYS; i++) {
        only.requests[i / TRANSFER_WAYS][i % TRANSFER_WAYS] = MPI_REQUEST_NULL;
    }
    return t;
}

void mpi_ring_finish(void) {
    MPI_Finalize();
}
