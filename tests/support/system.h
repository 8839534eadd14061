/* What C leaves to systems, for tests that run on Windows, too.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_SYSTEM_H
#define VKATTN_TEST_SYSTEM_H

#include <stdint.h>
#include <stdlib.h>

#ifdef _WIN32
#    include <windows.h>
#else
#    include <dlfcn.h>
#endif

/* Opens as a file, and is none. */
#ifdef _WIN32
#    define SYSTEM_NULL "NUL"
#else
#    define SYSTEM_NULL "/dev/null"
#endif

/* The machine's Vulkan loader, and a function that it exports; NULL: there is none. */
static inline void *system_vulkan(void) {
#ifdef _WIN32
    return (void *)LoadLibraryA("vulkan-1.dll");
#else
    return dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
#endif
}

static inline void *system_symbol(void *library, const char *name) {
#ifdef _WIN32
    return (void *)(uintptr_t)GetProcAddress((HMODULE)library, name);
#else
    return dlsym(library, name);
#endif
}

static inline void system_set_variable(const char *name, const char *value) {
#ifdef _WIN32
    _putenv_s(name, value);
#else
    setenv(name, value, 1);
#endif
}

#endif
