// ALiBi as a score function, to see what one costs beside the option. SPDX-License-Identifier: MIT
#define VKA_SCORE 1

float vka_score(float score, vka_position at) {
    return score - vka_tensor0(at.head) * float(abs(at.position - at.key));
}
