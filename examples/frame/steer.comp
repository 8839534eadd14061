// One step of the flock. Each point has seen, by attention, the mean position and velocity of those near it (head 0) and of
// those around it (head 1): it keeps away from the first, follows the others, and flees from the hunter.
//
// Then the queries and keys of the next step: q . k = (p . p' - |p'|^2 / 2) / radius^2 is -|p - p'|^2 / (2 radius^2) up to
// what is the same for all keys, so that softmax makes weights of a Gaussian around the point.
// SPDX-License-Identifier: MIT
#version 450
#extension GL_GOOGLE_include_directive : require
#include "push.glsl"

layout(local_size_x = 64) in;

layout(std430, set = 0, binding = 1) writeonly buffer Queries {
    vec4 queries[]; // [2, count]
};
layout(std430, set = 0, binding = 2) writeonly buffer Keys {
    vec4 keys[];
};
layout(std430, set = 0, binding = 3) writeonly buffer Values {
    vec4 values[];
};
layout(std430, set = 0, binding = 4) readonly buffer Seen {
    vec4 seen[]; // [2, count]
};

const float radius[2] = float[2](0.02, 0.14);
const float slowest = 0.012, fastest = 0.024; // of a step

vec4 moved(uint i, vec4 s) {
    vec4 near = seen[i], around = seen[count + i];
    vec2 away = s.xy - hunter, force = 0.1 * (around.zw - s.zw) + 0.015 * (around.xy - s.xy) + 0.25 * (s.xy - near.xy);
    force += away * 0.02 * exp(-dot(away, away) / 0.05);
    vec2 wall = vec2(aspect, 1.0) - 0.15;
    force -= 0.02 * (max(s.xy - wall, 0.0) + min(s.xy + wall, 0.0));
    vec2 velocity = s.zw + force;
    float speed = max(length(velocity), 1e-6);
    velocity *= clamp(speed, slowest, fastest) / speed;
    return vec4(s.xy + velocity, velocity);
}

void main() {
    uint i = gl_GlobalInvocationID.x;
    if (i >= count)
        return;
    vec4 s = states[current * count + i];
    if (begins == 0u) {
        s = moved(i, s);
        states[(1u - current) * count + i] = s;
    }
    for (uint head = 0u; head < 2u; head++)
        queries[head * count + i] = vec4(s.xy, 1.0, 0.0) / (radius[head] * radius[head]);
    keys[i] = vec4(s.xy, -0.5 * dot(s.xy, s.xy), 0.0);
    values[i] = s;
}
