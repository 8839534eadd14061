/* What the larger examples share: errors end the program.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_PROGRAM_H
#define COMMON_PROGRAM_H

#include <vkattn/vkattn.h>

#include <stddef.h>

/* In front of each line on stderr; each program defines it. */
extern const char program_name[];

/* Prints a line on stderr and exits with 1. */
_Noreturn void fail(const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 1, 2)))
#endif
    ;

/* Exits with 1 unless it is VKA_OK. */
void check(vka_status status);

/* A vka_log_fn that prints to stderr. */
void log_line(void *user, vka_log_level level, const char *item, const char *message);

/* calloc that does not return on failure. */
void *allocate(size_t count, size_t size);

/* Wall clock. */
double seconds(void);

/* Memory that is zero at first; which can be mapped unless it is VKA_MEMORY_DEVICE. */
vka_buffer *create_buffer(vka_device *device, uint64_t bytes, vka_memory memory);

#endif
