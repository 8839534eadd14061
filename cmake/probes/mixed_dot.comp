#version 450
// Does the validator know dot products of pairs of f16 that are summed in f32?
#extension GL_EXT_spirv_intrinsics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
layout(local_size_x = 1) in;
layout(set = 0, binding = 0) buffer Words {
    uint words[];
};

spirv_instruction(extensions = ["SPV_VALVE_mixed_float_dot_product"], capabilities = [6912], id = 6916)
float mixed_dot(f16vec2 a, f16vec2 b, float sum);

void main() {
    words[0] = floatBitsToUint(mixed_dot(unpackFloat2x16(words[0]), unpackFloat2x16(words[1]), 1.0));
}
