// A score of two documents falls with how many lie between them. See score_case.c.
// SPDX-License-Identifier: MIT
#define VKA_SCORE 1

float vka_score(float score, vka_position at) {
    int between = vka_tensor1_int(at.batch, at.position) - vka_tensor1_int(at.batch, at.key);
    return score - vka_tensor0(at.head) * float(abs(between));
}
