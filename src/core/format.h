/* Formats that the compiler checks. For the library, its layers and the bench.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_FORMAT_H
#define VKA_FORMAT_H

/* A function whose argument `text` is a format of printf. */
#if !defined(__GNUC__)
#    define VKA_PRINTF(text, first)
#elif defined(__MINGW32__) /* whose own printf is older than C99, and not what is called: cmake/Flags.cmake */
#    define VKA_PRINTF(text, first) __attribute__((format(gnu_printf, text, first)))
#else
#    define VKA_PRINTF(text, first) __attribute__((format(printf, text, first)))
#endif

#endif
