/* vkattn in C++17: owners, descriptions with named arguments, and a status that must be looked at.
 * SPDX-License-Identifier: MIT
 *
 * A layer of inline functions over the C headers, which it includes: whatever it has no word for is called in C, and
 * what a call does, refuses and costs is said there. It allocates nothing, and needs neither exceptions nor RTTI.
 * Layers and files of tensors: vkattn/nn.hpp. Apps with a VkDevice of their own: vkattn/vulkan.hpp.
 *
 *   vkattn::device device;
 *   vkattn::buffer q, k, v, out;
 *   vkattn::recorder recorder;
 *   if (vkattn::status s = device.create(); !s)
 *       return fail(s.message());
 *   ... q.create(device, bytes), q.write(values), ..., recorder.create(device), recorder.begin()
 *   s = recorder.record(vkattn::attention()
 *                           .q(vkattn::tensor(q, VKA_F32, {1, heads, n, d}))
 *                           ...
 *                           .causal()
 *                           .window(255, 0));
 *
 * OWNERS
 *
 *  vkattn::device, buffer, recorder, plan and pattern each own one object of C and destroy it with themselves. They
 *  can be moved and not copied; empty ones are what NULL is in C. They convert to the pointers that functions of C
 *  take: vka_pattern_save(pattern, ..). create() destroys what the owner had, and leaves it empty when it fails. A
 *  device must outlive what was made from it: declare it first.
 *
 * DESCRIPTIONS
 *
 *  vkattn::attention, linear, layer_norm, ..: one for each operation, with a function for each field of its struct in
 *  C (vka_attention_desc), which sets the field and returns the description. Flags may leave out `true`. A description
 *  converts to that struct and holds nothing else; and the struct, as C++20 writes it (vka_attention_desc{.q = q, ..}),
 *  is as good wherever a description is asked for. describe<vka_rope_options>() makes the same of structs that lie in
 *  descriptions. Setters return a reference to the description: of one made in an expression keep a copy (auto).
 *
 * ERRORS
 *
 *  Functions that can fail return a vkattn::status, which compilers warn about when it is dropped. In files that define
 *  VKATTN_CPP_EXCEPTIONS they throw a vkattn::error instead. VKA_TIMEOUT is no error, and returned. vkattn::check(..)
 *  makes the same of what a function of C returns. */
#ifndef VKATTN_VKATTN_HPP
#define VKATTN_VKATTN_HPP

#include <vkattn/additive_attention.h>
#include <vkattn/attention.h>
#include <vkattn/cache.h>
#include <vkattn/capsule.h>
#include <vkattn/conv.h>
#include <vkattn/elementwise.h>
#include <vkattn/embedding.h>
#include <vkattn/hadamard.h>
#include <vkattn/linear.h>
#include <vkattn/linear_attention.h>
#include <vkattn/loss.h>
#include <vkattn/lsh.h>
#include <vkattn/merge.h>
#include <vkattn/norm.h>
#include <vkattn/optim.h>
#include <vkattn/pattern.h>
#include <vkattn/positions.h>
#include <vkattn/relative.h>
#include <vkattn/rope.h>
#include <vkattn/sampling.h>
#include <vkattn/self_test.h>
#include <vkattn/softmax.h>
#include <vkattn/vkattn.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <utility>

/* Files that throw and files that don't may meet in one program: their types are not the same, so that the linker does
 * not take one's functions for the other's. */
