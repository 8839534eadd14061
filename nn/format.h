/* Formats that the compiler checks.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_NN_FORMAT_H
#define VKATTN_NN_FORMAT_H

/* A function whose argument `text` is a format of printf. */
#if !defined(__GNUC__)
#    define NN_PRINTF(text, first)
#elif defined(__MINGW32__) /* whose own printf is older than C99, and not what is called: cmake/Flags.cmake */
#    define NN_PRINTF(text, first) __attribute__((format(gnu_printf, text, first)))
#else
#    define NN_PRINTF(text, first) __attribute__((format(printf, text, first)))
#endif

#endif
