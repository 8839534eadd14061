// Everything that a function can look at, and both ways to hide a key. See score_case.c.
// SPDX-License-Identifier: MIT
#define VKA_SCORE 1
#define VKA_VISIBLE 1

float vka_score(float score, vka_position at) {
    if (at.query % 4 == 1 && at.key % 3 == 0)
        return uintBitsToFloat(0xff800000u);
    float near = vka_tensor0(at.head, at.key - at.position + 3);
    float far = vka_tensor1(at.batch, at.key_head, 0, at.key % 5);
    float place = vka_constants().y * float(at.keys - at.key) + vka_constants().z * float(at.queries - at.query);
    return vka_constants().x * score + near * far + place;
}

bool vka_visible(vka_position at) {
    return vka_tensor2(at.key % 11) != 0.0 && (at.query + at.key + at.head) % 7 != vka_tensor3_int(at.query % 6);
}
