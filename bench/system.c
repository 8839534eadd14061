/* What C leaves to systems.
 * SPDX-License-Identifier: MIT */
#include "system.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* A variable of the environment; `otherwise`, if it is not set or empty. */
static const char *variable(const char *name, const char *otherwise) {
    const char *text = getenv(name);
    return text && *text ? text : otherwise;
}

#ifdef _WIN32
#    ifndef WIN32_LEAN_AND_MEAN
#        define WIN32_LEAN_AND_MEAN
#    endif
#    include <windows.h>

#    include <io.h>
#    include <stdint.h>

#    ifndef ENABLE_VIRTUAL_TERMINAL_PROCESSING /* Windows 10 */
#        define ENABLE_VIRTUAL_TERMINAL_PROCESSING 4
#    endif

bool bench_system_terminal(int fd) {
    HANDLE console = (HANDLE)_get_osfhandle(fd);
    DWORD mode;
    return GetConsoleMode(console, &mode) && SetConsoleMode(console, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
}

int bench_system_columns(void) {
    CONSOLE_SCREEN_BUFFER_INFO info;
    bool known = GetConsoleScreenBufferInfo(GetStdHandle(STD_ERROR_HANDLE), &info);
    return known ? info.srWindow.Right - info.srWindow.Left + 1 : 0;
}

void bench_system_catch_interrupt(void (*handler)(int number)) {
    if (signal(SIGINT, handler) == SIG_IGN) {
        signal(SIGINT, SIG_IGN);
    }
}

bool bench_system_thread(pthread_t *thread, void *(*run)(void *)) {
    return pthread_create(thread, NULL, run, NULL) == 0;
}

void *bench_system_vulkan(void) {
    return (void *)LoadLibraryA("vulkan-1.dll");
}

void *bench_system_symbol(void *library, const char *name) {
    return (void *)(uintptr_t)GetProcAddress((HMODULE)library, name);
}

void bench_system_unload(void *library) {
    FreeLibrary((HMODULE)library);
}

const char *bench_system_temporary(void) {
    return variable("TEMP", ".");
}
#else
#    include <dlfcn.h>
#    include <sys/ioctl.h>
#    include <unistd.h>

bool bench_system_terminal(int fd) {
    return isatty(fd) && strcmp(variable("TERM", ""), "dumb") != 0;
}

int bench_system_columns(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void bench_system_catch_interrupt(void (*handler)(int number)) {
    struct sigaction before, action = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    /* Who runs in the background of a shell script was told to ignore it. */
    if (sigaction(SIGINT, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        sigaction(SIGINT, &action, NULL);
    }
}

bool bench_system_thread(pthread_t *thread, void *(*run)(void *)) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_create(thread, NULL, run, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

void *bench_system_vulkan(void) {
    static const char *const names[] = {"libvulkan.so.1", "libvulkan.so", "libvulkan.1.dylib", "libMoltenVK.dylib"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !library; i++) {
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    return library;
}

void *bench_system_symbol(void *library, const char *name) {
    return dlsym(library, name);
}

void bench_system_unload(void *library) {
    dlclose(library);
}

const char *bench_system_temporary(void) {
    return variable("TMPDIR", "/tmp");
}
#endif
