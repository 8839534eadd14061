/* Routing between capsules by its definition, of logits that are stored.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

static const float *vote_of(const ref_capsule_routing *r, size_t input, size_t output) {
    return r->votes + (input * r->outputs + output) * r->dim;
}

static void couple(const ref_capsule_routing *r, const double *logits, double *coupling) {
    for (size_t i = 0; i < r->inputs; i++) {
        const double *b = logits + i * r->outputs;
        double *c = coupling + i * r->outputs, most = b[0], sum = 0;
        for (size_t j = 0; j < r->outputs; j++) {
            most = fmax(most, b[j]);
        }
        for (size_t j = 0; j < r->outputs; j++) {
            c[j] = exp(b[j] - most);
            sum += c[j];
        }
        for (size_t j = 0; j < r->outputs; j++) {
            c[j] /= sum;
        }
    }
}

static void squash(size_t dim, double *s) {
    double square = 0;
    for (size_t d = 0; d < dim; d++) {
        square += s[d] * s[d];
    }
    for (size_t d = 0; d < dim && square != 0; d++) {
        s[d] *= square / (1 + square) / sqrt(square);
    }
}

void ref_capsule_routing_entry(const ref_capsule_routing *r, double *out, double *coupling, double *logits) {
    for (size_t n = 0; n < (size_t)r->inputs * r->outputs; n++) {
        logits[n] = 0;
    }
    for (uint32_t t = 0; t < r->iterations; t++) {
        couple(r, logits, coupling);
        for (size_t j = 0; j < r->outputs; j++) {
            double *s = out + j * r->dim;
            for (size_t d = 0; d < r->dim; d++) {
                s[d] = r->bias ? (double)r->bias[j * r->dim + d] : 0;
                for (size_t i = 0; i < r->inputs; i++) {
                    s[d] += coupling[i * r->outputs + j] * (double)vote_of(r, i, j)[d];
                }
            }
            squash(r->dim, s);
            for (size_t i = 0; i < r->inputs; i++) {
                for (size_t d = 0; d < r->dim; d++) {
                    logits[i * r->outputs + j] += (double)vote_of(r, i, j)[d] * s[d];
                }
            }
        }
    }
}

static void naive_couple(const ref_capsule_routing *r, const float *logits, float *coupling) {
    for (size_t i = 0; i < r->inputs; i++) {
        const float *b = logits + i * r->outputs;
        float *c = coupling + i * r->outputs, most = b[0], sum = 0;
        for (size_t j = 0; j < r->outputs; j++) {
            most = fmaxf(most, b[j]);
        }
        for (size_t j = 0; j < r->outputs; j++) {
            c[j] = expf(b[j] - most);
            sum += c[j];
        }
        for (size_t j = 0; j < r->outputs; j++) {
            c[j] /= sum;
        }
    }
}

static void naive_squash(size_t dim, float *s) {
    float square = 0;
    for (size_t d = 0; d < dim; d++) {
        square += s[d] * s[d];
    }
    for (size_t d = 0; d < dim && square != 0; d++) {
        s[d] *= square / (1 + square) / sqrtf(square);
    }
}

void ref_capsule_routing_naive_entry(const ref_capsule_routing *r, float *out, float *coupling, float *logits) {
    for (size_t n = 0; n < (size_t)r->inputs * r->outputs; n++) {
        logits[n] = 0;
    }
    for (uint32_t t = 0; t < r->iterations; t++) {
        naive_couple(r, logits, coupling);
        for (size_t j = 0; j < r->outputs; j++) {
            float *s = out + j * r->dim;
            for (size_t d = 0; d < r->dim; d++) {
                s[d] = r->bias ? r->bias[j * r->dim + d] : 0;
                for (size_t i = 0; i < r->inputs; i++) {
                    s[d] += coupling[i * r->outputs + j] * vote_of(r, i, j)[d];
                }
            }
            naive_squash(r->dim, s);
            for (size_t i = 0; i < r->inputs; i++) {
                float sum = 0;
                for (size_t d = 0; d < r->dim; d++) {
                    sum += vote_of(r, i, j)[d] * s[d];
                }
                logits[i * r->outputs + j] += sum;
            }
        }
    }
}
