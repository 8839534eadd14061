/* An app that links the library of layers. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <vkattn/nn.h>
#include <vkattn/safetensors.h>

int main(void) {
    vka_safetensors *file;
    vka_nn_sequence *sequence;
    vka_status missing = vka_safetensors_open("/no/such/file", NULL, &file);
    vka_status none = vka_nn_sequence_create(NULL, NULL, &sequence);
    printf("%s\n", vka_last_error());
    return missing == VKA_INVALID && none == VKA_INVALID && strstr(vka_last_error(), "device") ? 0 : 1;
}
