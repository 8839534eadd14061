/* Boxes of convolutions.
 * SPDX-License-Identifier: MIT */
#include "ops/conv/boxes.h"

#include <string.h>

/* Along channels too, if four of them remain. */
static bool cut(const vka_device_caps *caps, const vka__view *view, uint32_t dims, uint32_t box[3]) {
    uint32_t least = vka__min_u32(4, box[CHANNELS]), quad[3] = {box[0], box[1], least};
    if (vka__cut_to_binding(caps, view, dims | 1u << CHANNELS, box) && box[CHANNELS] >= least)
        return true;
    memcpy(box, quad, sizeof quad);
    return vka__cut_to_binding(caps, view, dims, box);
}

static bool cut_with_halo(const vka_device_caps *caps, const vka__view *view, uint32_t halo, uint32_t box[3]) {
    uint32_t tokens = box[TOKENS];
    if (!cut(caps, view, 1u << ENTRIES | 1u << TOKENS, box))
        return false;
    uint32_t more = box[TOKENS] < tokens ? halo : 0;
    box[TOKENS] = box[TOKENS] > more ? box[TOKENS] - more : 0;
    return box[TOKENS];
}

/* As many channels, up to `most`, as still fit; by powers of two. */
static void widen(const vka_device_caps *caps, const vka__view *view, uint32_t halo, uint32_t most, uint32_t box[3]) {
    while (box[CHANNELS] < most) {
        uint32_t wider[3] = {box[ENTRIES], box[TOKENS] + halo, vka__min_u32(most - box[CHANNELS], box[CHANNELS])};
        wider[CHANNELS] += box[CHANNELS];
        uint32_t seen[3] = {wider[0], wider[1], wider[2]};
        if (!vka__cut_to_binding(caps, view, VKA__DIMS_ALL, seen) || memcmp(seen, wider, sizeof seen))
            return;
        box[CHANNELS] = wider[CHANNELS];
    }
}

bool vka__conv_cut(const vka_device_caps *caps, const vka__view *view, uint32_t halo, uint32_t part[3]) {
    uint32_t box[3], quad[3] = {part[ENTRIES], part[TOKENS], vka__min_u32(4, part[CHANNELS])};
    memcpy(box, part, sizeof box);
    bool fits = cut_with_halo(caps, view, halo, box);
    if (!fits && !cut_with_halo(caps, view, halo, quad))
        return false;
    if (!fits)
        widen(caps, view, halo, part[CHANNELS], quad);
    memcpy(part, fits ? box : quad, sizeof box);
    return true;
}

bool vka__conv_cut_rows(const vka_device_caps *caps, const vka__view *view, uint32_t tokens, uint32_t part[3]) {
    uint32_t box[3] = {part[ENTRIES], tokens, part[CHANNELS]};
    bool fits = cut(caps, view, 1u << ENTRIES, box);
    part[ENTRIES] = box[ENTRIES];
    part[CHANNELS] = box[CHANNELS];
    return fits;
}

void vka__conv_even_out(const uint32_t shape[3], uint32_t part[3], uint32_t parts[3]) {
    uint32_t *channels = &part[CHANNELS];
    if (*channels < shape[CHANNELS])
        *channels &= ~3u;
    vka__even_out(shape, part, parts);
    *channels = parts[CHANNELS] > 1 ? vka__round_up(*channels, 4) : *channels;
    parts[CHANNELS] = vka__div_up(shape[CHANNELS], *channels);
}
