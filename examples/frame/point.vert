// A triangle for each point, which shows where it flies, between its last two states. SPDX-License-Identifier: MIT
#version 450
#extension GL_GOOGLE_include_directive : require
#include "push.glsl"

layout(location = 0) out vec4 colour;

void main() {
    vec4 s = mix(states[(1u - current) * count + gl_InstanceIndex], states[current * count + gl_InstanceIndex], shown);
    vec2 ahead = normalize(s.zw + 1e-6), corners[3] = vec2[3](vec2(0.026, 0.0), vec2(-0.010, 0.009), vec2(-0.010, -0.009));
    vec2 c = corners[gl_VertexIndex], p = s.xy + c.x * ahead + c.y * vec2(-ahead.y, ahead.x);
    float angle = atan(ahead.y, ahead.x);
    colour = vec4(0.55 + 0.4 * cos(angle - vec3(0.0, 2.1, 4.2)), 1.0);
    gl_Position = vec4(p.x / aspect, p.y, 0.0, 1.0);
}
