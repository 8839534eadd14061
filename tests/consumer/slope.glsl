// SPDX-License-Identifier: MIT
#define VKA_SCORE 1
float vka_score(float score, vka_position at) {
    return score - vka_constants().x * float(abs(at.position - at.key));
}
