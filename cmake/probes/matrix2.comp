#version 450
// Does the compiler know cooperative matrices of the second kind?
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
layout(local_size_x = 32) in;
layout(set = 0, binding = 0) buffer Halves {
    float16_t halves[];
};

float larger(const in float a, const in float b) {
    return max(a, b);
}

float store(const in uint row, const in uint column, const in float x) {
    halves[row * 16u + column] = float16_t(x);
    return x;
}

void main() {
    coopmat<float, gl_ScopeWorkgroup, 16, 16, gl_MatrixUseAccumulator> a;
    tensorLayoutNV<2> t = createTensorLayoutNV(2);
    t = setTensorLayoutDimensionNV(t, 16u, 16u);
    coopmat<float16_t, gl_ScopeWorkgroup, 16, 16, gl_MatrixUseA> b;
    coopMatLoadTensorNV(b, halves, 0u, sliceTensorLayoutNV(t, 0u, 16u, 0u, 16u));
    coopMatReduceNV(a, a, gl_CooperativeMatrixReduceRowNV, larger);
    coopMatPerElementNV(a, a, store);
}
