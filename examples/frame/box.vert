// Rectangles in pixels: text, bars. SPDX-License-Identifier: MIT
#version 450
#extension GL_GOOGLE_include_directive : require
#include "push.glsl"

struct Box {
    vec4 place; // left, top, width, height
    vec4 colour;
};
layout(std430, set = 0, binding = 1) readonly buffer Boxes {
    Box boxes[];
};

layout(location = 0) out vec4 colour;

void main() {
    Box b = boxes[gl_InstanceIndex];
    vec2 corners[6] = vec2[6](vec2(0, 0), vec2(1, 0), vec2(0, 1), vec2(0, 1), vec2(1, 0), vec2(1, 1));
    vec2 p = b.place.xy + corners[gl_VertexIndex] * b.place.zw;
    colour = b.colour;
    gl_Position = vec4(2.0 * p / pixels - 1.0, 0.0, 1.0);
}
