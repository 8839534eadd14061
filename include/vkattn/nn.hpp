/* vkattn/nn.h and vkattn/safetensors.h in C++17: sequences of layers, and files of tensors.
 * SPDX-License-Identifier: MIT
 *
 *   vkattn::nn::sequence model;
 *   model.create(device);
 *   model.layer(vkattn::nn::layer().x(x).out(out).norm_first().self(vkattn::nn::attention().heads(8)). ..);
 *   each time: model.record(recorder);
 *
 * What has no word here is called in C: vka_nn_layer_find and _backward_find, vka_nn_layer_kept_bytes,
 * vka_safetensors_write. Needs the library vkattn_nn. */
#ifndef VKATTN_NN_HPP
#define VKATTN_NN_HPP

#include <vkattn/nn.h>
#include <vkattn/safetensors.h>
#include <vkattn/vkattn.hpp>

VKATTN_NAMESPACE_BEGIN

namespace detail {
template <> struct destroyer<vka_nn_sequence> {
    static void destroy(vka_nn_sequence **object) noexcept {
        vka_nn_sequence_destroy(object);
    }
};
template <> struct destroyer<vka_safetensors> {
    static void destroy(vka_safetensors **object) noexcept {
        vka_safetensors_close(object);
    }
};
} /* namespace detail */

namespace nn {

using attention = describe<vka_nn_attention_desc>;
using feed_forward = describe<vka_nn_feed_forward_desc>;
using layer = describe<vka_nn_layer_desc>;
using attention_backward = describe<vka_nn_attention_backward_desc>;
using feed_forward_backward = describe<vka_nn_feed_forward_backward_desc>;
using normalise_backward = describe<vka_nn_normalise_backward_desc>;
using layer_backward = describe<vka_nn_layer_backward_desc>;
using linear = describe<vka_nn_linear>;
using norm = describe<vka_nn_norm>;
using sequence_desc = describe<vka_nn_sequence_desc>;

/* Must not outlive its device, buffers and patterns. */
class sequence : public owner<vka_nn_sequence> {
  public:
    using owner::owner;

    status create(vka_device *device) VKATTN_NOEXCEPT {
        return create(device, vka_nn_sequence_desc());
    }
    status create(vka_device *device, const vka_nn_sequence_desc &desc) VKATTN_NOEXCEPT {
        return check(vka_nn_sequence_create(device, &desc, put()));
    }
    vka_nn_sequence_info info() const noexcept {
        return vka_nn_sequence_get_info(get());
    }

    /* Each adds one layer, or one operation of vkattn, in whole or not at all. */
    status attention(const vka_nn_attention_desc &desc) VKATTN_NOEXCEPT {
        return check(vka_nn_attention(get(), &desc));
    }
    status feed_forward(const vka_nn_feed_forward_desc &desc) VKATTN_NOEXCEPT {
        return check(vka_nn_feed_forward(get(), &desc));
    }
    status normalise(const vka_nn_norm &desc, const vka_tensor &x, const vka_tensor &out) VKATTN_NOEXCEPT {
        return check(vka_nn_normalise(get(), &desc, &x, &out));
    }
    status layer(const vka_nn_layer_desc &desc) VKATTN_NOEXCEPT {
        return check(vka_nn_layer(get(), &desc));
    }
    status attention_backward(const vka_nn_attention_backward_desc &desc) VKATTN_NOEXCEPT {
        return check(vka_nn_attention_backward(get(), &desc));
    }
    status feed_forward_backward(const vka_nn_feed_forward_backward_desc &desc) VKATTN_NOEXCEPT {
        return check(vka_nn_feed_forward_backward(get(), &desc));
    }
    status normalise_backward(const vka_nn_normalise_backward_desc &desc) VKATTN_NOEXCEPT {
        return check(vka_nn_normalise_backward(get(), &desc));
    }
    status layer_backward(const vka_nn_layer_backward_desc &desc) VKATTN_NOEXCEPT {
        return check(vka_nn_layer_backward(get(), &desc));
    }
    template <class Desc> status operation(const Desc &desc) VKATTN_NOEXCEPT {
        using of = operation_of<Desc>;
        const typename of::desc &fields = desc;
        return check(vka_nn_operation(get(), of::value, &fields, sizeof fields));
    }

    status record(vka_recorder *recorder) const VKATTN_NOEXCEPT {
        return check(vka_nn_sequence_record(recorder, get()));
    }
    status record(vka_recorder *recorder, std::uint32_t first, std::uint32_t count) const VKATTN_NOEXCEPT {
        return check(vka_nn_sequence_record_part(recorder, get(), first, count));
    }
    status prepare_slices() VKATTN_NOEXCEPT {
        return check(vka_nn_sequence_prepare_slices(get()));
    }
    status record_slice(vka_recorder *recorder, std::uint64_t budget, vka_slice &slice) const VKATTN_NOEXCEPT {
        return check(vka_nn_sequence_record_slice(recorder, get(), budget, &slice));
    }
};

} /* namespace nn */

/* A file of tensors, whose views live as long as it is open. */
class safetensors : public owner<vka_safetensors> {
  public:
    using owner::owner;

    status open(const char *path, const vka_log *log = nullptr) VKATTN_NOEXCEPT {
        return check(vka_safetensors_open(path, log, put()));
    }
    status read(const void *data, std::uint64_t bytes, const vka_log *log = nullptr) VKATTN_NOEXCEPT {
        return check(vka_safetensors_read(data, bytes, log, put()));
    }
    std::uint32_t count() const noexcept {
        return vka_safetensors_count(get());
    }
    const vka_safetensor &at(std::uint32_t index) const noexcept {
        return *vka_safetensors_at(get(), index);
    }
    /* nullptr: there is none. */
    const vka_safetensor *find(const char *name) const noexcept {
        return vka_safetensors_find(get(), name);
    }
    const char *metadata(const char *key) const noexcept {
        return vka_safetensors_metadata(get(), key);
    }
};

VKATTN_NAMESPACE_END

#endif
