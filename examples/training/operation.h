/* Adds an operation to a sequence, or ends the program:
 *
 *   ADD(sequence, LINEAR, (vka_linear_desc){.x = x, .weight = weight, .out = out});
 *
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_OPERATION_H
#define TRAINING_OPERATION_H

#include "common/program.h"

#include <vkattn/nn.h>

#define ADD(sequence, OP, ...)                                                                                         \
    check(vka_nn_operation(sequence, VKA_OPERATION_##OP, &(__VA_ARGS__), sizeof(__VA_ARGS__)))

#endif
