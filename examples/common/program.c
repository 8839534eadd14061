/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void check(vka_status status) {
    if (status != VKA_OK) {
        fail("%s", vka_status_string(status));
    }
}

void log_line(void *user, vka_log_level level, const char *item, const char *message) {
    (void)user, (void)level;
    fprintf(stderr, "%s: %s: %s\n", program_name, item, message);
}

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (memory == NULL) {
        fail("out of memory");
    }
    return memory;
}

double seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

vka_buffer *create_buffer(vka_device *device, uint64_t bytes, vka_memory memory) {
    vka_buffer *buffer;
    void *zeros = allocate((size_t)bytes, 1);
    check(vka_buffer_create(device, &(vka_buffer_desc){.size = bytes, .memory = memory}, &buffer));
    check(vka_buffer_write(buffer, 0, zeros, bytes));
    free(zeros);
    return buffer;
}
