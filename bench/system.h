/* vkattn-bench: what C leaves to systems.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_SYSTEM_H
#define VKATTN_BENCH_SYSTEM_H

#include <pthread.h>
#include <stdbool.h>

/* Is it a terminal that knows control sequences? fd: of stdout or stderr. */
bool bench_system_terminal(int fd);
/* Columns of stderr's terminal; 0: unknown. */
int bench_system_columns(void);
/* Ctrl-C calls the function once, and after that ends the program. Nothing, where it is ignored. */
void bench_system_catch_interrupt(void (*handler)(int number));
/* A thread that takes no signals. */
bool bench_system_thread(pthread_t *thread, void *(*run)(void *));
/* The machine's Vulkan loader, or NULL, and a function that it exports. */
void *bench_system_vulkan(void);
void *bench_system_symbol(void *library, const char *name);
void bench_system_unload(void *library);
/* Where temporary files go. */
const char *bench_system_temporary(void);

#endif
