/* VKATTN_TEST_SHARE=K/N: of the tests of every program, only those of share K (1 .. N). Machines that test the same
 * change with different drivers divide them among themselves.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_SHARE_H
#define VKATTN_TEST_SHARE_H

#include <stdbool.h>

/* Is the test of this number, counted over a program, of another share? Then a line says so. */
bool share_leaves_out(unsigned number);

#endif
