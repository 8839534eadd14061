/* SPDX-License-Identifier: MIT */
#include "write.h"

#include "common/program.h"

uint32_t refill_count(uint32_t context) {
    return context / 2 + 1;
}

static void fill(decoder *writer, uint32_t count, const written_text *text) {
    decoder_fill(writer, text->tokens + text->count - count, count);
}

/* Reads and writes nothing between steps: what one draws the next one finds on the device. */
static writing write_plain(decoder *writer, uint32_t context, written_text *text) {
    const uint32_t prompt = text->count;
    writing w = {.tokens = text->room - prompt};
    double start = seconds();
    for (; w.steps < w.tokens; w.steps++) {
        if (decoder_length(writer) == context) {
            decoder_read(writer, text->count - prompt, prompt + w.steps - text->count, text->tokens + text->count);
            text->count = prompt + w.steps;
            fill(writer, refill_count(context), text);
        }
        decoder_step(writer);
        if (w.steps == 0) {
            decoder_read(writer, 0, 1, text->tokens + text->count++);
            start = seconds();
        }
    }
    if (w.tokens) {
        decoder_read(writer, text->count - prompt, text->room - text->count, text->tokens + text->count);
        text->count = text->room;
        w.timed = w.tokens - 1;
    }
    w.seconds = seconds() - start;
    return w;
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static writing write_trees(decoder *writer, uint32_t context, draft *d, uint32_t nodes, written_text *text) {
    const uint32_t prompt = text->count;
    token_tree tree;
    writing w = {.tokens = text->room - prompt};
    double start = seconds();
    draft_separate(d);
    for (uint32_t i = 0; i < prompt; i++) {
        draft_add(d, text->tokens[i]);
    }
    for (; text->count < text->room; w.steps++) {
        if (decoder_length(writer) == context) {
            fill(writer, refill_count(context), text);
        }
        draft_tree(d, nodes, least(context - 1 - decoder_length(writer), text->room - text->count - 1), &tree);
        const uint32_t more = decoder_verify(writer, &tree, text->count - prompt, text->tokens + text->count);
        for (uint32_t i = 0; i < more; i++) {
            draft_add(d, text->tokens[text->count++]);
        }
        if (w.steps == 0) {
            start = seconds();
            w.timed = text->room - text->count;
        }
    }
    w.seconds = seconds() - start;
    return w;
}

writing write_text(decoder *writer, uint32_t context, draft *d, uint32_t nodes, written_text *text) {
    fill(writer, text->count <= context ? text->count : refill_count(context), text);
    return d ? write_trees(writer, context, d, nodes, text) : write_plain(writer, context, text);
}
