/* Do the names in log lines exist? What a user reads there has to be in the public headers.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_FIELDS_H
#define VKATTN_TEST_FIELDS_H

#include <stdbool.h>

/* "function", "function.field" or "function.field[1].member": is the function declared, and is each name behind it the
 * identifier of a field or an argument in some public header, comments aside? */
bool fields_exist(const char *item);

#endif
