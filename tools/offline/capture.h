/* A Vulkan loader that looks over the library's shoulder: the system's, with pipeline statistics switched on and read
 * for every pipeline that is created. So what is measured is what the library compiles, and how it compiles it.
 *
 * State is per process, for one device and one thread.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_OFFLINE_CAPTURE_H
#define VKATTN_OFFLINE_CAPTURE_H

#include "statistics.h"

#define CAPTURE_MAX 8

typedef struct capture_pipeline {
    char kernel[64]; /* as in src/kernels.def */
    double milliseconds;
    statistics statistics;
} capture_pipeline;

typedef struct capture {
    uint32_t count;
    capture_pipeline pipelines[CAPTURE_MAX];
} capture;

/* For vka_device_desc.get_instance_proc_addr. NULL: there is no loader. */
typedef void (*capture_function)(void);
capture_function capture_loader(void);

/* The code of every pipeline that is created goes to a file of that name, a dot and the kernel's name. NULL: nowhere.
 */
void capture_code_to(const char *name);

/* The pipelines created so far, in order. */
const capture *capture_get(void);

#endif
