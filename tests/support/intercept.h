/* A Vulkan loader for tests: the system's loader, with the validation layer switched on, faults injected on request,
 * and creations counted. State is per process; Criterion runs every test in its own.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_INTERCEPT_H
#define VKATTN_TEST_INTERCEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vulkan/vulkan_core.h>

/* For vka_import_desc, and the same for vka_device_desc, which does not know its type. */
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL intercept_get_instance_proc_addr(VkInstance instance, const char *name);
typedef void (*intercept_function)(void);
intercept_function intercept_loader(void);

/* Is there a loader, and does it know the validation layer? */
bool intercept_has_loader(void);
bool intercept_has_validation(void);

/* Validation errors and warnings so far (each is printed when it happens). */
uint32_t intercept_violations(void);
void intercept_forgive(void);

/* Makes one call fail: the nth (1 = next) of the function `name`, or of every function that may return `result` when
 * name is NULL. That function goes on failing (a retry must not hide it), and a lost device stays lost for all
 * functions, until intercept_fail is called again. nth = 0: none. */
void intercept_fail(const char *name, uint32_t nth, VkResult result);
/* Has it happened? The function that failed, or NULL. */
const char *intercept_failed(void);

/* Called with the code of each shader module and a copy of it, which the driver gets: a compiler that is wrong. NULL:
 * code is left alone. */
typedef void (*intercept_alteration)(const uint32_t *code, uint32_t *copy, size_t words);
void intercept_alter(intercept_alteration alter);

/* Calls that reached the driver or failed by injection. NULL: all functions that create or allocate. */
uint64_t intercept_count(const char *name);
/* Handles created and not destroyed. */
int64_t intercept_live(void);

#endif
