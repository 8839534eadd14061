/* Without MPI. SPDX-License-Identifier: MIT */
#include "ring/transport.h"

#include "common/program.h"

#include <stdio.h>

transport *mpi_ring_start(int *argc, char ***argv) {
    (void)argc, (void)argv;
    fprintf(stderr, "%s: --mpi: this program was built where there was no MPI\n", program_name);
    return NULL;
}

void mpi_ring_finish(void) {
}
