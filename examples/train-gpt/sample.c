/* SPDX-License-Identifier: MIT */
#include "sample.h"

#include "common/program.h"
#include "gpt/write.h"

#include <stdlib.h>
#include <string.h>

void sample(model *m, uint64_t seed, float temperature, int32_t first, uint32_t count, int32_t *tokens) {
    decoder *writer = decoder_create(m->device, &(decoder_desc){.sizes = m->desc,
                                                                .find = parameters_find_value,
                                                                .user = &m->parameters,
                                                                .cache = VKA_F32,
                                                                .nodes = 1,
                                                                .count = count,
                                                                .temperature = temperature,
                                                                .seed = seed});
    written_text text = {.tokens = allocate((size_t)count + 1, sizeof *tokens), .count = 1, .room = count + 1};
    text.tokens[0] = first;
    write_text(writer, m->desc.context, NULL, 0, &text);
    memcpy(tokens, text.tokens + 1, count * sizeof *tokens);
    free(text.tokens);
    decoder_destroy(&writer);
}
