/* Host memory that counts and fails on request.
 * SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdlib.h>

#include "context.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t calls;
static int64_t live;
static uint32_t fail_nth;
static bool failed;

static void *counted_realloc(void *user, void *old, size_t size) {
    (void)user;
    pthread_mutex_lock(&mutex);
    calls++;
    bool fail = fail_nth && --fail_nth == 0;
    failed = failed || fail;
    void *memory = fail ? NULL : realloc(old, size);
    live += memory && !old;
    pthread_mutex_unlock(&mutex);
    return memory;
}

static void counted_free(void *user, void *memory) {
    (void)user;
    pthread_mutex_lock(&mutex);
    live -= memory != NULL;
    pthread_mutex_unlock(&mutex);
    free(memory);
}

vka_allocator allocator_counted(void) {
    return (vka_allocator){.reallocate = counted_realloc, .release = counted_free};
}

void allocator_fail(uint32_t nth) {
    pthread_mutex_lock(&mutex);
    fail_nth = nth;
    failed = false;
    pthread_mutex_unlock(&mutex);
}

bool allocator_failed(void) {
    return failed;
}

uint64_t allocator_calls(void) {
    return calls;
}

int64_t allocator_live(void) {
    return live;
}
