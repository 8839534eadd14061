// A score function: the more borders of texts lie between query and key, the lower the score.
// SPDX-License-Identifier: MIT
#define VKA_SCORE 1

float vka_score(float score, vka_position at) {
    int borders = vka_tensor1_int(at.position) - vka_tensor1_int(at.key);
    return score - vka_tensor0(at.head) * float(abs(borders));
}
