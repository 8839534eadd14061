// The app's own work after attention: scales the output into memory that the host reads.
// SPDX-License-Identifier: MIT
#version 450

layout(local_size_x = 64) in;

layout(std430, set = 0, binding = 0) readonly buffer Tensors {
    float tensors[];
};
layout(std430, set = 0, binding = 1) writeonly buffer Result {
    float result[];
};
layout(push_constant) uniform Push {
    uint first; // elements
    uint count;
    uint frame;
};

void main() {
    uint i = gl_GlobalInvocationID.x;
    if (i < count) {
        result[i] = tensors[first + i] * (1.0 + float(frame));
    }
}
