/* Attentions with everything drawn at random, and what to do when one fails.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_RANDOM_H
#define VKATTN_TEST_RANDOM_H

#include "attention_case.h"

/* Drivers take long to compile: so many neighbours have what decides about pipelines (types, dimensions, options, path)
 * in common, and differ in the rest. */
#define RANDOM_GROUP 25

typedef struct random_case {
    attention_case a;
    vka_attention_path path; /* AUTO is taken instead where the device can't */
    uint32_t splits;
    uint32_t candidate;   /* 0: the tile that is chosen; else which of the listed ones, counted round and round */
    bool compares_hidden; /* runs it again with other hidden numbers, which must change no bit */
    uint64_t seed;        /* of the values */
} random_case;

/* Number `number` of the sequence that belongs to a seed. */
random_case random_draw(uint64_t seed, uint64_t number);

/* Takes back what the documentation forbids, so that every case is a legal one. */
void random_make_legal(random_case *r);

/* Runs it: false if anything is wrong, which `why` then says. */
bool random_try(context *c, const random_case *r, char *why, size_t size);

/* Makes a case that fails smaller, by one option or size at a time, as long as it still fails. `why` becomes what the
 * smallest one says. */
void random_shrink(context *c, random_case *r, char *why, size_t size);

/* Runs the cases first .. first + count - 1 of a seed. The first one that fails is made small and fails the test. */
void random_run(context *c, uint64_t seed, uint64_t first, uint64_t count);

#endif