#ifdef VKATTN_CPP_EXCEPTIONS
#    include <cstdio>
#    include <exception>
#    define VKATTN_NODISCARD
#    define VKATTN_NOEXCEPT
#    define VKATTN_NAMESPACE_BEGIN                                                                                     \
        namespace vkattn {                                                                                             \
        inline namespace throwing {
#else
#    define VKATTN_NODISCARD [[nodiscard]]
#    define VKATTN_NOEXCEPT  noexcept
#    define VKATTN_NAMESPACE_BEGIN                                                                                     \
        namespace vkattn {                                                                                             \
        inline namespace returning {
#endif
#define VKATTN_NAMESPACE_END                                                                                           \
    }                                                                                                                  \
    }

VKATTN_NAMESPACE_BEGIN

/* ---- status ------------------------------------------------------------------------------------------------ */

/* What a call came to. True when it succeeded: `if (status s = ..; !s)`. */
class VKATTN_NODISCARD status {
  public:
    constexpr status(vka_status code = VKA_OK) noexcept : code_(code) {
    }
    constexpr explicit operator bool() const noexcept {
        return code_ == VKA_OK;
    }
    constexpr vka_status code() const noexcept {
        return code_;
    }
    /* Why it failed: vka_last_error, and so to be asked for before another call of this thread fails. Never NULL. */
    const char *message() const noexcept {
        const bool has_line = code_ != VKA_OK && code_ != VKA_TIMEOUT && *vka_last_error();
        return has_line ? vka_last_error() : vka_status_string(code_);
    }
    friend constexpr bool operator==(status a, status b) noexcept {
        return a.code_ == b.code_;
    }
    friend constexpr bool operator!=(status a, status b) noexcept {
        return a.code_ != b.code_;
    }

  private:
    vka_status code_;
};

#ifdef VKATTN_CPP_EXCEPTIONS
/* A failed call, with the message that it had. */
class error : public std::exception {
  public:
    explicit error(status failed) noexcept : code_(failed.code()) {
        std::snprintf(message_, sizeof message_, "%s", failed.message());
    }
    vka_status code() const noexcept {
        return code_;
    }
    const char *what() const noexcept override {
        return message_;
    }

  private:
    vka_status code_;
    char message_[512];
};
#endif

/* The status of a function of C as functions here give it: returned, or thrown. */
inline status check(vka_status code) VKATTN_NOEXCEPT {
#ifdef VKATTN_CPP_EXCEPTIONS
    if (code != VKA_OK && code != VKA_TIMEOUT)
        throw error(code);
#endif
    return code;
}

/* ---- descriptions ------------------------------------------------------------------------------------------ */

/* Every name that a field of a description has, in whatever struct. describe<> of a struct has setters for those that
 * are its fields; of the others none can be called. */
/* clang-format off */
#define VKATTN_FIELDS(X)                                                                                               \
    X(a) X(a_lse) X(accumulate) X(accumulate_memory) X(activation) X(again) X(ahead) X(alibi_slopes) X(allocator)      \
    X(alpha) X(api_version) X(append) X(arena) X(arena_bytes) X(attention) X(attention_factor) X(b) X(b_lse)           \
    X(backoff) X(beta) X(beta1) X(beta2) X(beta_fast) X(beta_slow) X(bias) X(bidirectional) X(bigbird) X(bits)         \
    X(block) X(blocks) X(bucket_count) X(buckets) X(build) X(cache) X(cache_size) X(causal) X(chunks) X(content_bias)  \
    X(cos) X(cosine_scale) X(coupling) X(cross) X(d_a) X(d_a_lse) X(d_alibi_slopes) X(d_beta) X(d_bias)                \
    X(d_content_bias) X(d_cosine_scale) X(d_decay) X(d_gate) X(d_k) X(d_logits) X(d_loss) X(d_lse) X(d_mask) X(d_out)  \
    X(d_position) X(d_position_bias) X(d_q) X(d_relative_bias) X(d_relative_keys) X(d_score_vector) X(d_sinks)         \
    X(d_spans) X(d_state_in) X(d_state_out) X(d_sum) X(d_table) X(d_total) X(d_up) X(d_v) X(d_weight) X(d_x)           \
    X(debug_labels) X(decay) X(dequantise) X(determinism) X(device) X(diagonal) X(diagonal_offset) X(dims)             \
    X(documents) X(down) X(dropout) X(enabled) X(epsilon) X(factor) X(feed_forward) X(fence) X(finite_steps)           \
    X(first_head) X(first_moment) X(fixed) X(fn) X(forward) X(frequency_scale) X(gate) X(get_instance_proc_addr)       \
    X(global) X(grad_scale) X(gradient) X(gradients) X(grid) X(groups) X(growth) X(has_ignore_index) X(heads)          \
    X(history) X(ids) X(ignore_index) X(index) X(indices) X(instance) X(interleaved) X(intersect) X(interval)          \
    X(inv_rms) X(inv_std) X(inverse) X(iterations) X(k) X(k_cache) X(k_scale) X(keep) X(keep_order) X(kept)            \
    X(key_lists) X(key_tile) X(keys) X(kind) X(kv_heads) X(kv_lengths) X(kv_offsets) X(label_smoothing)                \
    X(learning_rate) X(length) X(lengths) X(level) X(lock_queue) X(log) X(log_probs) X(logits) X(long_factors) X(loss) \
    X(loss_scale) X(lse) X(mask) X(master) X(max_dispatches) X(max_distance) X(max_kv_len) X(max_len) X(max_norm)      \
    X(max_q_len) X(mean) X(memory) X(min_p) X(new_lengths) X(no_software) X(norm) X(norm_cross) X(norm_feed_forward)   \
    X(norm_first) X(norm_self) X(offset) X(offsets) X(operation_count) X(operations) X(options) X(out) X(out_scale)    \
    X(page_table) X(parameter) X(path) X(pattern) X(penalty_window) X(permutation) X(physical_device) X(position)      \
    X(position_bias) X(position_offset) X(positions) X(prefix) X(projection) X(q) X(q_lengths) X(q_offsets) X(qkv)     \
    X(queries) X(query_tile) X(queue) X(queue_family) X(queue_user) X(ramp) X(random_offset) X(random_step)            \
    X(rate_scale) X(reallocate) X(reduction) X(relative_bias) X(relative_keys) X(relative_keys_zero) X(relative_width) \
    X(relative_zero) X(relative_zero_row) X(release) X(renormalise) X(repetition_penalty) X(residual) X(rope)          \
    X(rotate) X(rotations) X(row_positions) X(rule) X(scale) X(score_constants) X(score_function) X(score_stage) X(score_tensors) X(score_vector) X(scores) X(scratch_bytes) \
    X(second_moment) X(seconds) X(seed) X(selection) X(self) X(self_test) X(self_test_size) X(sequences) X(shift)      \
    X(short_factors) X(signal_count) X(signal_semaphores) X(signal_values) X(sin) X(sinks) X(size) X(softcap) X(spans) \
    X(splits) X(state_in) X(state_out) X(stats) X(step) X(sum) X(table) X(table_rows) X(targets) X(temperature)        \
    X(term_count) X(terms) X(theta) X(tile) X(tiles) X(timestamps) X(top_k) X(top_p) X(total) X(trained) X(tuning)     \
    X(tuning_file) X(tuning_size) X(unlock_queue) X(up) X(user) X(uuid) X(v) X(v_cache) X(v_scale) X(value_bytes)      \
    X(values) X(votes) X(wait_count) X(wait_semaphores) X(wait_stages) X(wait_values) X(weight) X(weight_decay)        \
    X(window) X(workspace) X(x) X(x_scale) X(z) X(zero_centred)

namespace detail {
template <class Field> using argument = std::conditional_t<std::is_scalar_v<Field>, Field, const Field &>;

template <class Field> constexpr bool flag() noexcept {
    static_assert(std::is_same_v<Field, bool>, "only flags have a value when none is given");
    return true;
}

template <class Field> constexpr void assign(Field &to, const Field &from) noexcept {
    if constexpr (std::is_array_v<Field>) {
        for (std::size_t i = 0; i < std::extent_v<Field>; i++)
            to[i] = from[i];
    } else {
        to = from;
    }
}

/* vka_window is enabled by being given; a pattern's term by its kind. */
template <class Window> constexpr auto enable(Window &window, int) noexcept -> decltype(void(window.enabled = true)) {
    window.enabled = true;
}
template <class Window> constexpr void enable(Window &, long) noexcept {
}
} /* namespace detail */

/* A struct of the C headers, all zero at first, with a setter for each field: describe<vka_rope_options>().theta(1e4f).
 * Has the layout of the struct and converts to it. */
template <class Desc> class describe : public Desc {
  public:
    constexpr describe() noexcept : Desc() {
    }
    constexpr describe(const Desc &desc) noexcept : Desc(desc) {
    }
    /* The struct, whose fields can be read. */
    constexpr const Desc &fields() const noexcept {
        return *this;
    }

#define VKATTN_SETTER(name)                                                                                            \
    template <class D = Desc>                                                                                          \
    constexpr describe &name(detail::argument<decltype(D::name)> value_ =                                              \
                                 detail::flag<decltype(D::name)>()) noexcept {                                         \
        detail::assign(D::name, value_);                                                                               \
        return *this;                                                                                                  \
    }
    VKATTN_FIELDS(VKATTN_SETTER)
#undef VKATTN_SETTER

    /* The bounds of a window, which enable it. */
    template <class D = Desc, class = decltype(D::window.left)>
    constexpr describe &window(std::int32_t left, std::int32_t right) noexcept {
        D::window.left = left;
        D::window.right = right;
        detail::enable(D::window, 0);
        return *this;
    }
};

/* The operation that a struct describes, and the struct: of both the struct and describe<> of it. Of others it is not
 * defined. */
template <class Desc> struct operation_of;
template <class Desc> struct operation_of<describe<Desc>> : operation_of<Desc> {};

/* vkattn::attention and so on. */
#define VKATTN_OPERATION(NAME, number, name)                                                                           \
    using name = describe<vka_##name##_desc>;                                                                          \
    template <> struct operation_of<vka_##name##_desc> : std::integral_constant<vka_operation, VKA_OPERATION_##NAME> { \
        using desc = vka_##name##_desc;                                                                                \
    };
VKA_OPERATIONS(VKATTN_OPERATION)
#undef VKATTN_OPERATION

using device_desc = describe<vka_device_desc>;
using self_test_desc = describe<vka_self_test_desc>;
using recorder_desc = describe<vka_recorder_desc>;
using pattern_desc = describe<vka_pattern_desc>;
using pattern_term = describe<vka_pattern_term>;
using rope_options = describe<vka_rope_options>;

/* ---- tensors and lists ------------------------------------------------------------------------------------- */

/* A dense tensor, which begins `offset` bytes into its buffer: tensor(buffer, VKA_F16, {1, heads, n, d}). The buffer
 * may be nullptr where only shapes are asked for. */
template <std::size_t Rank>
constexpr vka_tensor tensor(vka_buffer *buffer, vka_dtype dtype, const std::uint32_t (&shape)[Rank],
                            std::uint64_t offset = 0) noexcept {
    static_assert(Rank <= VKA_MAX_RANK, "tensors have at most VKA_MAX_RANK dimensions");
    vka_tensor tensor = vka_tensor();
    tensor.buffer = buffer;
    tensor.offset = offset;
    tensor.dtype = dtype;
    tensor.rank = static_cast<std::uint32_t>(Rank);
    for (std::size_t i = 0; i < Rank; i++)
        tensor.shape[i] = shape[i];
    return tensor;
}

/* A list of the host, or of the device. */
constexpr vka_integers integers(const std::int32_t *values) noexcept {
    vka_integers list = vka_integers();
    list.values = values;
    return list;
}
constexpr vka_integers integers(const vka_tensor &tensor) noexcept {
    vka_integers list = vka_integers();
    list.tensor = tensor;
    return list;
}

/* ---- owners ------------------------------------------------------------------------------------------------ */

namespace detail {
template <class Object> struct destroyer;
template <> struct destroyer<vka_device> {
    static void destroy(vka_device **object) noexcept {
        vka_device_destroy(object);
    }
};
template <> struct destroyer<vka_buffer> {
    static void destroy(vka_buffer **object) noexcept {
        vka_buffer_destroy(object);
    }
};
template <> struct destroyer<vka_recorder> {
    static void destroy(vka_recorder **object) noexcept {
        vka_recorder_destroy(object);
    }
};
template <> struct destroyer<vka_plan> {
    static void destroy(vka_plan **object) noexcept {
        vka_plan_destroy(object);
    }
};
template <> struct destroyer<vka_pattern> {
    static void destroy(vka_pattern **object) noexcept {
        vka_pattern_destroy(object);
    }
};
} /* namespace detail */

/* What all owners have. */
template <class Object> class owner {
  public:
    constexpr owner() noexcept = default;
    /* Takes an object that C code made. */
    constexpr explicit owner(Object *object) noexcept : object_(object) {
    }
    owner(owner &&other) noexcept : object_(other.release()) {
    }
    owner &operator=(owner &&other) noexcept {
        owner(std::move(other)).swap(*this);
        return *this;
    }
    ~owner() {
        reset();
    }

    constexpr operator Object *() const &noexcept {
        return object_;
    }
    operator Object *() const && = delete; /* it would dangle */
    constexpr Object *get() const noexcept {
        return object_;
    }
    /* Gives the object away: the caller destroys it. */
    Object *release() noexcept {
        return std::exchange(object_, nullptr);
    }
    void reset() noexcept {
        detail::destroyer<Object>::destroy(&object_);
    }
    void swap(owner &other) noexcept {
        std::swap(object_, other.object_);
    }
    /* For functions of C that make an object: destroys what is there, and says where to put another. */
    Object **put() noexcept {
        reset();
        return &object_;
    }

  private:
    Object *object_ = nullptr;
};

class device : public owner<vka_device> {
  public:
    using owner::owner;

    status create() VKATTN_NOEXCEPT {
        return create(vka_device_desc());
    }
    status create(const vka_device_desc &desc) VKATTN_NOEXCEPT {
        return check(vka_device_create(&desc, put()));
    }
    const vka_device_caps &caps() const noexcept {
        return *vka_device_get_caps(get());
    }

    /* vka_<op>_prepare, _requirements and _explain of whatever operation is described. */
    template <class Desc> status prepare(const Desc &desc) VKATTN_NOEXCEPT {
        using of = operation_of<Desc>;
        const typename of::desc &fields = desc;
        return check(vka_operation_prepare(get(), of::value, &fields, sizeof fields));
    }
    template <class Desc> status requirements(const Desc &desc, vka_requirements &needed) VKATTN_NOEXCEPT {
        using of = operation_of<Desc>;
        const typename of::desc &fields = desc;
        return check(vka_operation_requirements(get(), of::value, &fields, sizeof fields, &needed, sizeof needed));
    }
    template <class Desc>
    status explain(const Desc &desc, char *text, std::size_t capacity, std::size_t *length = nullptr) VKATTN_NOEXCEPT {
        using of = operation_of<Desc>;
        const typename of::desc &fields = desc;
        return check(vka_operation_explain(get(), of::value, &fields, sizeof fields, text, capacity, length));
    }
};

class buffer : public owner<vka_buffer> {
  public:
    using owner::owner;

    status create(vka_device *device, std::uint64_t size, vka_memory memory = VKA_MEMORY_DEVICE) VKATTN_NOEXCEPT {
        const vka_buffer_desc desc = {size, memory};
        return check(vka_buffer_create(device, &desc, put()));
    }
    std::uint64_t size() const noexcept {
        return vka_buffer_size(get());
    }
    void *map() noexcept {
        return vka_buffer_map(get());
    }

    /* All elements of an array, std::array, std::vector, std::span, .. to or from `offset` bytes on. */
    template <class Values> status write(const Values &values, std::uint64_t offset = 0) VKATTN_NOEXCEPT {
        return write_bytes(std::data(values), bytes_of(values), offset);
    }
    template <class Values> status read(Values &&values, std::uint64_t offset = 0) VKATTN_NOEXCEPT {
        return read_bytes(std::data(values), bytes_of(values), offset);
    }
    status write_bytes(const void *data, std::uint64_t size, std::uint64_t offset = 0) VKATTN_NOEXCEPT {
        return check(vka_buffer_write(get(), offset, data, size));
    }
    status read_bytes(void *data, std::uint64_t size, std::uint64_t offset = 0) VKATTN_NOEXCEPT {
        return check(vka_buffer_read(get(), offset, data, size));
    }

  private:
    template <class Values> static std::uint64_t bytes_of(const Values &values) noexcept {
        using element = std::remove_pointer_t<decltype(std::data(values))>;
        static_assert(std::is_trivially_copyable_v<element>, "elements are copied as bytes");
        return static_cast<std::uint64_t>(std::size(values)) * sizeof(element);
    }
};

class pattern : public owner<vka_pattern> {
  public:
    using owner::owner;

    status create(vka_device *device, const vka_pattern_desc &desc) VKATTN_NOEXCEPT {
        return check(vka_pattern_create(device, &desc, put()));
    }
    status load(vka_device *device, const void *blob, std::size_t size) VKATTN_NOEXCEPT {
        return check(vka_pattern_load(device, blob, size, put()));
    }
    vka_pattern_info info() const noexcept {
        return vka_pattern_get_info(get());
    }
};

/* An operation that is checked and planned once: vka_<op>_plan. */
class plan : public owner<vka_plan> {
  public:
    using owner::owner;

    template <class Desc> status create(vka_device *device, const Desc &desc) VKATTN_NOEXCEPT {
        using of = operation_of<Desc>;
        const typename of::desc &fields = desc;
        return check(vka_operation_plan(device, of::value, &fields, sizeof fields, put()));
    }
    status prepare_slices() VKATTN_NOEXCEPT {
        return check(vka_plan_prepare_slices(get()));
    }
    std::uint64_t work() const noexcept {
        return vka_plan_work(get());
    }
};

/* Records what is described into any recorder, one of C too. */
template <class Desc> status record(vka_recorder *recorder, const Desc &desc) VKATTN_NOEXCEPT {
    using of = operation_of<Desc>;
    const typename of::desc &fields = desc;
    return check(vka_operation_record(recorder, of::value, &fields, sizeof fields));
}
inline status record(vka_recorder *recorder, const plan &planned) VKATTN_NOEXCEPT {
    return check(vka_plan_record(recorder, planned));
}

class recorder : public owner<vka_recorder> {
  public:
    using owner::owner;

    status create(vka_device *device) VKATTN_NOEXCEPT {
        return create(device, vka_recorder_desc());
    }
    status create(vka_device *device, const vka_recorder_desc &desc) VKATTN_NOEXCEPT {
        return check(vka_recorder_create(device, &desc, put()));
    }
    status begin() VKATTN_NOEXCEPT {
        return check(vka_recorder_begin(get()));
    }
    status submit() VKATTN_NOEXCEPT {
        return check(vka_recorder_submit(get()));
    }
    status wait() VKATTN_NOEXCEPT {
        return check(vka_recorder_wait(get(), VKA_FOREVER));
    }
    /* VKA_TIMEOUT is returned, and not thrown. */
    [[nodiscard]] status wait(std::uint64_t nanoseconds) VKATTN_NOEXCEPT {
        return check(vka_recorder_wait(get(), nanoseconds));
    }
    status warm_up() VKATTN_NOEXCEPT {
        return check(vka_recorder_warm_up(get()));
    }
    status timestamp(std::uint32_t index) VKATTN_NOEXCEPT {
        return check(vka_recorder_timestamp(get(), index));
    }
    status read_timestamps(std::uint64_t *nanoseconds, std::uint32_t count) VKATTN_NOEXCEPT {
        return check(vka_recorder_read_timestamps(get(), nanoseconds, count));
    }
    status copy(vka_buffer *dst, std::uint64_t dst_offset, vka_buffer *src, std::uint64_t src_offset,
                std::uint64_t size) VKATTN_NOEXCEPT {
        return check(vka_copy(get(), dst, dst_offset, src, src_offset, size));
    }
    status fill(vka_buffer *dst, std::uint64_t offset, std::uint64_t size, std::uint32_t value) VKATTN_NOEXCEPT {
        return check(vka_fill(get(), dst, offset, size, value));
    }
    /* The next part of a plan, of at most so much work: VKA_INVALID where it is not prepared. */
    status record_slice(const plan &planned, std::uint64_t budget, vka_slice &slice) VKATTN_NOEXCEPT {
        const vka_plan *const plans[] = {planned.get()};
        return record_slice(plans, 1, budget, slice);
    }
    /* Of plans, one after the other. */
    status record_slice(const vka_plan *const *plans, std::uint32_t count, std::uint64_t budget,
                        vka_slice &slice) VKATTN_NOEXCEPT {
        return check(vka_plan_record_slice(get(), plans, count, budget, &slice));
    }
    /* A description or a plan. */
    template <class What> status record(const What &what) VKATTN_NOEXCEPT {
        return vkattn::record(get(), what);
    }
};

VKATTN_NAMESPACE_END

#endif
