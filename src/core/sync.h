/* Mutex, condition variable, variables of a thread and a clock over what the platform has: C11 threads are missing on
 * macOS and MinGW. SPDX-License-Identifier: MIT */
#ifndef VKA_SYNC_H
#define VKA_SYNC_H

/* Clang and GCC have C11's keyword on every platform, whatever __STDC_NO_THREADS__ says of the functions. */
#if defined(_MSC_VER) && !defined(__clang__)
#    define VKA_THREAD_LOCAL __declspec(thread)
#else
#    define VKA_THREAD_LOCAL _Thread_local
#endif

#ifdef _WIN32
#    ifndef WIN32_LEAN_AND_MEAN
#        define WIN32_LEAN_AND_MEAN
#    endif
#    include <windows.h>
typedef SRWLOCK vka__mutex;
typedef CONDITION_VARIABLE vka__cond;
#    define VKA_MUTEX_INIT SRWLOCK_INIT
static inline void vka__mutex_init(vka__mutex *m) {
    InitializeSRWLock(m);
}
static inline void vka__mutex_destroy(vka__mutex *m) {
    (void)m;
}
static inline void vka__lock(vka__mutex *m) {
    AcquireSRWLockExclusive(m);
}
static inline void vka__unlock(vka__mutex *m) {
    ReleaseSRWLockExclusive(m);
}
static inline void vka__cond_init(vka__cond *c) {
    InitializeConditionVariable(c);
}
static inline void vka__cond_destroy(vka__cond *c) {
    (void)c;
}
static inline void vka__cond_wait(vka__cond *c, vka__mutex *m) {
    SleepConditionVariableSRW(c, m, INFINITE, 0);
}
static inline void vka__cond_broadcast(vka__cond *c) {
    WakeAllConditionVariable(c);
}
/* Seconds since some moment. */
static inline double vka__now(void) {
    LARGE_INTEGER ticks, of_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&of_second);
    return (double)ticks.QuadPart / (double)of_second.QuadPart;
}
#else
#    include <pthread.h>
#    include <time.h>
typedef pthread_mutex_t vka__mutex;
typedef pthread_cond_t vka__cond;
#    define VKA_MUTEX_INIT PTHREAD_MUTEX_INITIALIZER
static inline void vka__mutex_init(vka__mutex *m) {
    pthread_mutex_init(m, NULL);
}
static inline void vka__mutex_destroy(vka__mutex *m) {
    pthread_mutex_destroy(m);
}
static inline void vka__lock(vka__mutex *m) {
    pthread_mutex_lock(m);
}
static inline void vka__unlock(vka__mutex *m) {
    pthread_mutex_unlock(m);
}
static inline void vka__cond_init(vka__cond *c) {
    pthread_cond_init(c, NULL);
}
static inline void vka__cond_destroy(vka__cond *c) {
    pthread_cond_destroy(c);
}
static inline void vka__cond_wait(vka__cond *c, vka__mutex *m) {
    pthread_cond_wait(c, m);
}
static inline void vka__cond_broadcast(vka__cond *c) {
    pthread_cond_broadcast(c);
}
static inline double vka__now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
#endif

#endif
