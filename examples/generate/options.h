/* The command line of generate. SPDX-License-Identifier: MIT */
#ifndef GENERATE_OPTIONS_H
#define GENERATE_OPTIONS_H

#include <vkattn/vkattn.h>

typedef struct options {
    const char *weights, *prompt, *draft_text, *lens;
    vka_dtype cache;
    uint32_t count, top_k, seed, draft;
    float temperature, top_p;
} options;

/* Says how to use the program, and ends it, where that was asked for or is not understood. */
options options_parse(int argc, char **argv);

#endif
