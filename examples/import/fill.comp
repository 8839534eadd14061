// The app's own work before attention: fills q, k and v with numbers in -1 .. 1 that depend on the frame.
// SPDX-License-Identifier: MIT
#version 450

layout(local_size_x = 64) in;

layout(std430, set = 0, binding = 0) writeonly buffer Tensors {
    float tensors[];
};
layout(push_constant) uniform Push {
    uint first; // elements
    uint count;
    uint frame;
};

// PCG as a hash (Jarzynski and Olano 2020). import.c has the same.
uint hash(uint x) {
    uint state = x * 747796405u + 2891336453u;
    uint word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737u;
    return (word >> 22) ^ word;
}

void main() {
    uint i = gl_GlobalInvocationID.x;
    if (i < count) {
        tensors[first + i] = float(hash(i + count * frame) >> 8) / 8388608.0 - 1.0;
    }
}
