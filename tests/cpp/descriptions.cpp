// Descriptions of vkattn/vkattn.hpp: each is its C struct, and each field has a setter. Compiled as C++17 and as C++20,
// with exceptions and without; that it compiles is the test. SPDX-License-Identifier: MIT
#include <vkattn/nn.hpp>
#include <vkattn/vulkan.hpp>

#include <type_traits>
#include <utility>

// ---- has every field a setter? A struct takes as many initializers as it has fields, an array as many as elements.
// --------

struct anything {
    template <class T> operator T() const;
};
template <std::size_t> using one = anything;

template <class T, class Numbers, class = void> struct takes : std::false_type {};
template <class T, std::size_t... N>
struct takes<T, std::index_sequence<N...>, std::void_t<decltype(T{one<N>()...})>> : std::true_type {};
template <class T, std::size_t N> constexpr bool takes_v = takes<T, std::make_index_sequence<N>>::value;

template <class T> constexpr std::size_t initializers() {
    return std::is_array_v<T> ? std::extent_v<T> : 1;
}

// One function a name: how many initializers that field of T takes; 0 where T has none of this name.
#define COUNT(name)                                                                                                    \
    template <class T> constexpr auto count_##name(int)->decltype(&T::name, std::size_t()) {                           \
        return initializers<decltype(T::name)>();                                                                      \
    }                                                                                                                  \
    template <class T> constexpr std::size_t count_##name(long) {                                                      \
        return 0;                                                                                                      \
    }
VKATTN_FIELDS(COUNT)

#define ADD(name) +count_##name<T>(0)
template <class T> constexpr std::size_t listed = 0 VKATTN_FIELDS(ADD);

template <class T> constexpr bool described() {
    using description = vkattn::describe<T>;
    static_assert(takes_v<T, listed<T>> && !takes_v<T, listed<T> + 1>, "a field is missing in VKATTN_FIELDS");
    static_assert(sizeof(description) == sizeof(T) && alignof(description) == alignof(T));
    static_assert(std::is_standard_layout_v<description> && std::is_trivially_copyable_v<description>);
    static_assert(std::is_convertible_v<const description &, const T &>);
    return true;
}

// ---- every operation
// ---------------------------------------------------------------------------------------------------------

#define OPERATION(NAME, number, name)                                                                                  \
    static_assert(described<vka_##name##_desc>());                                                                     \
    static_assert(std::is_same_v<vkattn::name, vkattn::describe<vka_##name##_desc>>);                                  \
    static_assert(vkattn::operation_of<vkattn::name>::value == VKA_OPERATION_##NAME);                                  \
    static_assert(vkattn::operation_of<vka_##name##_desc>::value == number);                                           \
    static_assert(std::is_same_v<decltype(vkattn::record(nullptr, vkattn::name())), vkattn::status>);                  \
    static_assert(std::is_same_v<decltype(vkattn::record(nullptr, vka_##name##_desc())), vkattn::status>);
VKA_OPERATIONS(OPERATION)

static_assert(described<vka_device_desc>() && described<vka_recorder_desc>() && described<vka_buffer_desc>());
static_assert(described<vka_pattern_desc>() && described<vka_pattern_term>() && described<vka_rope_options>());
static_assert(described<vka_import_desc>() && described<vka_submit_desc>() && described<vka_rope_scaling>());
static_assert(described<vka_log>() && described<vka_allocator>() && described<vka_self_test_desc>());
static_assert(described<vka_nn_attention_desc>() && described<vka_nn_feed_forward_desc>());
static_assert(described<vka_nn_layer_desc>() && described<vka_nn_sequence_desc>());
static_assert(described<vka_nn_attention_backward_desc>() && described<vka_nn_feed_forward_backward_desc>());
static_assert(described<vka_nn_normalise_backward_desc>() && described<vka_nn_layer_backward_desc>());
static_assert(described<vka_nn_linear>() && described<vka_nn_norm>());

// ---- owners
// --------------------------------------------------------------------------------------------------------------------

template <class Owner> constexpr bool owns() {
    static_assert(std::is_nothrow_move_constructible_v<Owner> && std::is_nothrow_move_assignable_v<Owner>);
    static_assert(!std::is_copy_constructible_v<Owner> && !std::is_copy_assignable_v<Owner>);
    static_assert(std::is_nothrow_default_constructible_v<Owner> && sizeof(Owner) == sizeof(void *));
    return true;
}
static_assert(owns<vkattn::device>() && owns<vkattn::buffer>() && owns<vkattn::recorder>() && owns<vkattn::plan>());
static_assert(owns<vkattn::pattern>() && owns<vkattn::nn::sequence>() && owns<vkattn::safetensors>());
// A pointer from an owner that is about to be destroyed would dangle.
static_assert(std::is_convertible_v<vkattn::buffer &, vka_buffer *>);
static_assert(!std::is_convertible_v<vkattn::buffer, vka_buffer *>);

// ---- values
// --------------------------------------------------------------------------------------------------------------------

constexpr bool sets_what_it_says() {
    const auto a = vkattn::attention().causal().window(255, -3).scale(0.5f).kv_lengths(
        vkattn::integers(vkattn::tensor(nullptr, VKA_I32, {7}, 16)));
    const vka_attention_desc &c = a.fields();
    const auto term = vkattn::pattern_term().kind(VKA_PATTERN_WINDOW).window(20, 21);
    const auto sort = vkattn::lsh_sort().bucket_count({64, 32});
    const auto rope = vkattn::rope().options(vkattn::rope_options().theta(1e4f)).shift(false);
    return c.causal && c.window.enabled && c.window.left == 255 && c.window.right == -3 && c.scale == 0.5f &&
           c.kv_lengths.tensor.dtype == VKA_I32 && c.kv_lengths.tensor.rank == 1 && c.kv_lengths.tensor.shape[0] == 7 &&
           c.kv_lengths.tensor.offset == 16 && c.q.dtype == VKA_DTYPE_INVALID && c.splits == 0 &&
           term.fields().kind == VKA_PATTERN_WINDOW && term.fields().window.left == 20 &&
           term.fields().window.right == 21 && sort.fields().bucket_count[1] == 32 &&
           rope.fields().options.theta == 1e4f && !rope.fields().shift &&
           !vkattn::attention(c).causal(false).fields().causal;
}
static_assert(sets_what_it_says());

#if __cplusplus >= 202002L
static_assert(vkattn::attention(vka_attention_desc{.scale = 2}).fields().scale == 2);
#endif
