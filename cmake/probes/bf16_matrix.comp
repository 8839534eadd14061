#version 450
// Does the compiler know cooperative matrices of bf16?
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_bfloat16 : require
layout(local_size_x = 32) in;
layout(set = 0, binding = 0) buffer Words {
    uvec2 words[];
};

void main() {
    coopmat<bfloat16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA> a;
    coopMatLoad(a, words, 0, 4, gl_CooperativeMatrixLayoutRowMajor);
    coopMatStore(a, words, 0, 4, gl_CooperativeMatrixLayoutRowMajor);
}
