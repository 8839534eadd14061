// GLSLC_BFLOAT16: can the compiler do GL_EXT_bfloat16?
#version 450
#extension GL_EXT_bfloat16 : require
layout(local_size_x = 1) in;
layout(std430, binding = 0) buffer Data {
    bfloat16_t x[];
};
void main() {
    x[0] = bfloat16_t(float(x[1]) + 1.0);
}
