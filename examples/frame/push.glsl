// What the shaders share. SPDX-License-Identifier: MIT

layout(push_constant) uniform Push {
    uint count;    // points
    uint current;  // which half of the states is the newest
    float shown;   // how far from the older half to the newest one
    float aspect;  // width / height of the screen
    vec2 hunter;
    vec2 pixels;   // of the screen
    uint begins;   // 1: nothing has looked around yet
};

// Position and velocity; positions are -aspect .. aspect and -1 .. 1.
layout(std430, set = 0, binding = 0) buffer States {
    vec4 states[];
};
